//! Planning: the decisions of the pure plan become rows, in one transaction for all crons that are due.

use jiff::Timestamp;
use rusqlite::Transaction;

use super::counts::Tx;
use super::cron_entries::{self, CronEntry};
use super::occurrences::{Insertion, MergeRule, RunTimes, SkippedRange, cancel_running, insert_pending};
use super::rows::{millis, parsed, time_option};
use super::scheduled_crons::ScheduledCron;
use super::set_back::decided;
use super::{Store, StoreError, outages};
use crate::domain::cron::{Cron, Overlap};
use crate::domain::cron_state::{CronState, Pause};
use crate::domain::ids::FIRST_RUN;
use crate::domain::outage::Outage;
use crate::domain::plan::{Active, Decision, Former, PlanFacts, just_before, plan, undecided_after};
use crate::domain::reason::{Reason, ReasonCode};
use crate::domain::run::{Phase, Status, Trigger};

/// What became of the plan of one cron.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanResult {
    Planned(Planned),
    /// Nothing was planned, because the cron has another definition by now, or is removed.
    Stale,
}

/// A plan that is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The last instant that is accounted for.
    pub cursor: Timestamp,
    /// When to plan again, or `None` once the calendar has ended.
    pub next_wake: Option<Timestamp>,
    /// How many runs were added.
    pub fired: usize,
}

impl Store {
    /// Plans each of `due` up to `now`, commits the decisions, and returns one result for each, in the same
    /// order.
    ///
    /// A cron whose definition was replaced is not planned: the change of the definition has already
    /// accounted for everything that was due until then.
    pub async fn plan_due(
        &self,
        now: Timestamp,
        due: Vec<ScheduledCron>,
    ) -> Result<Vec<PlanResult>, StoreError> {
        let since = due.iter().map(|scheduled| scheduled.cursor).min().unwrap_or(now);
        self.write(move |tx| {
            let outages = outages::lasting_since(tx, since)?;
            due.iter().map(|scheduled| plan_one(tx, scheduled, &outages, now)).collect()
        })
        .await
    }
}

fn plan_one(
    tx: &Tx<'_>,
    scheduled: &ScheduledCron,
    outages: &[Outage],
    now: Timestamp,
) -> Result<PlanResult, StoreError> {
    let entry = cron_entries::by_id(tx, scheduled.cron.cron_id)?;
    let entry = entry.filter(|entry| !entry.removed && entry.definition_id == scheduled.definition_id);
    match entry {
        // The store has the truth: the caller's cursor may be older.
        Some(entry) => commit_plan(tx, scheduled, None, &entry, outages, now).map(PlanResult::Planned),
        None => Ok(PlanResult::Stale),
    }
}

/// Plans one cron up to `now`, in as many plans as it takes.
pub(super) fn plan_until(tx: &Tx<'_>, scheduled: &ScheduledCron, now: Timestamp) -> Result<(), StoreError> {
    let outages = outages::lasting_since(tx, scheduled.cursor)?;
    loop {
        let Some(entry) = cron_entries::by_id(tx, scheduled.cron.cron_id)? else { return Ok(()) };
        let planned = commit_plan(tx, scheduled, None, &entry, &outages, now)?;
        if planned.next_wake.is_none_or(|at| at > now) {
            return Ok(());
        }
    }
}

/// Plans by the new definition what the former one left undecided until `now`, in as many plans as it takes.
/// `reason` is recorded for what only the former one names.
pub(super) fn plan_edited_until(
    tx: &Tx<'_>,
    scheduled: &ScheduledCron,
    former: &ScheduledCron,
    reason: &Reason,
    now: Timestamp,
) -> Result<(), StoreError> {
    let outages = outages::lasting_since(tx, former.cursor)?;
    let mut after = undecided_after(&former.cron, former.cursor, now);
    while let Some(cursor) = after {
        let Some(entry) = cron_entries::by_id(tx, scheduled.cron.cron_id)? else { return Ok(()) };
        let entry = CronEntry { cursor, ..entry };
        let planned = commit_plan(tx, scheduled, Some((former, reason)), &entry, &outages, now)?;
        after = planned.next_wake.filter(|at| *at <= now).map(|_| planned.cursor);
    }
    Ok(())
}

