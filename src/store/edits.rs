//! What an edit, a removal or a pause of a cron does to what the cron has not sent, within the transaction of the
//! change: nothing is ever sent by a definition that the cron had before.

use jiff::Timestamp;

use super::counts::Tx;
use super::cron_entries::{self, CronEntry};
use super::definitions::Definitions;
use super::retry::has_own_definition;
use super::rows::{RUN_COLUMNS, millis, run_from_row, save_run};
use super::sql::{Transaction, named_params};
use super::waits_for::count_deadline_from;
use super::{StoreError, owed_webhooks, pauses_of_all};
use crate::domain::cron::Overlap;
use crate::domain::edit::{
    Unsent, due_after_edit, start_before_after_edit, unsent_after_edit, unsent_while_paused,
};
use crate::domain::ids::{CronId, FIRST_RUN};
use crate::domain::reason::{Reason, ReasonCode};
use crate::domain::run::{Outcome, Run, RunChange, RunState, Status};

/// Applies the present definition and state of a cron to its waiting runs, and returns how many of them end now.
pub(super) fn revise_waiting(
    tx: &Tx<'_>,
    cache: &Definitions,
    cron_id: CronId,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let Some(entry) = cron_entries::by_id(tx, cron_id)? else { return Ok(0) };
    let mut ended = 0;
    for mut run in waiting_runs(tx, cron_id)? {
        ended += usize::from(revise(tx, cache, &entry, &mut run, now)? == Revised::Ended);
    }
    Ok(ended)
}

/// What became of a waiting run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Revised {
    Waits,
    Ended,
}

/// Applies the present definition and state of its cron to one waiting run.
pub(super) fn revise(
    tx: &Tx<'_>,
    cache: &Definitions,
    entry: &CronEntry,
    run: &mut Run,
    now: Timestamp,
) -> Result<Revised, StoreError> {
    let unsent = if entry.removed {
        let message = format!("{} was removed before the run was sent", entry.name);
        Some(Unsent { status: Status::Skipped, reason: Reason::new(ReasonCode::Removed, message) })
    } else {
        match unsent_while_paused(run, &entry.state, pauses_of_all::now(tx, now)?.as_ref(), now) {
            Some(unsent) => Some(unsent),
            None => redefine(tx, cache, entry, run, now)?,
        }
    };
    let Some(unsent) = unsent else { return Ok(Revised::Waits) };
    end(tx, run, unsent, now)?;
    if run.retry > FIRST_RUN {
        // Others have waited for the end of its occurrence.
        count_deadline_from(tx, cache, entry.cron_id, now)?;
    }
    Ok(Revised::Ended)
}

/// Makes a waiting run one of the present definition, or returns why it must not be sent by that one.
fn redefine(
    tx: &Tx<'_>,
    cache: &Definitions,
    entry: &CronEntry,
    run: &mut Run,
    now: Timestamp,
) -> Result<Option<Unsent>, StoreError> {
    let Some(version) = &mut run.cron else { return Ok(None) };
    if version.definition_id == entry.definition_id || has_own_definition(tx, run.run_id)? {
        return Ok(None);
    }
    let cron = cache.get(tx, entry.definition_id, &entry.name)?;
    // An old definition that cannot be read back says nothing about what has changed.
    let former = cache.get(tx, version.definition_id, &entry.name).ok();
    version.definition_id = entry.definition_id;
    if let Some(unsent) = unsent_after_edit(run, &cron, former.as_deref(), now) {
        return Ok(Some(unsent));
    }
    run.start_before = start_before_after_edit(run, &cron, former.as_deref());
    run.due_at = due_after_edit(run, &cron);
    let sql = "UPDATE runs SET definition_id = :definition_id, exclusive = :exclusive, start_before = :start_before, \
               act_at = iif(act_at = due_at, :due_at, act_at), due_at = :due_at WHERE run_id = :run_id";
    tx.execute(
        sql,
        named_params! {
            ":run_id": run.run_id.to_string(),
            ":definition_id": entry.definition_id.to_string(),
            ":exclusive": i64::from(cron.policy.overlap != Overlap::Allow),
            ":start_before": millis(run.start_before),
            ":due_at": millis(run.due_at),
        },
    )?;
    Ok(None)
}

/// Ends the waiting runs of a cron for this reason.
pub(super) fn skip_waiting(
    tx: &Tx<'_>,
    cron_id: CronId,
    reason: &Reason,
    now: Timestamp,
) -> Result<(), StoreError> {
    for mut run in waiting_runs(tx, cron_id)? {
        end(tx, &mut run, Unsent { status: Status::Skipped, reason: reason.clone() }, now)?;
    }
    Ok(())
}

/// Ends a waiting run. A backfill may take its place, if nothing of it can be on the agent server: its first start
/// was not ruled out by a fence, which stays on its thread, and no run of its occurrence went before it.
fn end(tx: &Tx<'_>, run: &mut Run, unsent: Unsent, now: Timestamp) -> Result<(), StoreError> {
    let is_first_start = matches!(run.state, RunState::Pending { start_number: 1 }) && run.retry == FIRST_RUN;
    let outcome = Outcome::without_backend(unsent.status, unsent.reason, now);
    run.state = run.state.clone().apply(RunChange::End(outcome))?;
    save_run(tx, run, None)?;
    tx.count_end(run, false);
    owed_webhooks::settle(tx, run, now)?;
    if is_first_start {
        tx.execute(
            "UPDATE runs SET last_scheduled_for = scheduled_for WHERE run_id = ?1",
            [run.run_id.to_string()],
        )?;
    }
    Ok(())
}

/// Locks and returns the runs of a cron that wait to be sent, except those that the runner is about to end. That they have not ended is
/// said as well, in the words of the index that finds them.
fn waiting_runs(tx: &Transaction<'_>, cron_id: CronId) -> Result<Vec<Run>, StoreError> {
    tx.query(
        &format!(
            "SELECT {RUN_COLUMNS} FROM runs WHERE cron_id = ?1 AND phase /*: || '' */ = 'pending' AND phase <> 'ended' \
             AND act_at IS NOT NULL AND cancelling IS NULL /*: ORDER BY run_id FOR NO KEY UPDATE */"
        ),
        [cron_id.to_string()],
        run_from_row,
    )
}

#[cfg(test)]
mod tests;
