//! Stores the definitions from files: new, changed and removed ones, in one transaction.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Transaction, named_params};

use super::counts::Tx;
use super::cron_entries;
use super::definitions::{self, Definitions};
use super::edits::{NewVersion, Unaccounted, account_until, revise_waiting, skip_waiting};
use super::rows::{millis, parsed};
use super::{Store, StoreError, inactive_spans};
use crate::config::{KeptCron, KeptCrons};
use crate::domain::cron::Cron;
use crate::domain::cron_state::InactiveCause;
use crate::domain::ids::{CronId, DefinitionId};
use crate::domain::reason::{Reason, ReasonCode};

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncReport {
    /// Crons that were unknown, or had been removed.
    pub added: usize,
    /// Crons with another definition.
    pub changed: usize,
    /// Crons that no file has any more.
    pub removed: usize,
    /// Crons that no file defines, and that go on as they were.
    pub kept: Vec<KeptCron>,
}

/// What a transaction found out, for its caller to act on once it is committed.
#[derive(Default)]
struct Synced {
    report: SyncReport,
    /// The definitions that crons have now.
    current: HashSet<DefinitionId>,
    unaccounted: Vec<Unaccounted>,
}

impl Store {
    /// Makes `definitions` the definitions of the crons from files, and returns how many crons that changed.
    ///
    /// A new cron begins now: earlier instants are not caught up. For a changed cron, the new definition also
    /// decides about what the old one left undecided until now, and about the runs that wait to be sent. A removed
    /// cron keeps its history: its runs in progress are followed to their end, and its waiting runs are skipped.
    pub async fn sync_file_crons(
        &self,
        now: Timestamp,
        definitions: Vec<NewDefinition>,
    ) -> Result<SyncReport, StoreError> {
        self.sync_understood_crons(now, definitions, KeptCrons::default()).await
    }

    /// Does the same, but leaves those crons as they are that `kept` keeps.
    pub async fn sync_understood_crons(
        &self,
        now: Timestamp,
        definitions: Vec<NewDefinition>,
        kept: KeptCrons,
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
                let defined: HashSet<CronId> =
                    definitions.iter().map(|definition| definition.cron.cron_id).collect();
                let others = file_crons(tx)?.into_iter().filter(|(cron_id, _)| !defined.contains(cron_id));
                for (cron_id, cron) in others {
                    match kept.keep(&cron) {
                        true => synced.report.kept.push(cron),
                        false => remove_undefined(tx, &cache, cron_id, now, &mut synced)?,
                    }
                }
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

/// What a definition from a file is to its cron.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    None,
    /// Its cron was unknown or removed.
    New,
    Edited,
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
    let mut change = Change::New;
    let cursor = match cron_entries::by_id(tx, cron.cron_id)? {
        None => {
            synced.report.added += 1;
            now
        }
        Some(entry) if entry.removed => {
            synced.report.added += 1;
            entry.cursor.max(now)
        }
        Some(entry) if entry.definition_id == definition_id => {
            change = Change::None;
            entry.cursor
        }
        Some(entry) => {
            synced.report.changed += 1;
            change = Change::Edited;
            // Nothing is dropped and nothing fires twice: every instant until now is accounted for, even if the
            // clock was set back and the old definition was ahead.
            let new = NewVersion::Edited(cron, definition_id);
            synced.unaccounted.extend(account_until(tx, cache, &entry, new, now)?);
            now
        }
    };
    tx.prepare_cached(
        "INSERT INTO crons (cron_id, name, source, location, definition_id, cursor, created_at, updated_at) \
         VALUES (:cron_id, :name, 'file', :location, :definition_id, :cursor, :now, :now) \
         ON CONFLICT (cron_id) DO UPDATE SET name = :name, location = :location, cursor = :cursor, \
         next_at = iif(definition_id = :definition_id AND removed_at IS NULL, next_at, 0), removed_at = NULL, \
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
    if change != Change::None {
        inactive_spans::record(tx, cron.cron_id, inactive_spans::cause_of(cron), now)?;
    }
    if change == Change::Edited {
        revise_waiting(tx, cache, cron.cron_id, now)?;
    }
    Ok(())
}

/// Removes a cron that no file defines.
fn remove_undefined(
    tx: &Tx<'_>,
    cache: &Definitions,
    cron_id: CronId,
    now: Timestamp,
    synced: &mut Synced,
) -> Result<(), StoreError> {
    let Some(entry) = cron_entries::by_id(tx, cron_id)? else { return Ok(()) };
    let message = format!("removed: {} is in no configuration file any more", entry.name);
    let reason = Reason::new(ReasonCode::Removed, message);
    synced.unaccounted.extend(account_until(tx, cache, &entry, NewVersion::Removed(&reason), now)?);
    remove(tx, cron_id, now, &reason)?;
    synced.report.removed += 1;
    Ok(())
}

/// Marks a cron as removed. Its history stays, and its waiting runs are skipped for this reason.
pub(super) fn remove(
    tx: &Tx<'_>,
    cron_id: CronId,
    now: Timestamp,
    reason: &Reason,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE crons SET removed_at = :now, updated_at = :now, next_at = NULL WHERE cron_id = :cron_id",
    )?
    .execute(named_params! { ":cron_id": cron_id.to_string(), ":now": millis(now) })?;
    inactive_spans::record(tx, cron_id, Some(InactiveCause::Removed), now)?;
    skip_waiting(tx, cron_id, reason, now)
}

fn file_crons(tx: &Transaction<'_>) -> Result<Vec<(CronId, KeptCron)>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT cron_id, name, coalesce(location, '') AS location FROM crons \
         WHERE source = 'file' AND removed_at IS NULL ORDER BY name",
    )?;
    let mut rows = statement.query([])?;
    let mut crons = Vec::new();
    while let Some(row) = rows.next()? {
        let cron = KeptCron { name: row.get("name")?, location: row.get("location")? };
        crons.push((parsed(row, "cron_id")?, cron));
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
