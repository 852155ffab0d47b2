//! The life of a run: states that carry their data, and one total transition function, used live and in recovery.

use jiff::Timestamp;
use serde_json::Value;

use super::ids::{BackendRunId, CronId, DefinitionId, RunId, ThreadId};
use super::reason::{Reason, ReasonCode};
use super::words::words;

words!(
    /// Why a run exists.
    Trigger {
        /// The calendar named its instant.
        Schedule = "schedule",
        /// It was found too late and fired all the same.
        Catchup = "catchup",
        /// A person asked for it.
        Manual = "manual",
        /// A person asked for a range of past occurrences.
        Backfill = "backfill",
        /// A client of the HTTP API asked for it.
        Api = "api",
    }
);
words!(
    /// How a run ended, or that it never ran.
    Status {
        /// The graph ran to its end.
        Success = "success",
        /// It failed, or could not be started in time.
        Error = "error",
        /// It took longer than it may.
        Timeout = "timeout",
        /// The graph waits for a human, or another run took its thread.
        Interrupted = "interrupted",
        /// It was cancelled on request.
        Cancelled = "cancelled",
        /// It was due and deliberately not started.
        Skipped = "skipped",
        /// Its time passed while nobody could start it.
        Missed = "missed",
    }
);
words!(
    /// The kind of a [`RunState`], as stored and shown.
    Phase {
        /// Waits to be sent.
        Pending = "pending",
        /// Is being sent right now.
        Sending = "sending",
        /// Was sent, and the answer is not known.
        Unconfirmed = "unconfirmed",
        /// Accepted by the backend.
        Running = "running",
        /// Over.
        Ended = "ended",
    }
);
words!(
    /// Why a run that is going is being cancelled.
    CancelCause {
        /// It took longer than the cron's `timeout`.
        Timeout = "timeout",
        /// A person asked.
        Request = "request",
        /// The next occurrence is due, and `overlap = "cancel"`.
        Overlap = "overlap",
    }
);

/// Our record of one occurrence being executed.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Ours; a cron's is derived from `(cron_id, scheduled_for, retry)`.
    pub run_id: RunId,
    /// Whose occurrence it is; `None`: a client of the agent server's API asked for it, and no cron knows it.
    pub cron: Option<CronVersion>,
    /// Why it exists.
    pub trigger: Trigger,
    /// The instant by the calendar.
    pub scheduled_for: Timestamp,
    /// Which run of its occurrence it is; the first is [`FIRST_RUN`](super::ids::FIRST_RUN).
    pub retry: u32,
    /// After jitter.
    pub due_at: Timestamp,
    /// If no backend has accepted it by then, it ends as `error`.
    pub start_before: Timestamp,
    /// How often it was sent.
    pub send_count: u32,
    /// How often in a row the backend did not know it.
    pub not_found_count: u32,
    /// Why it is late or unconfirmed, as last seen.
    pub reason: Option<Reason>,
    /// Where it is in its life.
    pub state: RunState,
}

/// The cron of a run, as it was when the run was planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronVersion {
    /// Which cron.
    pub cron_id: CronId,
    /// Its name at that time.
    pub name: String,
    /// The version of its definition.
    pub definition_id: DefinitionId,
}

impl Run {
    /// The id of its cron, if it has one.
    pub fn cron_id(&self) -> Option<CronId> {
        self.cron.as_ref().map(|cron| cron.cron_id)
    }

    /// The name of its cron, if it has one.
    pub fn cron_name(&self) -> Option<&str> {
        self.cron.as_ref().map(|cron| cron.name.as_str())
    }

    /// What people call it: by its cron's name, or by where it came from.
    pub fn called(&self) -> &str {
        called(self.cron_name())
    }
}

/// What people call a run whose cron has this name.
pub fn called(cron_name: Option<&str>) -> &str {
    cron_name.unwrap_or("(api)")
}