/// Plans once, writes the decisions and the cursor, and clears `skip_next` if the plan used it up. After an edit
/// there is a former version, and a reason for what only that one names.
fn commit_plan(
    tx: &Tx<'_>,
    scheduled: &ScheduledCron,
    former: Option<(&ScheduledCron, &Reason)>,
    entry: &CronEntry,
    outages: &[Outage],
    now: Timestamp,
) -> Result<Planned, StoreError> {
    let cron = &scheduled.cron;
    let (state, cursor) = (&entry.state, entry.cursor);
    let dropped = former.map(|(former, reason)| Former { cron: &former.cron, reason });
    let decided = decided(tx, Some(cron.cron_id), cursor)?;
    let active = active(tx, cron, now)?;
    let facts = PlanFacts { state, cursor, decided: &decided, active, outages, now };
    let plan = plan(cron, dropped, &facts);
    // What only the former definition names is recorded with it, so that `explain` can tell which instants those are.
    let version_of = |decision: &Decision| match decision {
        Decision::Drop { .. } => former.map_or(scheduled, |(former, _)| former),
        Decision::Fire { .. } | Decision::Skip { .. } | Decision::Pause { .. } | Decision::Miss { .. } => {
            scheduled
        }
    };
    let mut fired = 0;
    for decision in &plan.decisions {
        match new_row(cron, state, decision, now) {
            NewRow::Run(times, trigger) => match insert_pending(tx, scheduled, times, trigger)? {
                Insertion::Inserted => fired += 1,
                Insertion::Existed => {}
            },
            NewRow::Record(range, rule) => range.record(tx, version_of(decision), rule, now)?,
        }
    }
    if fired > 0 && cron.policy.overlap == Overlap::Cancel {
        cancel_running(tx, cron.cron_id, now)?;
    }
    tx.prepare_cached(
        "UPDATE crons SET cursor = max(cursor, ?2), skip_next = iif(?3, 0, skip_next) WHERE cron_id = ?1",
    )?
    .execute((cron.cron_id.to_string(), millis(plan.cursor), plan.used_skip_next))?;
    Ok(Planned { cursor: plan.cursor, next_wake: plan.next_wake, fired })
}

/// The row that a decision adds.
enum NewRow {
    Run(RunTimes, Trigger),
    Record(SkippedRange, MergeRule),
}

fn new_row(cron: &Cron, state: &CronState, decision: &Decision, now: Timestamp) -> NewRow {
    match decision {
        Decision::Fire { scheduled_for, due_at, start_before, trigger } => {
            let (scheduled_for, due_at, start_before) = (*scheduled_for, *due_at, *start_before);
            NewRow::Run(RunTimes { scheduled_for, due_at, start_before }, *trigger)
        }
        Decision::Skip { scheduled_for, reason } => {
            let (first, last) = (*scheduled_for, *scheduled_for);
            let (status, reason) = (Status::Skipped, reason.reason(cron));
            NewRow::Record(SkippedRange { status, first, last, count: 1, reason }, MergeRule::Never)
        }
        Decision::Pause { first, last, count } => {
            let pause = state.paused.as_ref();
            let since = pause.map_or(Timestamp::MIN, |pause| pause.since);
            let reason = pause.map_or(Reason::bare(ReasonCode::Paused), Pause::reason);
            let (first, last, count) = (*first, *last, *count);
            let range = SkippedRange { status: Status::Skipped, first, last, count, reason };
            NewRow::Record(range, MergeRule::SamePause { since })
        }
        Decision::Drop { first, last, count, reason } => {
            let (first, last, count, reason) = (*first, *last, *count, reason.clone());
            let range = SkippedRange { status: Status::Skipped, first, last, count, reason };
            NewRow::Record(range, MergeRule::Never)
        }
        Decision::Miss { first, last, count, reason, outage } => {
            let (first, last, count) = (*first, *last, *count);
            let reason = reason.reason(cron, outage.as_ref());
            let range = SkippedRange { status: Status::Missed, first, last, count, reason };
            let after = outage.as_ref().map_or(Timestamp::MIN, |outage| just_before(outage.since));
            NewRow::Record(range, MergeRule::SameCatchUp { after, since: shortly_before(now) })
        }
    }
}

/// Returns the age below which a record may belong to the same catch-up.
fn shortly_before(now: Timestamp) -> Timestamp {
    now.saturating_sub(jiff::SignedDuration::from_mins(1)).unwrap_or(now)
}

/// Returns the runs of a cron that have not ended, as far as its overlap policy depends on them. One whose time is still
/// to come, because the clock was set back, is in nobody's way. Between two runs of an occurrence, the occurrence is in
/// progress, unless the next one comes too late.
fn active(tx: &Transaction<'_>, cron: &Cron, now: Timestamp) -> Result<Active, StoreError> {
    let mut active = Active::default();
    if cron.policy.overlap == Overlap::Allow {
        return Ok(active);
    }
    let mut statement = tx.prepare_cached(
        "SELECT run_id, phase, retry, recovered_at FROM runs WHERE cron_id = ?1 AND phase <> 'ended' \
         AND (phase <> 'pending' OR scheduled_for <= ?2) \
         AND NOT (phase = 'pending' AND retry > 0 AND start_before <= ?2)",
    )?;
    let mut rows = statement.query((cron.cron_id.to_string(), millis(now)))?;
    while let Some(row) = rows.next()? {
        match parsed::<Phase>(row, "phase")? {
            Phase::Pending if row.get::<_, u32>("retry")? == FIRST_RUN => active.waiting += 1,
            Phase::Pending | Phase::Sending | Phase::Unconfirmed | Phase::Running => {
                active.running = Some(parsed(row, "run_id")?);
                active.recovered_at = active.recovered_at.max(time_option(row, "recovered_at")?);
            }
            Phase::Ended => {}
        }
    }
    Ok(active)
}
