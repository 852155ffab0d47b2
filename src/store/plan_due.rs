//! Planning what is due: the pure plan, and its decisions as rows, in one transaction for all crons that are due.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Transaction, named_params};

use super::rows::millis;
use super::{Store, StoreError};
use crate::domain::cron::{Cron, Overlap};
use crate::domain::ids::{CronId, DefinitionId, RunId};
use crate::domain::plan::{Active, Decision, MissReason, SkipReason, plan};
use crate::domain::run::{CancelCause, Phase, Status, Trigger};

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
}

impl Store {
    /// Plans every one of `due` up to `now` and commits all that was decided.
    pub async fn plan_due(
        &self,
        now: Timestamp,
        due: Vec<ScheduledCron>,
    ) -> Result<Vec<Planned>, StoreError> {
        self.write(move |tx| due.iter().map(|scheduled| commit_plan(tx, scheduled, now)).collect()).await
    }
}

/// Plans one cron and writes the decisions and its cursor.
pub(super) fn commit_plan(
    tx: &Transaction<'_>,
    scheduled: &ScheduledCron,
    now: Timestamp,
) -> Result<Planned, StoreError> {
    let cron = &scheduled.cron;
    let active = active(tx, cron)?;
    let plan = plan(cron, scheduled.cursor, active, now);
    let mut fired = 0;
    for decision in &plan.decisions {
        match decision {
            Decision::Fire { scheduled_for, due_at, start_before, trigger } => {
                let times = [*scheduled_for, *due_at, *start_before];
                fired += usize::from(insert_pending(tx, scheduled, times, *trigger)?);
            }
            Decision::Skip { scheduled_for, reason } => {
                let reason = skip_words(cron, reason);
                insert_over(
                    tx,
                    scheduled,
                    Status::Skipped,
                    [*scheduled_for, *scheduled_for],
                    1,
                    &reason,
                    now,
                )?;
            }
            Decision::Miss { first, last, count, reason } => {
                let reason = miss_words(cron, *reason);
                insert_over(tx, scheduled, Status::Missed, [*first, *last], *count, &reason, now)?;
            }
        }
    }
    if fired > 0 && cron.policy.overlap == Overlap::Cancel {
        cancel_going(tx, cron.cron_id, now)?;
    }
    tx.prepare_cached("UPDATE crons SET cursor = max(cursor, ?2) WHERE cron_id = ?1")?
        .execute((cron.cron_id.to_string(), millis(plan.cursor)))?;
    Ok(Planned { cron_id: cron.cron_id, cursor: plan.cursor, next_wake: plan.next_wake, fired })
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
            Phase::Sending | Phase::Doubtful | Phase::Running => {
                active.going = Some(super::rows::parsed(row, "run_id")?);
            }
            Phase::Ended => {}
        }
    }
    Ok(active)
}

fn skip_words(cron: &Cron, reason: &SkipReason) -> String {
    match reason {
        SkipReason::Overlap(going) => {
            format!("overlap: run {going} of {} was still going (overlap = \"skip\")", cron.name)
        }
        SkipReason::QueueFull => {
            "overlap: one run is going and one is waiting (overlap = \"queue\")".to_owned()
        }
        SkipReason::Excluded => "excluded: this day is excluded".to_owned(),
    }
}

fn miss_words(cron: &Cron, reason: MissReason) -> String {
    match reason {
        MissReason::NoCatchup => "not running at that time (catchup = \"none\")".to_owned(),
        MissReason::LaterOne => {
            "not running at that time, and a later occurrence was caught up (catchup = \"latest\")".to_owned()
        }
        MissReason::OutsideWindow => format!(
            "not running at that time, longer ago than catchup_window = {}",
            humantime::format_duration(cron.policy.catchup_window)
        ),
    }
}

/// Inserts a run to be started. False if this occurrence has a row already: the unique key is what forbids a
/// second firing, whatever the clock did.
fn insert_pending(
    tx: &Transaction<'_>,
    scheduled: &ScheduledCron,
    [scheduled_for, due_at, start_before]: [Timestamp; 3],
    trigger: Trigger,
) -> Result<bool, StoreError> {
    let cron = &scheduled.cron;
    let inserted = tx
        .prepare_cached(
            "INSERT INTO runs (run_id, cron_id, cron_name, definition_id, trigger, scheduled_for, due_at, \
             start_before, exclusive, phase, attempt, act_at) \
             VALUES (:run_id, :cron_id, :cron_name, :definition_id, :trigger, :scheduled_for, :due_at, \
             :start_before, :exclusive, 'pending', 1, :due_at) ON CONFLICT DO NOTHING",
        )?
        .execute(named_params! {
            ":run_id": RunId::of_occurrence(cron.cron_id, scheduled_for).to_string(),
            ":cron_id": cron.cron_id.to_string(),
            ":cron_name": cron.name,
            ":definition_id": scheduled.definition_id.to_string(),
            ":trigger": trigger.as_str(),
            ":scheduled_for": millis(scheduled_for),
            ":due_at": millis(due_at),
            ":start_before": millis(start_before),
            ":exclusive": i64::from(cron.policy.overlap != Overlap::Allow),
        })?;
    Ok(inserted == 1)
}

/// Inserts the record of occurrences that never run.
fn insert_over(
    tx: &Transaction<'_>,
    scheduled: &ScheduledCron,
    status: Status,
    [first, last]: [Timestamp; 2],
    count: u64,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let cron = &scheduled.cron;
    tx.prepare_cached(
        "INSERT INTO runs (run_id, cron_id, cron_name, definition_id, trigger, scheduled_for, due_at, \
         start_before, exclusive, phase, attempt, status, reason, ended_at, occurrences, last_scheduled_for) \
         VALUES (:run_id, :cron_id, :cron_name, :definition_id, 'schedule', :first, :first, :first, 0, 'ended', \
         1, :status, :reason, :now, :count, :last) ON CONFLICT DO NOTHING",
    )?
    .execute(named_params! {
        ":run_id": RunId::of_occurrence(cron.cron_id, first).to_string(),
        ":cron_id": cron.cron_id.to_string(),
        ":cron_name": cron.name,
        ":definition_id": scheduled.definition_id.to_string(),
        ":first": millis(first),
        ":last": millis(last),
        ":status": status.as_str(),
        ":reason": reason,
        ":now": millis(now),
        ":count": i64::try_from(count).unwrap_or(i64::MAX),
    })?;
    Ok(())
}

/// `overlap = "cancel"`: what is going is to end, and the runner is to see to it now.
fn cancel_going(tx: &Transaction<'_>, cron_id: CronId, now: Timestamp) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE runs SET cancelling = coalesce(cancelling, :cause), act_at = :now \
         WHERE cron_id = :cron_id AND phase = 'running'",
    )?
    .execute(named_params! {
        ":cron_id": cron_id.to_string(),
        ":cause": CancelCause::Overlap.as_str(),
        ":now": millis(now),
    })?;
    Ok(())
}

/// A word column of the store that this file compares with; kept here so that a renamed word fails a test.
#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    #[test]
    fn the_words_in_sql_are_those_of_the_domain() {
        assert_eq!(Phase::from_str("pending"), Ok(Phase::Pending));
        assert_eq!(Phase::from_str("ended"), Ok(Phase::Ended));
        assert_eq!(Phase::from_str("running"), Ok(Phase::Running));
    }
}