/// Where a run is in its life. `attempt` is the `n` of its thread `T_n`, counted from 1.
#[derive(Clone, Debug, PartialEq)]
pub enum RunState {
    /// Waits to be sent.
    Pending {
        /// The attempt to be sent next.
        start_number: u32,
    },
    /// The intention to send is committed; the request may be on its way.
    Sending {
        /// The attempt being sent.
        start_number: u32,
        /// When the intention was committed.
        sent_at: Timestamp,
    },
    /// It may or may not have reached the backend: ask before sending anything again.
    Unconfirmed {
        /// The attempt in doubt.
        start_number: u32,
        /// When it was sent.
        sent_at: Timestamp,
    },
    /// The backend has accepted it.
    Running(BackendRun),
    /// Over.
    Ended {
        /// What it was on the backend, if it got there.
        backend_run: Option<BackendRun>,
        /// How it ended.
        outcome: Outcome,
    },
}

/// A run as the backend has it.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendRun {
    /// The attempt that was accepted.
    pub start_number: u32,
    /// The thread it runs on.
    pub thread_id: ThreadId,
    /// The backend's own id for it.
    pub backend_run_id: BackendRunId,
    /// When the backend accepted it.
    pub started_at: Timestamp,
    /// Set once we have decided to cancel it.
    pub cancelling: Option<CancelCause>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// In one word.
    pub status: Status,
    /// `None` if there is nothing to say.
    pub reason: Option<Reason>,
    /// What the graph or the backend said went wrong.
    pub error: Option<RunError>,
    /// What the graph returned.
    pub values: Option<Value>,
    /// When we learnt of it.
    pub ended_at: Timestamp,
}

impl Outcome {
    /// Returns the outcome of a run that no backend has.
    pub fn without_backend(status: Status, reason: Reason, ended_at: Timestamp) -> Self {
        Self { status, reason: Some(reason), error: None, values: None, ended_at }
    }
}

/// An error by kind and words, as the agent server reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunError {
    /// Its kind, such as `ValueError`.
    pub error: String,
    /// Its words.
    pub message: String,
}

/// What can happen to a run.
#[derive(Clone, Debug, PartialEq)]
pub enum RunChange {
    /// It is about to be sent.
    Send {
        /// Now.
        at: Timestamp,
    },
    /// It was certainly not taken by the backend; the same attempt may be sent again.
    NotSent,
    /// Nobody knows whether it was taken.
    Unconfirm,
    /// The attempt in doubt is known never to start; the next one may be sent.
    RuleOut,
    /// The backend has it.
    Accept {
        /// The thread it runs on.
        thread_id: ThreadId,
        /// The backend's id.
        backend_run_id: BackendRunId,
        /// Now.
        at: Timestamp,
    },
    /// It is to be cancelled.
    Cancel(CancelCause),
    /// It is over.
    End(Outcome),
}

/// A change that makes no sense in that state: a bug, or a row changed behind our back.
#[derive(Debug, thiserror::Error)]
#[error("a run that is {from} cannot {change}")]
pub struct IllegalTransition {
    from: Phase,
    change: &'static str,
}

impl RunState {
    /// The kind of this state.
    pub fn phase(&self) -> Phase {
        match self {
            RunState::Pending { .. } => Phase::Pending,
            RunState::Sending { .. } => Phase::Sending,
            RunState::Unconfirmed { .. } => Phase::Unconfirmed,
            RunState::Running(_) => Phase::Running,
            RunState::Ended { .. } => Phase::Ended,
        }
    }

    /// How it ended, if it is over.
    pub fn status(&self) -> Option<Status> {
        match self {
            RunState::Ended { outcome, .. } => Some(outcome.status),
            RunState::Pending { .. }
            | RunState::Sending { .. }
            | RunState::Unconfirmed { .. }
            | RunState::Running(_) => None,
        }
    }

