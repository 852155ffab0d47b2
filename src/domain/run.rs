//! The life of a run: states that carry their data, and one total transition function, used live and in
//! recovery.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::backoff;
use super::ids::{BackendRunId, CronId, DefinitionId, RunId, ThreadId};
use super::reason::{Reason, ReasonCode};
use super::words::words;

words!(
    /// Why a run exists.
    Trigger {
        /// Its instant in the calendar came.
        Schedule = "schedule",
        /// It was found too late and caught up.
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
        /// The graph failed, the run could not be started, or its end is unknown.
        Error = "error",
        /// It ran longer than it is allowed to.
        Timeout = "timeout",
        /// The graph waits for a human, or another run took its thread.
        Interrupted = "interrupted",
        /// It was cancelled on request.
        Cancelled = "cancelled",
        /// It was due and deliberately not started.
        Skipped = "skipped",
        /// It was found too late and not caught up.
        Missed = "missed",
    }
);

impl Status {
    /// Returns whether something ran, or was to: all but what was skipped or missed.
    pub fn took_place(self) -> bool {
        !matches!(self, Self::Skipped | Self::Missed)
    }
}

words!(
    /// The kind of a [`RunState`], as stored and shown.
    Phase {
        /// It waits to be sent.
        Pending = "pending",
        /// It is being sent right now.
        Sending = "sending",
        /// It was sent, and its start is not confirmed.
        Unconfirmed = "unconfirmed",
        /// The backend has accepted it.
        Running = "running",
        /// It has ended.
        Ended = "ended",
    }
);
words!(
    /// Why a run in progress is being cancelled.
    CancelCause {
        /// It took longer than the cron's `timeout`.
        Timeout = "timeout",
        /// A person asked for it.
        Request = "request",
        /// The next occurrence is due, and `overlap = "cancel"`.
        Overlap = "overlap",
    }
);

/// Our record of a run: of one execution of an occurrence, or of what a client asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// For a run of a cron, derived from `(cron_id, scheduled_for, retry)`.
    pub run_id: RunId,
    /// `None` if a client of the agent server's API asked for the run.
    pub cron: Option<CronVersion>,
    pub trigger: Trigger,
    /// The instant named by the calendar; for a manual run and a client's, when it was requested.
    pub scheduled_for: Timestamp,
    /// Which run of its occurrence it is; the first is [`FIRST_RUN`](super::ids::FIRST_RUN).
    pub retry: u32,
    /// When the first run of its occurrence started, if this one retries it by itself; the cron's `timeout` counts from
    /// then.
    pub first_started_at: Option<Timestamp>,
    /// `scheduled_for` plus jitter; for a backfilled run, when it was requested; for a retry, after its wait.
    pub due_at: Timestamp,
    /// The start deadline: a run that still waits to be sent then ends as `error`.
    pub start_before: Timestamp,
    /// How often it was sent.
    pub send_count: u32,
    /// How many reconciliations in a row could not tell whether its latest start reached the backend.
    pub not_found_count: u32,
    /// Why it is late or unconfirmed; the latest reason seen.
    pub reason: Option<Reason>,
    pub state: RunState,
}

/// The cron of a run, as it was when the run was planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronVersion {
    pub cron_id: CronId,
    pub name: String,
    pub definition_id: DefinitionId,
}

impl Run {
    pub fn cron_id(&self) -> Option<CronId> {
        self.cron.as_ref().map(|cron| cron.cron_id)
    }

    pub fn cron_name(&self) -> Option<&str> {
        self.cron.as_ref().map(|cron| cron.name.as_str())
    }

    /// Returns the name under which logs and tables show the run: the name of its cron, or `(api)`.
    pub fn called(&self) -> &str {
        called(self.cron_name())
    }
}

/// Returns the name under which logs and tables show a run of the cron with this name, or of no cron.
pub fn called(cron_name: Option<&str>) -> &str {
    cron_name.unwrap_or("(api)")
}

