//! Stores the definitions from files: new, changed and removed ones, in one transaction.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Transaction, named_params};

use super::counts::Tx;
use super::cron_entries::{self, CronEntry};
use super::definitions::{self, Definitions};
use super::plan_due::plan_until;
use super::rows::{millis, parsed, run, save_run};
use super::scheduled_crons::scheduled;
use super::{Store, StoreError};
use crate::domain::cron::Cron;
use crate::domain::ids::{CronId, DefinitionId, RunId};
use crate::domain::reason::{Reason, ReasonCode};
use crate::domain::run::{Outcome, RunChange, Status};

/// A definition from a file.
#[derive(Clone, Debug)]
pub struct NewDefinition {
    pub cron: Arc<Cron>,
    /// The JSON to store, with its placeholders not filled.
    pub body: String,
    /// `file:line:column`.
    pub location: String,
}

/// How many crons the files changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncReport {
    /// Crons that were unknown, or had been removed.
    pub added: usize,
    /// Crons with another definition.
    pub changed: usize,
    /// Crons that no file has any more.
    pub removed: usize,
}

/// What a transaction found out, for its caller to act on once it is committed.
#[derive(Default)]
struct Synced {
    report: SyncReport,
    /// The definitions that crons have now.
    current: HashSet<DefinitionId>,
    unaccounted: Vec<Unaccounted>,
}

/// A cron whose old definition cannot be read back, so that nothing is recorded for what was due by it.
pub(super) struct Unaccounted {
    cron_name: String,
    problem: StoreError,
}

impl Store {
    /// Makes `definitions` the definitions of the crons from files, and returns how many crons that changed.
    ///
    /// A new cron begins now: earlier instants are not caught up. For a changed cron, what was due until now
    /// is accounted for by the old definition, and the new definition begins now. A removed cron keeps its
    /// history: its runs in progress are followed to their end, and its pending runs are skipped.
    pub async fn sync_file_crons(
        &self,
        now: Timestamp,
        definitions: Vec<NewDefinition>,
    ) -> Result<SyncReport, StoreError> {
        let cache = self.definitions.clone();
        let crons: Vec<Arc<Cron>> =
            definitions.iter().map(|definition| Arc::clone(&definition.cron)).collect();
        let (ids, synced) = self
            .write(move |tx| {
                let (mut ids, mut synced) = (Vec::new(), Synced::default());
                for definition in &definitions {
                    let id = definitions::insert(tx, definition.cron.cron_id, &definition.body, now)?;
                    ids.push(id);
                    synced.current.insert(id);
                    sync_one(tx, &cache, definition, id, now, &mut synced)?;
                }
                let kept: HashSet<CronId> =
                    definitions.iter().map(|definition| definition.cron.cron_id).collect();
                remove_others(tx, &cache, &kept, now, &mut synced)?;
                synced.current.extend(definitions_of_clients(tx)?);
                Ok((ids, synced))
            })
            .await?;
        // After the commit. A client's cron that was made since then loses its entry, and is read again.
        for (id, cron) in ids.into_iter().zip(crons) {
            self.definitions.keep(id, cron);
        }
        self.definitions.forget_others(|id| synced.current.contains(id));
        synced.unaccounted.iter().for_each(Unaccounted::log);
        Ok(synced.report)
    }
}

fn sync_one(
    tx: &Tx<'_>,
    cache: &Definitions,
    definition: &NewDefinition,
    definition_id: DefinitionId,
    now: Timestamp,
    synced: &mut Synced,
) -> Result<(), StoreError> {
    let cron = &definition.cron;
    let cursor = match cron_entries::by_id(tx, cron.cron_id)? {
        None => {
            synced.report.added += 1;
            now
        }
        Some(entry) if entry.removed => {
            synced.report.added += 1;
            entry.cursor.max(now)
        }
        Some(entry) if entry.definition_id == definition_id => entry.cursor,
        Some(entry) => {
            synced.report.changed += 1;
            // Nothing is dropped and nothing fires twice: the old definition accounts for every instant until
            // now, the new one for those after it, even if the clock was set back and the old one was ahead.
            synced.unaccounted.extend(account_until(tx, cache, &entry, now)?);
            now
        }
    };
    tx.prepare_cached(
        "INSERT INTO crons (cron_id, name, source, location, definition_id, cursor, created_at, updated_at) \
         VALUES (:cron_id, :name, 'file', :location, :definition_id, :cursor, :now, :now) \
         ON CONFLICT (cron_id) DO UPDATE SET location = :location, cursor = :cursor, removed_at = NULL, \
         updated_at = iif(definition_id = :definition_id AND removed_at IS NULL, updated_at, :now), \
         definition_id = :definition_id",
    )?
    .execute(named_params! {
        ":cron_id": cron.cron_id.to_string(),
        ":name": cron.name,
        ":location": definition.location,
        ":definition_id": definition_id.to_string(),
        ":cursor": millis(cursor),
        ":now": millis(now),
    })?;
    Ok(())
}