    /// The state after `change`. Every pair is written out, so that a new state or change must be thought through.
    pub fn apply(self, change: RunChange) -> Result<RunState, IllegalTransition> {
        use RunChange as C;
        use RunState as S;
        match (self, change) {
            (S::Pending { start_number }, C::Send { at }) => Ok(S::Sending { start_number, sent_at: at }),
            (S::Sending { start_number, .. }, C::NotSent) => Ok(S::Pending { start_number }),
            (
                S::Sending { start_number, sent_at } | S::Unconfirmed { start_number, sent_at },
                C::Unconfirm,
            ) => Ok(S::Unconfirmed { start_number, sent_at }),
            (S::Unconfirmed { start_number, .. }, C::RuleOut) => {
                Ok(S::Pending { start_number: start_number.saturating_add(1) })
            }
            (
                S::Sending { start_number, .. } | S::Unconfirmed { start_number, .. },
                C::Accept { thread_id, backend_run_id, at },
            ) => Ok(S::Running(BackendRun {
                start_number,
                thread_id,
                backend_run_id,
                started_at: at,
                cancelling: None,
            })),
            (S::Running(backend_run), C::Cancel(cause)) => {
                // The first cause stands: it is why the run will end.
                Ok(S::Running(BackendRun {
                    cancelling: backend_run.cancelling.or(Some(cause)),
                    ..backend_run
                }))
            }
            (S::Pending { .. } | S::Sending { .. } | S::Unconfirmed { .. }, C::End(outcome)) => {
                Ok(S::Ended { backend_run: None, outcome })
            }
            (S::Running(backend_run), C::End(outcome)) => {
                Ok(S::Ended { backend_run: Some(backend_run), outcome })
            }

            (state @ S::Pending { .. }, C::NotSent) => illegal(&state, "be not sent"),
            (state @ S::Pending { .. }, C::Unconfirm) => illegal(&state, "come into doubt"),
            (state @ (S::Pending { .. } | S::Sending { .. }), C::RuleOut) => illegal(&state, "be ruled out"),
            (state @ S::Pending { .. }, C::Accept { .. }) => illegal(&state, "be accepted"),
            (state @ (S::Pending { .. } | S::Sending { .. } | S::Unconfirmed { .. }), C::Cancel(_)) => {
                illegal(&state, "be cancelled on the backend")
            }
            (state @ (S::Sending { .. } | S::Unconfirmed { .. }), C::Send { .. }) => {
                illegal(&state, "be sent")
            }
            (state @ S::Unconfirmed { .. }, C::NotSent) => illegal(&state, "be not sent"),
            (state @ (S::Running(_) | S::Ended { .. }), C::Send { .. }) => illegal(&state, "be sent"),
            (state @ (S::Running(_) | S::Ended { .. }), C::NotSent) => illegal(&state, "be not sent"),
            (state @ (S::Running(_) | S::Ended { .. }), C::Unconfirm) => illegal(&state, "come into doubt"),
            (state @ (S::Running(_) | S::Ended { .. }), C::RuleOut) => illegal(&state, "be ruled out"),
            (state @ (S::Running(_) | S::Ended { .. }), C::Accept { .. }) => illegal(&state, "be accepted"),
            (state @ S::Ended { .. }, C::Cancel(_)) => illegal(&state, "be cancelled"),
            (state @ S::Ended { .. }, C::End(_)) => illegal(&state, "end"),
        }
    }
}

fn illegal(state: &RunState, change: &'static str) -> Result<RunState, IllegalTransition> {
    Err(IllegalTransition { from: state.phase(), change })
}

impl CancelCause {
    /// Returns why a run ended that was cancelled for this cause.
    pub fn reason_code(self) -> ReasonCode {
        match self {
            CancelCause::Timeout => ReasonCode::Timeout,
            CancelCause::Request => ReasonCode::CancelRequest,
            CancelCause::Overlap => ReasonCode::CancelOverlap,
        }
    }

    /// How a run ends that was cancelled for this cause.
    pub fn status(self) -> Status {
        match self {
            CancelCause::Timeout => Status::Timeout,
            CancelCause::Request | CancelCause::Overlap => Status::Cancelled,
        }
    }
}

#[cfg(test)]
mod tests;
