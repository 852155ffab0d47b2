//! How one run is described to a person: its tone, its reason, and its times.

use jiff::{SignedDuration, Timestamp};

use super::Tone;
use crate::domain::ids::FIRST_RUN;
use crate::domain::run::{BackendRun, Outcome, Phase, Run, RunError, RunState, Status};
use crate::store::RunRow;

/// Usually the end of a run is learnt within a second.
const LEARNT_LATE: SignedDuration = SignedDuration::from_secs(3);

/// Returns the tone of a run: of its outcome, or of its phase while it is in progress.
pub fn tone(row: &RunRow) -> Tone {
    match (row.status(), row.run.state.phase()) {
        (Some(status), _) => status_tone(status),
        (None, Phase::Unconfirmed) => Tone::Attention,
        (None, Phase::Pending | Phase::Sending | Phase::Running | Phase::Ended) => Tone::Active,
    }
}

pub fn status_tone(status: Status) -> Tone {
    match status {
        Status::Success => Tone::Good,
        Status::Error | Status::Timeout => Tone::Bad,
        Status::Interrupted | Status::Cancelled | Status::Skipped | Status::Missed => Tone::Attention,
    }
}

/// Returns which run of its occurrence it is, as in `retry 1`; empty for the first one.
pub fn number(run: &Run) -> String {
    if run.retry == FIRST_RUN { String::new() } else { format!("retry {}", run.retry) }
}

/// Returns a run of an occurrence with several in one line.
pub fn in_short(row: &RunRow) -> String {
    let number = if row.run.retry == FIRST_RUN { "first run".to_owned() } else { number(&row.run) };
    let why = why(row);
    let why = if why.is_empty() { why } else { format!(": {why}") };
    format!("{number}, run {}: {}{why}", row.run.run_id, row.status_word())
}

/// Returns the reason and the graph's own error in one text, or what the run waits for, empty if there is none of these.
pub fn why(row: &RunRow) -> String {
    let error = error(&row.run).map(|error| {
        if error.error.is_empty() {
            error.message.clone()
        } else {
            format!("{}: {}", error.error, error.message)
        }
    });
    let reason = row.run.reason.as_ref().and_then(|reason| reason.message.as_deref());
    match (reason, error) {
        (Some(reason), Some(error)) => format!("{error} ({reason})"),
        (Some(reason), None) => reason.to_owned(),
        (None, Some(error)) => error,
        (None, None) => row.waits_for.map(|run_id| format!("waits for run {run_id}")).unwrap_or_default(),
    }
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

/// Returns the error that the graph or the agent server reported.
pub fn error(run: &Run) -> Option<&RunError> {
    outcome(run)?.error.as_ref()
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

/// Returns the time from the scheduled instant until the agent server accepted the run, or `None` if it never did.
pub fn lateness(run: &Run) -> Option<SignedDuration> {
    backend_run(run).map(|backend_run| backend_run.started_at.duration_since(run.scheduled_for))
}

/// Returns the time from the acceptance by the agent server until the end, or `None` if it lacks either or the end is not known.
pub fn duration(run: &Run) -> Option<SignedDuration> {
    outcome(run)?.took(backend_run(run)?.started_at)?.try_into().ok()
}

/// Returns how often the request was sent: `never`, `once`, `3 times`.
pub fn sent_text(run: &Run) -> String {
    match run.send_count {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}
