//! Whether an occurrence whose run has failed gets a further run, and when. It is pure.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::backoff;
use super::bounds::{RETRY_WAIT_MAX, START_DEADLINE_MAX};
use super::cron::{Policy, RetryOn, RetryPolicy};
use super::overload::wait_after_overload;
use super::reason::ReasonCode;
use super::run::{Outcome, Run, RunState, Status, Trigger};

/// What follows from the end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterRun {
    /// The occurrence gets a further run.
    Retry(NextRun),
    /// The occurrence has ended.
    Final(WhyFinal),
}

/// A further run of an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextRun {
    pub retry: u32,
    pub due_at: Timestamp,
    pub start_before: Timestamp,
    /// When the first run of the occurrence started.
    pub first_started_at: Timestamp,
}

/// Why an occurrence gets no further run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyFinal {
    /// Its cron retries nothing, or no run that ended like this.
    NotRetried,
    /// Another run would end in the same way, or this one may still be in progress.
    WouldNotHelp,
    /// It has had as many further runs as it may have.
    UsedUp,
    /// The next run would be due after the `timeout` of the whole occurrence.
    Timeout,
    /// The next run would be due after the `start_deadline` of the occurrence.
    StartDeadline,
}

impl fmt::Display for WhyFinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRetried => "runs that end like this are not retried",
            Self::WouldNotHelp => "a run that ended for this reason is never retried",
            Self::UsedUp => "it has had as many retries as `retry.max` allows",
            Self::Timeout => "the next run would be due after `timeout`, which counts from the first run",
            Self::StartDeadline => "the next run would be due after `start_deadline`",
        })
    }
}

/// Returns what follows from the end of a run of a cron with this policy.
pub fn after_run(policy: &Policy, run: &Run, outcome: &Outcome) -> AfterRun {
    let Some(retry) = policy.retry.as_ref().filter(|retry| retry.applies_to(outcome.status)) else {
        return AfterRun::Final(WhyFinal::NotRetried);
    };
    let started_at = match &run.state {
        RunState::Running(backend_run) | RunState::Ended { backend_run: Some(backend_run), .. } => {
            backend_run.started_at
        }
        RunState::Pending { .. }
        | RunState::Sending { .. }
        | RunState::Unconfirmed { .. }
        | RunState::Ended { backend_run: None, .. } => return AfterRun::Final(WhyFinal::WouldNotHelp),
    };
    if outcome.reason.as_ref().is_some_and(|reason| !may_help_after(reason.code)) {
        return AfterRun::Final(WhyFinal::WouldNotHelp);
    }
    if run.retry >= retry.max {
        return AfterRun::Final(WhyFinal::UsedUp);
    }
    let first_started_at = run.first_started_at.unwrap_or(started_at);
    let due_at = backoff::after(outcome.ended_at, retry.wait(run, outcome)).max(outcome.learnt_at);
    if policy.timeout.is_some_and(|timeout| due_at >= backoff::after(first_started_at, timeout)) {
        return AfterRun::Final(WhyFinal::Timeout);
    }
    // What was backfilled has a deadline of its own, which counts from the request.
    let is_explicit = policy.start_deadline.is_some() || run.trigger == Trigger::Backfill;
    let start_before = match is_explicit {
        true => run.start_before,
        false => backoff::after(due_at, START_DEADLINE_MAX),
    };
    if due_at >= start_before {
        return AfterRun::Final(WhyFinal::StartDeadline);
    }
    let start_before = before_timeout(policy, Some(first_started_at), start_before);
    AfterRun::Retry(NextRun { retry: run.retry + 1, due_at, start_before, first_started_at })
}

/// Returns the start deadline of a further run, which must not start once the `timeout` of its occurrence is over.
pub fn before_timeout(
    policy: &Policy,
    first_started_at: Option<Timestamp>,
    start_before: Timestamp,
) -> Timestamp {
    let timeout = first_started_at.zip(policy.timeout).map(|(from, timeout)| backoff::after(from, timeout));
    timeout.map_or(start_before, |timeout| start_before.min(timeout))
}

impl RetryPolicy {
    fn applies_to(&self, status: Status) -> bool {
        match status {
            Status::Error => self.on.contains(&RetryOn::Error),
            Status::Timeout => self.on.contains(&RetryOn::Timeout),
            Status::Success | Status::Interrupted | Status::Cancelled | Status::Skipped | Status::Missed => {
                false
            }
        }
    }

    /// Returns the wait before the next run, with jitter.
    fn wait(&self, run: &Run, outcome: &Outcome) -> Duration {
        let exponent = i32::try_from(run.retry).unwrap_or(i32::MAX);
        let seconds = self.backoff.as_secs_f64() * self.factor.powi(exponent);
        let wait = Duration::try_from_secs_f64(seconds).unwrap_or(RETRY_WAIT_MAX);
        let asked = outcome.error.as_ref().and_then(wait_after_overload).unwrap_or_default();
        backoff::with_jitter(wait.max(asked).min(RETRY_WAIT_MAX), run.run_id.0, run.retry)
    }
}

/// Whether another run may end differently than one that the agent server had and that failed for this reason.
fn may_help_after(code: ReasonCode) -> bool {
    match code {
        ReasonCode::GraphError
        | ReasonCode::Overloaded
        | ReasonCode::Timeout
        | ReasonCode::AfterTimeout
        | ReasonCode::BackendTimeout
        // It may have done its work: a run that is retried runs at least once.
        | ReasonCode::Lost
        // These say something about the start or the values.
        | ReasonCode::StartedLate
        | ReasonCode::Adopted
        | ReasonCode::ValuesTooLarge
        | ReasonCode::ValuesGone => true,
        // It may be in progress still.
        ReasonCode::Unknown
        | ReasonCode::Internal
        | ReasonCode::BackendDenied
        | ReasonCode::StartUnconfirmed
        | ReasonCode::BackendUnreachable
        // The request is at fault, or its time is over.
        | ReasonCode::Rejected
        | ReasonCode::Placeholder
        | ReasonCode::StartDeadline
        | ReasonCode::BackendAway
        | ReasonCode::DaemonDown
        | ReasonCode::DiskFull
        | ReasonCode::StoreAway
        | ReasonCode::Restored
        // Somebody wants it so.
        | ReasonCode::HumanInput
        | ReasonCode::BackendInterrupted
        | ReasonCode::RolledBack
        | ReasonCode::CancelRequest
        | ReasonCode::CancelOverlap
        | ReasonCode::Overlap
        | ReasonCode::QueueFull
        | ReasonCode::ThreadBusy
        | ReasonCode::Excluded
        | ReasonCode::SkipNext
        | ReasonCode::Paused
        | ReasonCode::Removed
        | ReasonCode::Disabled
        | ReasonCode::Edited
        | ReasonCode::CatchupNone
        | ReasonCode::CatchupLatest
        | ReasonCode::CatchupWindow => false,
    }
}

/// Whether a retry ended without having run, or in a way that nobody can tell, so that the webhook of the run before it
/// is still owed.
pub fn owes_former_webhook(state: &RunState) -> bool {
    let RunState::Ended { backend_run, outcome } = state else { return false };
    match outcome.status {
        Status::Skipped | Status::Missed => true,
        Status::Cancelled => backend_run.is_none(),
        Status::Success | Status::Error | Status::Timeout | Status::Interrupted => {
            let code = outcome.reason.as_ref().map(|reason| reason.code);
            code.is_some_and(|code| code.is_too_late() || code == ReasonCode::Internal)
        }
    }
}

#[cfg(test)]
mod tests;
