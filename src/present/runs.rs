//! How one run is described to a person: its tone, its reason, and its times.

use jiff::{SignedDuration, Timestamp};

use super::Tone;
use crate::domain::run::{BackendRun, Outcome, Run, RunState, Status};
use crate::store::RunRow;

/// Usually the end of a run is learnt within a second.
const LEARNT_LATE: SignedDuration = SignedDuration::from_secs(3);

pub fn status_tone(status: Status) -> Tone {
    match status {
        Status::Success => Tone::Good,
        Status::Error | Status::Timeout => Tone::Bad,
        Status::Interrupted | Status::Cancelled | Status::Skipped | Status::Missed => Tone::Attention,
    }
}

/// Returns the reason and the graph's own error, its kind and its message, in one text, or what the run waits for, empty if
/// there is none of these.
pub fn why(error: Option<(&str, &str)>, reason: Option<&str>, waits_for: Option<&str>) -> String {
    let error = error.map(|(error, message)| match error {
        "" => message.to_owned(),
        _ => format!("{error}: {message}"),
    });
    match (reason, error) {
        (Some(reason), Some(error)) => format!("{error} ({reason})"),
        (Some(reason), None) => reason.to_owned(),
        (None, Some(error)) => error,
        (None, None) => waits_for.map(|run_id| format!("waits for run {run_id}")).unwrap_or_default(),
    }
}

/// Returns the same of the row of a run.
pub fn why_of(row: &RunRow) -> String {
    let error = outcome(&row.run).and_then(|outcome| outcome.error.as_ref());
    let error = error.map(|error| (error.error.as_str(), error.message.as_str()));
    let reason = row.run.reason.as_ref().and_then(|reason| reason.message.as_deref());
    why(error, reason, row.waits_for.map(|run_id| run_id.to_string()).as_deref())
}

/// Returns the run as the agent server has or had it, or `None` if the server never accepted it.
pub fn backend_run(run: &Run) -> Option<&BackendRun> {
    match &run.state {
        RunState::Running(backend_run) => Some(backend_run),
        RunState::Ended { backend_run, .. } => backend_run.as_ref(),
        RunState::Pending { .. } | RunState::Sending { .. } | RunState::Unconfirmed { .. } => None,
    }
}

/// Returns when the run ended, or `None` while it is in progress.
pub fn ended_at(run: &Run) -> Option<Timestamp> {
    outcome(run).map(|outcome| outcome.ended_at)
}

/// Returns when agentcron learnt of the end of the run, if that was noticeably later.
pub fn learnt_late_at(run: &Run) -> Option<Timestamp> {
    let Outcome { ended_at, learnt_at, .. } = outcome(run)?;
    (learnt_at.duration_since(*ended_at) > LEARNT_LATE).then_some(*learnt_at)
}

/// Returns how the run ended, or `None` while it is in progress.
fn outcome(run: &Run) -> Option<&Outcome> {
    match &run.state {
        RunState::Ended { outcome, .. } => Some(outcome),
        RunState::Pending { .. }
        | RunState::Sending { .. }
        | RunState::Unconfirmed { .. }
        | RunState::Running(_) => None,
    }
}
