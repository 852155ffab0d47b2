//! The rows of crons, as far as planning and changes need them: read and written within a transaction.

use jiff::Timestamp;

use super::counts::Tx;
use super::rows::{millis, parsed, parsed_option, time, time_option};
use super::sql::{Row, Transaction, named_params};
use super::{Store, StoreError, acts};
use crate::domain::act::{Act, ActKind, Actor, Subject};
use crate::domain::cron::CronSource;
use crate::domain::cron_state::{CronHealth, CronState, Pause};
use crate::domain::ids::{CronId, DefinitionId};
use crate::domain::run::{Outcome, Run, RunState, Status};

/// A cron's row without its definition.
#[derive(Clone, Debug)]
pub(super) struct CronEntry {
    pub(super) cron_id: CronId,
    pub(super) name: String,
    pub(super) definition_id: DefinitionId,
    /// The definition that was in force after `cursor`, if what it left undecided is not accounted for yet.
    pub(super) former: Option<DefinitionId>,
    pub(super) cursor: Timestamp,
    pub(super) created_at: Timestamp,
    /// When it got its definition, or was removed.
    pub(super) changed_at: Timestamp,
    /// Until when its records are deleted.
    pub(super) history_deleted_until: Option<Timestamp>,
    pub(super) removed: bool,
    pub(super) state: CronState,
    pub(super) source: CronSource,
    /// The turn of its latest run.
    pub(super) turn: i64,
}

/// When a cron is planned next, and its name.
pub type NextPlan = Option<(Timestamp, String)>;

/// A cron that paused itself because too many of its runs failed in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PausedByFailures {
    pub(super) cron_name: String,
    pub(super) failures: u32,
}

const COLUMNS: &str = "cron_id, name, definition_id, former_definition_id, cursor, created_at, updated_at, removed_at, \
     paused_at, pause_cause, pause_note, paused_until, pause_ended, skip_next, failures, failing_since, recovered_at, source, turn, history_deleted_until";

impl Store {
    /// Returns the names of all crons that are not removed, in order.
    pub async fn cron_names(&self) -> Result<Vec<String>, StoreError> {
        self.read_at_one_moment(names).await
    }
}

/// Returns the cron of this id, removed or not.
pub(super) fn by_id(tx: &Transaction<'_>, cron_id: CronId) -> Result<Option<CronEntry>, StoreError> {
    tx.query_opt(&format!("SELECT {COLUMNS} FROM crons WHERE cron_id = ?1"), [cron_id.to_string()], from_row)
}

/// Locks and returns the crons of this source that are to be planned by `now` and that nobody else has locked, at most `limit`, the
/// one that was due first being the first.
pub(super) fn due(
    tx: &Transaction<'_>,
    source: CronSource,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<CronEntry>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    tx.query(&due_sql(), (source.as_str(), millis(now), limit), from_row)
}

pub(super) fn due_sql() -> String {
    format!(
        "SELECT {COLUMNS} FROM crons WHERE source = ?1 AND next_at <= ?2 AND next_at IS NOT NULL \
         ORDER BY next_at, seq LIMIT ?3 /*: FOR NO KEY UPDATE SKIP LOCKED */"
    )
}

/// Returns the cron that is planned next, and when.
pub(super) fn next(tx: &Transaction<'_>) -> Result<NextPlan, StoreError> {
    let of_each =
        tx.query(NEXT_OF_EACH_SOURCE, (), |row| Ok((time(row, "next_at")?, row.get::<String>("name")?)))?;
    Ok(of_each.into_iter().min_by_key(|(at, _)| *at))
}

pub(super) const NEXT_OF_EACH_SOURCE: &str = "SELECT next_at, name FROM (SELECT next_at, name FROM crons WHERE source = 'file' \
     AND next_at IS NOT NULL ORDER BY next_at, seq LIMIT 1) AS of_files \
     UNION ALL SELECT next_at, name FROM (SELECT next_at, name FROM crons WHERE source = 'api' \
     AND next_at IS NOT NULL ORDER BY next_at, seq LIMIT 1) AS of_clients";

/// Returns the cron of this name or id that is not removed. A name wins over an id, and a cron from a file
/// over one of a client.
pub(super) fn named(tx: &Transaction<'_>, name: &str) -> Result<Option<CronEntry>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM crons WHERE (name = ?1 OR cron_id = ?1) AND removed_at IS NULL \
         ORDER BY name <> ?1, source DESC"
    );
    tx.query_opt(&sql, [name], from_row)
}

fn from_row(row: &Row<'_>) -> Result<CronEntry, StoreError> {
    Ok(CronEntry {
        cron_id: parsed(row, "cron_id")?,
        name: row.get("name")?,
        definition_id: parsed(row, "definition_id")?,
        former: parsed_option(row, "former_definition_id")?,
        cursor: time(row, "cursor")?,
        created_at: time(row, "created_at")?,
        changed_at: time_option(row, "removed_at")?.unwrap_or(time(row, "updated_at")?),
        history_deleted_until: time_option(row, "history_deleted_until")?,
        removed: row.get::<Option<i64>>("removed_at")?.is_some(),
        state: state_from_row(row)?,
        source: parsed(row, "source")?,
        turn: row.get("turn")?,
    })
}

