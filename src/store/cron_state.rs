//! How crons stand: read and kept beside their cursors, changed by people and by the ends of runs.

use jiff::Timestamp;
use rusqlite::{Transaction, named_params};

use super::plan_due::{ScheduledCron, plan_until};
use super::rows::{millis, parsed, parsed_option, time, time_option};
use super::{Store, StoreError};
use crate::domain::cron_state::{CronState, Pause, PauseCause};
use crate::domain::ids::{CronId, DefinitionId};
use crate::domain::run::Run;

/// A cron as the store has it.
#[derive(Clone, Debug)]
pub(super) struct KnownCron {
    pub(super) cron_id: CronId,
    pub(super) name: String,
    pub(super) definition_id: DefinitionId,
    pub(super) cursor: Timestamp,
    pub(super) removed: bool,
    pub(super) state: CronState,
}

/// What may be asked of a cron's standing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CronStateChange {
    /// Its occurrences are skipped from now on, with this note.
    Pause(Option<String>),
    /// They are fired again, from now on; its failures are forgotten.
    Resume,
    /// The next one is skipped.
    SkipNext,
}

const COLUMNS: &str = "cron_id, name, definition_id, cursor, removed_at, paused_at, pause_cause, pause_note, \
     skip_next, failures";

impl Store {
    /// Changes how the cron of this name stands, and answers how it stood and how it stands; `None` if there is no
    /// such cron.
    pub async fn change_cron_state(
        &self,
        now: Timestamp,
        name: String,
        change: CronStateChange,
    ) -> Result<Option<(CronState, CronState)>, StoreError> {
        let cache = self.definitions.clone();
        self.write(move |tx| {
            let Some(known) = named(tx, &name)? else { return Ok(None) };
            let cron = cache.get(tx, known.definition_id, &known.name)?;
            let definition_id = known.definition_id;
            // What was due until now is decided by how the cron stood until now.
            plan_until(tx, &ScheduledCron { cron, definition_id, cursor: known.cursor }, now)?;
            let before = known.state;
            let mut after = match self::known(tx, known.cron_id)? {
                Some(planned) => planned.state,
                None => return Ok(None),
            };
            match &change {
                CronStateChange::Pause(note) => {
                    let since = after.paused.as_ref().map_or(now, |pause| pause.since);
                    let cause = PauseCause::Request;
                    after.paused = Some(Pause { since, cause, note: note.clone() });
                }
                CronStateChange::Resume => {
                    after = CronState { skip_next: after.skip_next, ..CronState::default() }
                }
                CronStateChange::SkipNext => after.skip_next = true,
            }
            save(tx, known.cron_id, &after)?;
            Ok(Some((before, after)))
        })
        .await
    }
}

/// The cron of this id, removed or not.
pub(super) fn known(tx: &Transaction<'_>, cron_id: CronId) -> Result<Option<KnownCron>, StoreError> {
    let mut statement = tx.prepare_cached(&format!("SELECT {COLUMNS} FROM crons WHERE cron_id = ?1"))?;
    let mut rows = statement.query([cron_id.to_string()])?;
    rows.next()?.map(from_row).transpose()
}

/// The cron of this name or id that is not removed; the name comes first, and a file's before a client's.
pub(super) fn named(tx: &Transaction<'_>, name: &str) -> Result<Option<KnownCron>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM crons WHERE (name = ?1 OR cron_id = ?1) AND removed_at IS NULL \
         ORDER BY name <> ?1, source DESC"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let mut rows = statement.query([name])?;
    rows.next()?.map(from_row).transpose()
}

fn from_row(row: &rusqlite::Row<'_>) -> Result<KnownCron, StoreError> {
    Ok(KnownCron {
        cron_id: parsed(row, "cron_id")?,
        name: row.get("name")?,
        definition_id: parsed(row, "definition_id")?,
        cursor: time(row, "cursor")?,
        removed: row.get::<_, Option<i64>>("removed_at")?.is_some(),
        state: cron_state_from_row(row)?,
    })
}

/// The standing in the columns of a cron's row.
pub(super) fn cron_state_from_row(row: &rusqlite::Row<'_>) -> Result<CronState, StoreError> {
    let paused_at = time_option(row, "paused_at")?;
    let paused = match (paused_at, parsed_option(row, "pause_cause")?) {
        (Some(since), Some(cause)) => Some(Pause { since, cause, note: row.get("pause_note")? }),
        (_, _) => None,
    };
    Ok(CronState { paused, skip_next: row.get("skip_next")?, failures: row.get("failures")? })
}

/// Writes how a cron stands.
pub(super) fn save(tx: &Transaction<'_>, cron_id: CronId, state: &CronState) -> Result<(), StoreError> {
    let pause = state.paused.as_ref();
    tx.prepare_cached(
        "UPDATE crons SET paused_at = :paused_at, pause_cause = :pause_cause, pause_note = :pause_note, \
         skip_next = :skip_next, failures = :failures WHERE cron_id = :cron_id",
    )?
    .execute(named_params! {
        ":cron_id": cron_id.to_string(),
        ":paused_at": pause.map(|pause| millis(pause.since)),
        ":pause_cause": pause.map(|pause| pause.cause.as_str()),
        ":pause_note": pause.and_then(|pause| pause.note.as_deref()),
        ":skip_next": state.skip_next,
        ":failures": state.failures,
    })?;
    Ok(())
}

/// Counts the end of a run of this cron; answers whether that paused it.
pub(super) fn run_ended(
    tx: &Transaction<'_>,
    run: &Run,
    limit: Option<u32>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(status) = run.state.status() else { return Ok(false) };
    let Some(cron_id) = run.cron_id() else { return Ok(false) };
    let Some(known) = known(tx, cron_id)?.filter(|known| !known.removed) else { return Ok(false) };
    let mut state = known.state.clone();
    let paused = state.run_ended(status, limit, now).is_some();
    if state != known.state {
        save(tx, cron_id, &state)?;
    }
    if paused {
        tracing::warn!(cron = known.name, failures = state.failures, "paused: too many failures in a row");
    }
    Ok(paused)
}

/// The names of all crons that are not removed.
pub(super) fn names(tx: &Transaction<'_>) -> Result<Vec<String>, StoreError> {
    let mut statement = tx.prepare_cached("SELECT name FROM crons WHERE removed_at IS NULL ORDER BY name")?;
    let names = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(names)
}

impl Store {
    /// The names of all crons that are not removed.
    pub async fn cron_names(&self) -> Result<Vec<String>, StoreError> {
        self.read_at_one_moment(names).await
    }
}

#[cfg(test)]
mod tests;