/// Where a run is in its life. `start_number` is the `n` of its thread `T_n`, counted from 1.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "few runs are held at once, and a box would only spread the fields"
)]
pub enum RunState {
    /// It waits to be sent; `start_number` is the next start.
    Pending { start_number: u32 },
    /// The intention to send is committed; the request may be on its way.
    Sending {
        start_number: u32,
        /// When the intention was committed.
        sent_at: Timestamp,
    },
    /// The request may or may not have reached the backend: this must be reconciled before anything is sent
    /// again.
    Unconfirmed {
        start_number: u32,
        sent_at: Timestamp,
        /// How many starts after this one may have been sent as well: after the store has gone back to an earlier state.
        ahead: u32,
    },
    /// The backend has accepted it.
    Running(BackendRun),
    Ended {
        /// `None` if the backend never had it.
        backend_run: Option<BackendRun>,
        outcome: Outcome,
    },
}

/// A run as the backend has it.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendRun {
    /// The start that was accepted.
    pub start_number: u32,
    pub thread_id: ThreadId,
    pub backend_run_id: BackendRunId,
    /// When the backend accepted it, as far as we know.
    pub started_at: Timestamp,
    /// Set once we have decided to cancel it.
    pub cancelling: Option<CancelCause>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub status: Status,
    /// `None` if the status says it all.
    pub reason: Option<Reason>,
    /// What the graph or the backend reported as the cause of a failure.
    pub error: Option<RunError>,
    /// What the graph returned; `None` if it returned nothing, or the values could not be read.
    pub values: Option<Value>,
    /// The questions at which the graph stopped, as a list of `{"id", "value"}`. They are values of the graph, and
    /// are treated as such.
    pub interrupts: Option<Value>,
    /// When it ended: after as long as the agent server says that it took or, if it does not say that, `learnt_at`.
    pub ended_at: Timestamp,
    /// When we learnt of it.
    pub learnt_at: Timestamp,
}

impl Outcome {
    /// Returns the outcome of a run that no backend has.
    pub fn without_backend(status: Status, reason: Reason, learnt_at: Timestamp) -> Self {
        let (reason, ended_at) = (Some(reason), learnt_at);
        Self { status, reason, error: None, values: None, interrupts: None, ended_at, learnt_at }
    }

    /// Returns how long a run took that started then, or `None` if it is not known how it ended.
    pub fn took(&self, started_at: Timestamp) -> Option<Duration> {
        let is_known = !self.reason.as_ref().is_some_and(|reason| reason.code.leaves_end_unknown());
        is_known.then(|| backoff::between(started_at, self.ended_at))
    }
}

/// An error as the agent server reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunError {
    /// Its kind, such as `ValueError`.
    pub error: String,
    pub message: String,
}

/// What can happen to a run.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "as for the states")]
pub enum RunChange {
    /// It is about to be sent.
    Send {
        at: Timestamp,
    },
    /// The backend certainly did not take it; the same start may be sent again.
    NotSent,
    /// It is not known whether the backend took it.
    Unconfirm,
    /// The unconfirmed start is known never to happen; the next one may be sent.
    RuleOut,
    /// The backend has it.
    Accept {
        thread_id: ThreadId,
        backend_run_id: BackendRunId,
        at: Timestamp,
    },
    /// We have decided to cancel it on the backend.
    Cancel(CancelCause),
    End(Outcome),
}

/// A change that makes no sense in that state: there is a bug, or another task has changed the row.
#[derive(Debug, thiserror::Error)]
#[error("invalid transition: {change} while {from}")]
pub struct IllegalTransition {
    from: Phase,
    change: &'static str,
}

impl RunState {
    pub fn phase(&self) -> Phase {
        match self {
            RunState::Pending { .. } => Phase::Pending,
            RunState::Sending { .. } => Phase::Sending,
            RunState::Unconfirmed { .. } => Phase::Unconfirmed,
            RunState::Running(_) => Phase::Running,
            RunState::Ended { .. } => Phase::Ended,
        }
    }

