//! Pauses of all crons: while one is in force, nothing of any calendar is started, whoever made the cron and whenever. They are
//! kept beside the pauses of single crons, which they do not touch.

use jiff::Timestamp;

use super::rows::{millis, time, time_option};
use super::sql::{Row, Transaction};
use super::{StoreError, acts};
use crate::domain::act::{Act, ActKind, Actor, Subject};
use crate::domain::cron_state::{Pause, PauseCause};

/// Returns the pauses of all crons that had not ended at this instant, the earliest first.
pub(super) fn lasting_since(tx: &Transaction<'_>, at: Timestamp) -> Result<Vec<Pause>, StoreError> {
    tx.query(LASTING_SINCE, [millis(at)], from_row)
}

pub(super) const LASTING_SINCE: &str =
    "SELECT since, until, note, ended FROM pauses_of_all WHERE until IS NULL OR until > ?1 ORDER BY since";

/// Returns the pause of all crons that is in force now.
pub(super) fn now(tx: &Transaction<'_>, now: Timestamp) -> Result<Option<Pause>, StoreError> {
    Ok(not_recorded_as_over(tx)?.pop().filter(|pause| pause.is_in_force(now)))
}

/// Returns the pauses of all crons of whose end there is no record, the earliest first.
pub(super) fn not_recorded_as_over(tx: &Transaction<'_>) -> Result<Vec<Pause>, StoreError> {
    tx.query(NOT_RECORDED_AS_OVER, (), from_row)
}

pub(super) const NOT_RECORDED_AS_OVER: &str =
    "SELECT since, until, note, ended FROM pauses_of_all WHERE ended IS NULL ORDER BY since";

/// Records that a pause has ended by itself, if one has. Returns when the one in force ends by itself.
pub(super) fn record_end(tx: &Transaction<'_>, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let mut next = None;
    for pause in not_recorded_as_over(tx)? {
        let Some(until) = pause.end_to_record(now) else {
            next = pause.until;
            continue;
        };
        let sql = "UPDATE pauses_of_all SET ended = 'time' WHERE since = ?1 AND ended IS NULL";
        if tx.execute(sql, [millis(pause.since)])? == 0 {
            // Another daemon has just recorded it.
            continue;
        }
        let note = Some("the pause was over".to_owned());
        record(tx, until, &Actor::AGENTCRON, ActKind::AllResumed, note)?;
    }
    Ok(next)
}

/// Records what was done to all crons.
pub(super) fn record(
    tx: &Transaction<'_>,
    at: Timestamp,
    by: &Actor,
    what: ActKind,
    note: Option<String>,
) -> Result<(), StoreError> {
    acts::record(tx, &Act { at, by: by.clone(), what, subject: Subject::default(), note })
}

fn from_row(row: &Row<'_>) -> Result<Pause, StoreError> {
    Ok(Pause {
        since: time(row, "since")?,
        until: time_option(row, "until")?,
        cause: PauseCause::All,
        note: row.get("note")?,
        end_recorded: row.get::<Option<String>>("ended")?.is_some(),
    })
}