/// Removes the crons from files that are not in `kept`.
fn remove_others(
    tx: &Tx<'_>,
    cache: &Definitions,
    kept: &HashSet<CronId>,
    now: Timestamp,
    synced: &mut Synced,
) -> Result<(), StoreError> {
    for cron_id in file_crons(tx)?.into_iter().filter(|cron_id| !kept.contains(cron_id)) {
        let Some(entry) = cron_entries::by_id(tx, cron_id)? else { continue };
        synced.unaccounted.extend(account_until(tx, cache, &entry, now)?);
        let message = format!("removed: {} is in no configuration file any more", entry.name);
        remove(tx, cron_id, now, Reason::new(ReasonCode::Removed, message))?;
        synced.report.removed += 1;
    }
    Ok(())
}

/// Plans by the definition that is being replaced, up to now. Returns the problem if that definition cannot
/// be read back: a former version of this program wrote it, its meaning is unknown, and it must not stop the
/// new one.
pub(super) fn account_until(
    tx: &Tx<'_>,
    cache: &Definitions,
    entry: &CronEntry,
    now: Timestamp,
) -> Result<Option<Unaccounted>, StoreError> {
    match scheduled(tx, cache, entry) {
        Ok(scheduled) => {
            plan_until(tx, &scheduled, now)?;
            Ok(None)
        }
        Err(problem @ (StoreError::BadRow(_) | StoreError::NotFound(_))) => {
            Ok(Some(Unaccounted { cron_name: entry.name.clone(), problem }))
        }
        Err(error) => Err(error),
    }
}

impl Unaccounted {
    /// Logs it. Call this only after the commit.
    pub(super) fn log(&self) {
        let Self { cron_name, problem } = self;
        tracing::warn!(cron = cron_name, %problem, "what was due by the old definition is not recorded");
    }
}

/// Marks a cron as removed. Its history stays, and its pending runs are skipped for this reason.
pub(super) fn remove(tx: &Tx<'_>, cron_id: CronId, now: Timestamp, reason: Reason) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE crons SET removed_at = :now, updated_at = :now WHERE cron_id = :cron_id")?
        .execute(named_params! { ":cron_id": cron_id.to_string(), ":now": millis(now) })?;
    for run_id in pending_runs(tx, cron_id)? {
        let mut run = run(tx, run_id)?;
        run.state = run.state.apply(RunChange::End(Outcome {
            status: Status::Skipped,
            reason: Some(reason.clone()),
            error: None,
            values: None,
            interrupts: None,
            ended_at: now,
        }))?;
        save_run(tx, &run, None)?;
        tx.count_end(&run);
    }
    Ok(())
}

fn pending_runs(tx: &Transaction<'_>, cron_id: CronId) -> Result<Vec<RunId>, StoreError> {
    let mut statement =
        tx.prepare_cached("SELECT run_id FROM runs WHERE cron_id = ?1 AND phase = 'pending'")?;
    let mut rows = statement.query([cron_id.to_string()])?;
    let mut pending = Vec::new();
    while let Some(row) = rows.next()? {
        pending.push(parsed(row, "run_id")?);
    }
    Ok(pending)
}

fn file_crons(tx: &Transaction<'_>) -> Result<Vec<CronId>, StoreError> {
    let mut statement =
        tx.prepare_cached("SELECT cron_id FROM crons WHERE source = 'file' AND removed_at IS NULL")?;
    let mut rows = statement.query([])?;
    let mut crons = Vec::new();
    while let Some(row) = rows.next()? {
        crons.push(parsed(row, "cron_id")?);
    }
    Ok(crons)
}

/// Returns the definitions of the crons that clients made through the API.
fn definitions_of_clients(tx: &Transaction<'_>) -> Result<Vec<DefinitionId>, StoreError> {
    let mut statement =
        tx.prepare_cached("SELECT definition_id FROM crons WHERE source = 'api' AND removed_at IS NULL")?;
    let mut rows = statement.query([])?;
    let mut current = Vec::new();
    while let Some(row) = rows.next()? {
        current.push(parsed(row, "definition_id")?);
    }
    Ok(current)
}
