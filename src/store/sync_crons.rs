//! Taking up the definitions from files: new ones, changed ones, removed ones, in one transaction.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Transaction, named_params};

use super::counts::Tx;
use super::cron_state::{KnownCron, known};
use super::plan_due::{ScheduledCron, plan_until};
use super::rows::{millis, parsed, time};
use super::{Store, StoreError, definitions};
use crate::domain::cron::Cron;
use crate::domain::ids::{CronId, DefinitionId};
use crate::domain::reason::{Reason, ReasonCode};
use crate::domain::run::{Outcome, RunChange, Status};

/// A definition from a file.
#[derive(Clone, Debug)]
pub struct NewDefinition {
    /// Parsed.
    pub cron: Arc<Cron>,
    /// As stored: JSON, placeholders as written.
    pub body: String,
    /// `file:line`, for people.
    pub location: String,
}

/// What the files changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncReport {
    /// Crons that were not known, or had been removed.
    pub added: usize,
    /// Crons whose definition is another.
    pub changed: usize,
    /// Crons that are in no file any more.
    pub removed: usize,
}

impl Store {
    /// Makes the crons from files those of `definitions`.
    ///
    /// A new cron begins now: nothing before is caught up. Of a changed one, what the old definition owed until now
    /// is accounted for by the old definition, and the new one begins now. A removed one keeps its history; runs of
    /// it that are going are followed to their end, and what only waited is skipped.
    pub async fn sync_file_crons(
        &self,
        now: Timestamp,
        definitions: Vec<NewDefinition>,
    ) -> Result<SyncReport, StoreError> {
        let cache = self.definitions.clone();
        self.write(move |tx| {
            let mut report = SyncReport::default();
            let mut current = HashSet::new();
            let mut named = HashSet::new();
            for definition in &definitions {
                let id = definitions::insert(tx, definition.cron.cron_id, &definition.body, now)?;
                cache.keep(id, Arc::clone(&definition.cron));
                current.insert(id);
                named.insert(definition.cron.cron_id.to_string());
                sync_one(tx, &cache, definition, id, now, &mut report)?;
            }
            for (cron_id, name) in file_crons(tx)? {
                if !named.contains(&cron_id.to_string()) {
                    if let Some(known) = known(tx, cron_id)? {
                        account_until(tx, &cache, &known, now)?;
                    }
                    remove(
                        tx,
                        cron_id,
                        now,
                        Reason::new(
                            ReasonCode::Removed,
                            format!("removed: {name} is in no configuration file any more"),
                        ),
                    )?;
                    report.removed += 1;
                }
            }
            current.extend(definitions_of_clients(tx)?);
            cache.forget_others(|id| current.contains(id));
            Ok(report)
        })
        .await
    }

    /// Every cron that is to be scheduled. Read beside the writer: clients that make crons one after the other must not
    /// keep it busy with all the others each time.
    pub async fn scheduled_crons(&self) -> Result<Vec<ScheduledCron>, StoreError> {
        let cache = self.definitions.clone();
        self.read_for_loop(move |tx| {
            let mut statement = tx.prepare_cached(
                "SELECT definition_id, name, cursor FROM crons WHERE removed_at IS NULL ORDER BY name",
            )?;
            let mut rows = statement.query([])?;
            let mut crons = Vec::new();
            while let Some(row) = rows.next()? {
                let definition_id = parsed(row, "definition_id")?;
                let name: String = row.get("name")?;
                let cron = match cache.get(tx, definition_id, &name) {
                    Ok(cron) => cron,
                    // Made by a former version of this program: the others are not to suffer for it.
                    Err(StoreError::Refused(problem)) => {
                        tracing::error!(cron = name, problem, "it is not fired, for it cannot be read");
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                crons.push(ScheduledCron { cron, definition_id, cursor: time(row, "cursor")? });
            }
            Ok(crons)
        })
        .await
    }
}

fn sync_one(
    tx: &Tx<'_>,
    cache: &definitions::Definitions,
    definition: &NewDefinition,
    definition_id: DefinitionId,
    now: Timestamp,
    report: &mut SyncReport,
) -> Result<(), StoreError> {
    let cron = &definition.cron;
    let cursor = match known(tx, cron.cron_id)? {
        None => {
            report.added += 1;
            now
        }
        Some(known) if known.removed => {
            report.added += 1;
            known.cursor.max(now)
        }
        Some(known) if known.definition_id == definition_id => known.cursor,
        Some(known) => {
            report.changed += 1;
            // Neither dropped nor fired twice: the old one answers for every instant until now, the new one for
            // those after it, even if the clock was set back and the old one was ahead.
            account_until(tx, cache, &known, now)?;
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

/// The definitions that crons made through the API go by.
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

/// Accounts for what the definition that is given up owed until now.
pub(super) fn account_until(
    tx: &Tx<'_>,
    cache: &definitions::Definitions,
    known: &KnownCron,
    now: Timestamp,
) -> Result<(), StoreError> {
    match cache.get(tx, known.definition_id, &known.name) {
        Ok(cron) => {
            let definition_id = known.definition_id;
            plan_until(tx, &ScheduledCron { cron, definition_id, cursor: known.cursor }, now)
        }
        // Of a former version of this program: what it meant is not known, and the new one must not suffer for it.
        Err(StoreError::Refused(problem)) => {
            tracing::warn!(cron = known.name, problem, "what was due by its old definition is left out");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn file_crons(tx: &Transaction<'_>) -> Result<Vec<(CronId, String)>, StoreError> {
    let mut statement =
        tx.prepare_cached("SELECT cron_id, name FROM crons WHERE source = 'file' AND removed_at IS NULL")?;
    let mut rows = statement.query([])?;
    let mut crons = Vec::new();
    while let Some(row) = rows.next()? {
        crons.push((parsed(row, "cron_id")?, row.get("name")?));
    }
    Ok(crons)
}

/// Takes a cron away; its history stays, and what only waited is skipped with this reason.
pub(super) fn remove(tx: &Tx<'_>, cron_id: CronId, now: Timestamp, reason: Reason) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE crons SET removed_at = :now, updated_at = :now WHERE cron_id = :cron_id")?
        .execute(named_params! { ":cron_id": cron_id.to_string(), ":now": millis(now) })?;
    let mut statement =
        tx.prepare_cached("SELECT run_id FROM runs WHERE cron_id = ?1 AND phase = 'pending'")?;
    let waiting: Vec<String> =
        statement.query_map([cron_id.to_string()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for run_id in waiting {
        let run_id = run_id.parse().map_err(|_| StoreError::Refused(format!("bad run_id {run_id}")))?;
        let mut run = super::rows::run(tx, run_id)?;
        run.state = run.state.apply(RunChange::End(Outcome {
            status: Status::Skipped,
            reason: Some(reason.clone()),
            error: None,
            values: None,
            ended_at: now,
        }))?;
        super::rows::save_run(tx, &run, None)?;
        tx.count_end(&run);
    }
    Ok(())
}
