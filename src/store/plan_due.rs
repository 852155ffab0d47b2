//! Planning what is due: the pure plan, and its decisions as rows, in one transaction for all crons that are due.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Transaction;

use super::counts::Tx;
use super::cron_state::known;
use super::occurrences::{Extended, SameStretch, Stretch, cancel_running, insert_pending};
use super::rows::millis;
use super::{Store, StoreError};
use crate::domain::cron::{Cron, Overlap};
use crate::domain::cron_state::{CronState, Pause};
use crate::domain::ids::{CronId, DefinitionId};
use crate::domain::plan::{Active, Decision, plan};
use crate::domain::reason::{Reason, ReasonCode};
use crate::domain::run::{Phase, Status};

/// A cron as the scheduler has it in hand.
#[derive(Clone, Debug)]
pub struct ScheduledCron {
    /// What it is.
    pub cron: Arc<Cron>,
    /// By which version.
    pub definition_id: DefinitionId,
    /// The last instant that is accounted for.
    pub cursor: Timestamp,
}

/// What a plan came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Whose plan.
    pub cron_id: CronId,
    /// The cursor as committed.
    pub cursor: Timestamp,
    /// When to plan again.
    pub next_wake: Option<Timestamp>,
    /// Runs that are to be started.
    pub fired: usize,
    /// Nothing was planned: the cron has another definition by now, or none.
    pub is_stale: bool,
}

impl Store {
    /// Plans every one of `due` up to `now` and commits all that was decided. One whose definition is not that of the
    /// store any more is left alone: whoever changed it has accounted for what was due until then.
    pub async fn plan_due(
        &self,
        now: Timestamp,
        due: Vec<ScheduledCron>,
    ) -> Result<Vec<Planned>, StoreError> {
        self.write(move |tx| due.iter().map(|scheduled| plan_one(tx, scheduled, now)).collect()).await
    }
}

fn plan_one(tx: &Tx<'_>, scheduled: &ScheduledCron, now: Timestamp) -> Result<Planned, StoreError> {
    let cron_id = scheduled.cron.cron_id;
    let known = known(tx, cron_id)?;
    let known = known.filter(|known| !known.removed && known.definition_id == scheduled.definition_id);
    match known {
        // What the store has is the truth: the cursor in hand may be older.
        Some(known) => commit_plan(tx, scheduled, known.cursor, &known.state, now),
        None => Ok(Planned { cron_id, cursor: scheduled.cursor, next_wake: None, fired: 0, is_stale: true }),
    }
}

/// Plans one cron up to `now`, in as many plans as it takes.
pub(super) fn plan_until(tx: &Tx<'_>, scheduled: &ScheduledCron, now: Timestamp) -> Result<(), StoreError> {
    loop {
        let Some(known) = known(tx, scheduled.cron.cron_id)? else { return Ok(()) };
        let planned = commit_plan(tx, scheduled, known.cursor, &known.state, now)?;
        if planned.next_wake.is_none_or(|at| at > now) {
            return Ok(());
        }
    }
}

/// Writes the decisions of a plan, its cursor, and what is used up of the cron's standing.
fn commit_plan(
    tx: &Tx<'_>,
    scheduled: &ScheduledCron,
    cursor: Timestamp,
    state: &CronState,
    now: Timestamp,
) -> Result<Planned, StoreError> {
    let cron = &scheduled.cron;
    let active = active(tx, cron)?;
    let plan = plan(cron, state, cursor, active, now);
    let mut fired = 0;
    for decision in &plan.decisions {
        fired += usize::from(commit_decision(tx, scheduled, state, decision, now)?);
    }
    if fired > 0 && cron.policy.overlap == Overlap::Cancel {
        cancel_running(tx, cron.cron_id, now)?;
    }
    tx.prepare_cached(
        "UPDATE crons SET cursor = max(cursor, ?2), skip_next = iif(?3, 0, skip_next) WHERE cron_id = ?1",
    )?
    .execute((cron.cron_id.to_string(), millis(plan.cursor), plan.skipped_as_asked))?;
    Ok(Planned {
        cron_id: cron.cron_id,
        cursor: plan.cursor,
        next_wake: plan.next_wake,
        fired,
        is_stale: false,
    })
}

/// Writes one decision; true if a run is to be started.
fn commit_decision(
    tx: &Tx<'_>,
    scheduled: &ScheduledCron,
    state: &CronState,
    decision: &Decision,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let cron = &scheduled.cron;
    let (status, first, last, count, reason) = match decision {
        Decision::Fire { scheduled_for, due_at, start_before, trigger } => {
            let times = [*scheduled_for, *due_at, *start_before];
            return insert_pending(tx, scheduled, times, *trigger);
        }
        Decision::Skip { scheduled_for, reason } => {
            (Status::Skipped, *scheduled_for, *scheduled_for, 1, reason.reason(cron))
        }
        Decision::Pause { first, last, count } => {
            let reason = state.paused.as_ref().map(Pause::reason);
            (Status::Skipped, *first, *last, *count, reason.unwrap_or(Reason::bare(ReasonCode::Paused)))
        }
        Decision::Miss { first, last, count, reason } => {
            (Status::Missed, *first, *last, *count, reason.reason(cron))
        }
    };
    let stretch = Stretch { status, first, last, count, reason };
    let same = match decision {
        Decision::Pause { .. } => {
            let since = state.paused.as_ref().map_or(Timestamp::MIN, |pause| pause.since);
            Some(SameStretch::Pause { since })
        }
        Decision::Miss { .. } => Some(SameStretch::CatchUp { since: a_little_before(now) }),
        Decision::Fire { .. } | Decision::Skip { .. } => None,
    };
    let extended = match same {
        Some(same) => stretch.extend(tx, cron.cron_id, same, now)?,
        None => Extended::No,
    };
    match extended {
        Extended::Yes => {}
        Extended::No => stretch.insert(tx, scheduled, now)?,
    }
    Ok(false)
}

/// A record younger than this may be one of the same catch-up.
fn a_little_before(now: Timestamp) -> Timestamp {
    now.saturating_sub(jiff::SignedDuration::from_mins(1)).unwrap_or(now)
}

/// The runs of a cron that are not over, as far as its overlap policy wants to know.
fn active(tx: &Transaction<'_>, cron: &Cron) -> Result<Active, StoreError> {
    let mut active = Active::default();
    if cron.policy.overlap == Overlap::Allow {
        return Ok(active);
    }
    let mut statement =
        tx.prepare_cached("SELECT run_id, phase FROM runs WHERE cron_id = ?1 AND phase <> 'ended'")?;
    let mut rows = statement.query([cron.cron_id.to_string()])?;
    while let Some(row) = rows.next()? {
        match super::rows::parsed::<Phase>(row, "phase")? {
            Phase::Pending => active.waiting += 1,
            Phase::Sending | Phase::Unconfirmed | Phase::Running => {
                active.running = Some(super::rows::parsed(row, "run_id")?);
            }
            Phase::Ended => {}
        }
    }
    Ok(active)
}