    /// Returns how it ended, or `None` if it has not ended.
    pub fn status(&self) -> Option<Status> {
        match self {
            RunState::Ended { outcome, .. } => Some(outcome.status),
            RunState::Pending { .. }
            | RunState::Sending { .. }
            | RunState::Unconfirmed { .. }
            | RunState::Running(_) => None,
        }
    }

    /// Returns the state after `change`. Every pair is written out, so that a new state or change must be
    /// thought through.
    ///
    /// # Errors
    /// The change makes no sense in this state.
    pub fn apply(self, change: RunChange) -> Result<RunState, IllegalTransition> {
        use RunChange as C;
        use RunState as S;
        match (self, change) {
            (S::Pending { start_number }, C::Send { at }) => Ok(S::Sending { start_number, sent_at: at }),
            (S::Sending { start_number, .. }, C::NotSent) => Ok(S::Pending { start_number }),
            (S::Sending { start_number, sent_at }, C::Unconfirm) => {
                Ok(S::Unconfirmed { start_number, sent_at, ahead: 0 })
            }
            (state @ S::Unconfirmed { .. }, C::Unconfirm) => Ok(state),
            (S::Unconfirmed { start_number, sent_at, ahead }, C::RuleOut) => {
                let start_number = start_number.saturating_add(1);
                match ahead.checked_sub(1) {
                    Some(ahead) => Ok(S::Unconfirmed { start_number, sent_at, ahead }),
                    None => Ok(S::Pending { start_number }),
                }
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
                // The first cause is kept: it is why the run will end.
                Ok(S::Running(BackendRun {
                    cancelling: backend_run.cancelling.or(Some(cause)),
                    ..backend_run
                }))
            }
            (S::Pending { .. } | S::Sending { .. } | S::Unconfirmed { .. }, C::End(outcome)) => {
                Ok(S::Ended { backend_run: None, outcome })
            }
            (S::Running(backend_run), C::End(outcome)) => {
                // The clock may have been set back since it started, a moment ago.
                let started_at = backend_run.started_at.min(outcome.ended_at);
                Ok(S::Ended { backend_run: Some(BackendRun { started_at, ..backend_run }), outcome })
            }

            (
                state @ (S::Sending { .. } | S::Unconfirmed { .. } | S::Running(_) | S::Ended { .. }),
                C::Send { .. },
            ) => illegal(&state, "Send"),
            (
                state @ (S::Pending { .. } | S::Unconfirmed { .. } | S::Running(_) | S::Ended { .. }),
                C::NotSent,
            ) => illegal(&state, "NotSent"),
            (state @ (S::Pending { .. } | S::Running(_) | S::Ended { .. }), C::Unconfirm) => {
                illegal(&state, "Unconfirm")
            }
            (
                state @ (S::Pending { .. } | S::Sending { .. } | S::Running(_) | S::Ended { .. }),
                C::RuleOut,
            ) => illegal(&state, "RuleOut"),
            (state @ (S::Pending { .. } | S::Running(_) | S::Ended { .. }), C::Accept { .. }) => {
                illegal(&state, "Accept")
            }
            (
                state @ (S::Pending { .. } | S::Sending { .. } | S::Unconfirmed { .. } | S::Ended { .. }),
                C::Cancel(_),
            ) => illegal(&state, "Cancel"),
            (state @ S::Ended { .. }, C::End(_)) => illegal(&state, "End"),
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

    /// Returns how a run ends that was cancelled for this cause.
    pub fn status(self) -> Status {
        match self {
            CancelCause::Timeout => Status::Timeout,
            CancelCause::Request | CancelCause::Overlap => Status::Cancelled,
        }
    }
}

#[cfg(test)]
mod tests;
