//! What an exclusive run waits for: the runs of its cron that are in progress, and those that have been due for longer. It
//! waits as long as that takes, and its start deadline counts from when it may start. An occurrence that is to be retried is
//! in progress, so its retry goes first, whenever it is due.

use jiff::Timestamp;

use super::StoreError;
use super::definitions::Definitions;
use super::rows::{RUN_COLUMNS, millis, parsed, parsed_option, run_from_row};
use super::sql::{Transaction, array};
use crate::domain::backoff;
use crate::domain::ids::{CronId, RunId};
use crate::domain::plan::start_deadline;

/// The runs of the same cron as the pending run of `runs` that are in progress, its retries that wait if the run is none, and
/// the pending ones of its kind that have been due for longer. That they have not ended is said as well, in the words of the
/// index that finds them; on PostgreSQL, in no words of another one, which looks as good to it while there are hardly any runs.
const IN_PROGRESS: &str = "SELECT other.run_id FROM runs AS other WHERE other.cron_id = runs.cron_id \
     AND other.phase IN ('sending', 'unconfirmed', 'running') AND other.phase <> 'ended'";
const RETRIED: &str = "SELECT other.run_id FROM runs AS other WHERE other.cron_id = runs.cron_id \
     AND other.phase = 'pending' AND other.retry > 0 AND runs.retry = 0";
const DUE_BEFORE: &str = "SELECT other.run_id FROM runs AS other WHERE other.cron_id = runs.cron_id \
     AND other.phase /*: || '' */ = 'pending' AND other.phase <> 'ended' AND (other.retry > 0) = (runs.retry > 0) \
     AND (other.due_at, other.seq) < (runs.due_at, runs.seq)";

/// Returns a condition on a pending run: it waits for no other run.
pub(super) fn may_start() -> String {
    // Looked up for each: PostgreSQL would read all that are in progress first, whichever run is asked about.
    let any = |of: &str| format!("EXISTS ({of} /*: OFFSET 0 */)");
    format!("(exclusive = 0 OR NOT ({} OR {} OR {}))", any(IN_PROGRESS), any(RETRIED), any(DUE_BEFORE))
}

/// Returns a column with the id of the run that a pending one waits for, or NULL.
pub(super) fn column() -> String {
    format!(
        "iif(phase = 'pending' AND exclusive = 1, coalesce(({IN_PROGRESS} LIMIT 1), ({RETRIED} LIMIT 1), \
         ({DUE_BEFORE} LIMIT 1)), NULL) AS waits_for"
    )
}

/// Returns the run that this one waits for.
pub(super) fn waits_for(tx: &Transaction<'_>, run_id: RunId) -> Result<Option<RunId>, StoreError> {
    let sql = format!("SELECT {} FROM runs WHERE run_id = ?1", column());
    Ok(tx.query_opt(&sql, [run_id.to_string()], |row| parsed_option(row, "waits_for"))?.flatten())
}

/// Returns those of these crons of which a run waits that the end of another one may concern ([`count_deadline_from`]).
pub(super) fn with_waiting(tx: &Transaction<'_>, crons: &[CronId]) -> Result<Vec<CronId>, StoreError> {
    let sql = "SELECT DISTINCT cron_id FROM runs WHERE cron_id = ANY(?1) AND phase /*: || '' */ = 'pending' AND phase <> 'ended' \
               AND exclusive = 1 AND first_started_at IS NULL";
    tx.query(sql, [array(crons)], |row| parsed(row, "cron_id"))
}

/// Gives the run that has waited for the longest its whole start deadline from now on, because the run before it has ended.
/// The deadline of an occurrence that is retried does not change.
/// Do not call it for the end of a run that was never sent: in an outage, that would keep a queue alive for ever.
pub(super) fn count_deadline_from(
    tx: &Transaction<'_>,
    cache: &Definitions,
    cron_id: CronId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let head = tx.query_opt(
        &format!(
            "SELECT {RUN_COLUMNS} FROM runs WHERE cron_id = ?1 AND phase /*: || '' */ = 'pending' AND phase <> 'ended' \
             AND exclusive = 1 AND first_started_at IS NULL ORDER BY retry > 0 DESC, due_at, seq LIMIT 1"
        ),
        [cron_id.to_string()],
        run_from_row,
    )?;
    let Some(head) = head else { return Ok(()) };
    let Some(version) = &head.cron else { return Ok(()) };
    // A definition that a former version of this program wrote says nothing about the deadline.
    let Ok(cron) = cache.get(tx, version.definition_id, &version.name) else { return Ok(()) };
    let deadline = start_deadline(&cron, head.trigger, head.scheduled_for);
    tx.execute(
        "UPDATE runs SET start_before = max(start_before, ?2) WHERE run_id = ?1",
        (head.run_id.to_string(), millis(backoff::after(now, deadline))),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests;
