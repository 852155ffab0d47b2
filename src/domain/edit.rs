//! What an edit or a pause of a cron makes of what it has not sent: whatever is sent is sent by the definition
//! that the cron has then. It is pure.

use jiff::Timestamp;

use super::backoff;
use super::bounds::{ON_TIME_WITHIN, START_DEADLINE_MAX};
use super::cron::Cron;
use super::cron_state::{CronState, Pause};
use super::ids::FIRST_RUN;
use super::plan::{SkipReason, due_at, is_excluded, names, next_within, start_deadline, too_late};
use super::reason::{Reason, ReasonCode};
use super::retry::before_timeout;
use super::run::{Run, Status, Trigger};

/// Why a waiting run ends instead of being sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsent {
    pub status: Status,
    pub reason: Reason,
}

/// Returns the reason that is recorded for an occurrence that the present definition of its cron does not name.
pub fn drop_reason(cron: &Cron) -> Reason {
    if !cron.enabled {
        return Reason::new(
            ReasonCode::Disabled,
            "the cron was disabled before it was started (enabled = false)",
        );
    }
    let message = "the cron was edited before it was started, and has no occurrence at this time after that";
    Reason::new(ReasonCode::Edited, message)
}

/// Returns why a run must not be sent that waits while its cron, or all crons, are paused; `None` if they are not, or
/// if a person asked for the run: a paused cron can be triggered. Nobody asked for its retries.
pub fn unsent_while_paused(
    run: &Run,
    state: &CronState,
    pause_of_all: Option<&Pause>,
    now: Timestamp,
) -> Option<Unsent> {
    let pause = state.pause(now).or(pause_of_all.filter(|pause| pause.is_in_force(now)));
    let pause = pause.filter(|_| is_of_calendar(run.trigger) || is_automatic_retry(run))?;
    Some(Unsent { status: Status::Skipped, reason: pause.reason() })
}

/// Returns why a waiting run must not be sent by the present definition of its cron. `former` is the one that it
/// was planned with, if that is known. What a person asked for is sent in any case, but not its retries.
pub fn unsent_after_edit(run: &Run, cron: &Cron, former: Option<&Cron>, now: Timestamp) -> Option<Unsent> {
    let at = run.scheduled_for;
    let is_retry = is_automatic_retry(run);
    if is_retry && cron.policy.retry.as_ref().is_none_or(|retry| run.retry > retry.max) {
        let message = "the cron was edited before it was started, and retries less often after that";
        return Some(Unsent { status: Status::Skipped, reason: Reason::new(ReasonCode::Edited, message) });
    }
    if !is_of_calendar(run.trigger) {
        return None;
    }
    if !names(cron, at) {
        return Some(Unsent { status: Status::Skipped, reason: drop_reason(cron) });
    }
    if is_excluded(cron, at) {
        return Some(Unsent { status: Status::Skipped, reason: SkipReason::Excluded.reason(cron) });
    }
    // It was found in time by the rules of then, so only other rules can make it too late. A retry was not found late.
    let catchup = |cron: &Cron| (cron.policy.catchup, cron.policy.catchup_window);
    former.filter(|former| catchup(former) != catchup(cron) && !is_retry)?;
    let is_late = backoff::between(at, now) > ON_TIME_WITHIN || run.start_before <= now;
    let why = too_late(cron, at, next_within(cron, at), now).filter(|_| is_late)?;
    Some(Unsent { status: Status::Missed, reason: why.reason(cron, None) })
}

/// Returns when a waiting run is due by the present definition of its cron: what the calendar has made wait and was
/// never sent may have another jitter.
pub fn due_after_edit(run: &Run, cron: &Cron) -> Timestamp {
    match is_of_calendar(run.trigger) && run.send_count == 0 && run.retry == FIRST_RUN {
        true => due_at(cron, run.scheduled_for),
        false => run.due_at,
    }
}

/// Returns the start deadline of a waiting run by the present definition of its cron.
pub fn start_before_after_edit(run: &Run, cron: &Cron, former: Option<&Cron>) -> Timestamp {
    let start_before = deadline_after_edit(run, cron, former);
    // That of a catch-up counts from when it was found.
    if run.trigger != Trigger::Schedule {
        return start_before;
    }
    let moved_by = due_after_edit(run, cron).duration_since(run.due_at);
    start_before.saturating_add(moved_by).unwrap_or(start_before)
}

fn deadline_after_edit(run: &Run, cron: &Cron, former: Option<&Cron>) -> Timestamp {
    let deadline = |cron: &Cron| cron.policy.start_deadline;
    let Some(former) = former.filter(|former| deadline(former) != deadline(cron)) else {
        return run.start_before;
    };
    if run.retry > FIRST_RUN {
        // One that the cron has set counts from the occurrence.
        let from = if run.trigger == Trigger::Schedule { run.scheduled_for } else { run.due_at };
        let start_before = match deadline(cron) {
            Some(deadline) => backoff::after(from, deadline),
            None => backoff::after(run.due_at, START_DEADLINE_MAX),
        };
        return before_timeout(&cron.policy, run.first_started_at, start_before);
    }
    let length = |cron: &Cron| start_deadline(cron, run.trigger, run.scheduled_for);
    let counted_from = run.start_before.checked_sub(length(former)).unwrap_or(run.start_before);
    backoff::after(counted_from, length(cron))
}

/// Whether it follows from the failure of a run and `retry`: such a run knows when the first one started.
fn is_automatic_retry(run: &Run) -> bool {
    run.retry > FIRST_RUN && run.first_started_at.is_some()
}

fn is_of_calendar(trigger: Trigger) -> bool {
    match trigger {
        Trigger::Schedule | Trigger::Catchup => true,
        Trigger::Manual | Trigger::Backfill | Trigger::Api => false,
    }
}

#[cfg(test)]
mod tests;