/// Returns the state in the columns of a cron's row.
pub(super) fn state_from_row(row: &Row<'_>) -> Result<CronState, StoreError> {
    let paused_at = time_option(row, "paused_at")?;
    let paused = match (paused_at, parsed_option(row, "pause_cause")?) {
        (Some(since), Some(cause)) => Some(Pause {
            since,
            until: time_option(row, "paused_until")?,
            cause,
            note: row.get("pause_note")?,
            end_recorded: row.get("pause_ended")?,
        }),
        (_, _) => None,
    };
    Ok(CronState {
        paused,
        skip_next: row.get("skip_next")?,
        failures: row.get("failures")?,
        failing_since: time_option(row, "failing_since")?,
        recovered_at: time_option(row, "recovered_at")?,
    })
}

/// Writes a cron's state.
pub(super) fn save_state(tx: &Transaction<'_>, cron_id: CronId, state: &CronState) -> Result<(), StoreError> {
    let pause = state.paused.as_ref();
    let sql = "UPDATE crons SET paused_at = :paused_at, pause_cause = :pause_cause, pause_note = :pause_note, \
               paused_until = :paused_until, pause_ended = :pause_ended, \
               skip_next = :skip_next, failures = :failures, failing_since = :failing_since, recovered_at = :recovered_at \
               WHERE cron_id = :cron_id";
    tx.put(
        sql,
        named_params! {
            ":cron_id": cron_id.to_string(),
            ":paused_at": pause.map(|pause| millis(pause.since)),
            ":pause_cause": pause.map(|pause| pause.cause.as_str()),
            ":pause_note": pause.and_then(|pause| pause.note.as_deref()),
            ":paused_until": pause.and_then(|pause| pause.until).map(millis),
            ":pause_ended": pause.is_some_and(|pause| pause.end_recorded),
            ":skip_next": state.skip_next,
            ":failures": state.failures,
            ":failing_since": state.failing_since.map(millis),
            ":recovered_at": state.recovered_at.map(millis),
        },
    )?;
    Ok(())
}

/// Takes note of the end of a run on its cron, and counts it towards the failures in a row, of which `limit` pause the cron.
/// Returns the pause if this end began one.
pub(super) fn run_ended(
    tx: &Tx<'_>,
    run: &Run,
    limit: Option<u32>,
    now: Timestamp,
) -> Result<Option<PausedByFailures>, StoreError> {
    let RunState::Ended { outcome, .. } = &run.state else { return Ok(None) };
    let Some(cron_id) = run.cron_id() else { return Ok(None) };
    let says = CronHealth::shown_by(outcome);
    if note_end(tx, cron_id, outcome, says)? {
        return Ok(None);
    }
    let Some(entry) = by_id(tx, cron_id)?.filter(|entry| !entry.removed) else { return Ok(None) };
    let mut state = entry.state.clone();
    let pause = state.run_ended(says, limit, now).cloned();
    if let Some(Pause { note, .. }) = &pause {
        let (by, what, subject) = (Actor::AGENTCRON, ActKind::Paused, Subject::run(run));
        acts::record(tx, &Act { at: now, by, what, subject, note: note.clone() })?;
    }
    if state != entry.state {
        save_state(tx, cron_id, &state)?;
    }
    Ok(pause.map(|_| PausedByFailures { cron_name: entry.name, failures: state.failures }))
}

/// Writes when the last run of a cron ended, and returns whether there is nothing more to write: most runs succeed, and so did
/// those before them.
fn note_end(tx: &Tx<'_>, cron_id: CronId, outcome: &Outcome, says: CronHealth) -> Result<bool, StoreError> {
    // What was recovered may be learnt of after what ended later.
    let sql = "UPDATE crons SET last_run_at = max(coalesce(last_run_at, ?2), ?2), \
               last_success_at = iif(?3 = 1, max(coalesce(last_success_at, ?2), ?2), last_success_at) WHERE cron_id = ?1";
    let values = (cron_id.to_string(), millis(outcome.ended_at), outcome.status == Status::Success);
    if says == CronHealth::Works && tx.cron_ahead(cron_id).is_some_and(|cron| cron.is_well) {
        tx.gather(cron_id, sql, values)?;
        return Ok(true);
    }
    tx.forget_ahead(cron_id);
    if says == CronHealth::Works && tx.execute(&format!("{sql} AND failures = 0"), values.clone())? == 1 {
        return Ok(true);
    }
    tx.put(sql, values)?;
    Ok(says == CronHealth::Unknown)
}

/// Returns the crons from files in the order in which they are to be counted by themselves: those that fail, by name, and then
/// the others.
pub(super) fn to_count(tx: &Transaction<'_>) -> Result<Vec<CronId>, StoreError> {
    let sql =
        "SELECT cron_id FROM crons WHERE source = 'file' AND removed_at IS NULL ORDER BY failures = 0, name";
    tx.query(sql, (), |row| parsed(row, "cron_id"))
}

fn names(tx: &Transaction<'_>) -> Result<Vec<String>, StoreError> {
    tx.query("SELECT name FROM crons WHERE removed_at IS NULL ORDER BY name", (), |row| row.get(0))
}
