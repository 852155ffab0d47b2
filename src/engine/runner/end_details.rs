//! How a run ended, apart from its status: what its graph returned, whether the graph waits for a human, and
//! what went wrong.

use serde_json::Value;

use super::{RunTask, Watched};
use crate::backend::{CallError, ReportedEnd, RunReport};
use crate::domain::ids::ThreadId;
use crate::domain::reason::{Reason, ReasonCode};
use crate::domain::run::{BackendRun, RunError};

/// The kind of error that the server gives to a run that was stopped.
const INTERRUPT: &str = "UserInterrupt";

pub(super) struct EndDetails {
    pub(super) values: EndValues,
    /// Whether the graph stopped at an interrupt.
    pub(super) interrupted: bool,
    /// The questions at which it stopped.
    pub(super) interrupts: Option<Value>,
    pub(super) error: Option<RunError>,
}

/// What a graph returned, or why that is not known.
pub(super) enum EndValues {
    Read(Value),
    ThreadGone,
    /// This server has no routes for threads.
    NoRoute,
    TooLarge {
        bytes_max: usize,
    },
}

/// Returns how a run ended: as `join` reported it, if that is certainly the end of this run, and else as the
/// thread shows it.
///
/// # Errors
/// The thread cannot be read now; what was reported is then kept.
pub(super) async fn end_details(
    task: &RunTask<'_>,
    backend_run: &BackendRun,
    watched: Watched,
    report: &RunReport,
    reported: &mut Option<ReportedEnd>,
) -> Result<EndDetails, CallError> {
    let was_stopped = report.status == "interrupted";
    let stopped_by = match was_stopped && backend_run.cancelling.is_none() {
        true => stopped_by(task, backend_run.thread_id, report).await?,
        false => None,
    };
    match reported.take() {
        Some(ReportedEnd::Values { values, interrupts })
            if watched == Watched::BeforeItsEnd && report.status != "error" =>
        {
            let (interrupted, values) = (interrupts.is_some(), EndValues::Read(values));
            Ok(EndDetails { values, interrupted, interrupts, error: stopped_by })
        }
        other => match query_thread(task, backend_run.thread_id, other.as_ref()).await {
            Ok(details) if was_stopped => Ok(EndDetails { error: stopped_by, ..details }),
            Ok(details) => Ok(details),
            Err(error) => {
                *reported = other;
                Err(error)
            }
        },
    }
}

/// Returns who stopped a run, in the server's words: newer servers report them with the run, older ones leave
/// them on its thread.
async fn stopped_by(
    task: &RunTask<'_>,
    thread_id: ThreadId,
    report: &RunReport,
) -> Result<Option<RunError>, CallError> {
    if let Some(reason) = report.cancel_reason() {
        return Ok(Some(RunError { error: INTERRUPT.to_owned(), message: reason.to_owned() }));
    }
    let error = query_thread(task, thread_id, None).await?.error;
    // The error of an earlier run may still be there.
    Ok(error.filter(|error| error.error == INTERRUPT))
}

/// Queries the thread of a run that has ended.
async fn query_thread(
    task: &RunTask<'_>,
    thread_id: ThreadId,
    reported: Option<&ReportedEnd>,
) -> Result<EndDetails, CallError> {
    let reported_error = match reported {
        Some(ReportedEnd::Error(error)) => Some(error.clone()),
        Some(ReportedEnd::Values { .. } | ReportedEnd::TooLarge) | None => None,
    };
    let unseen = |values: EndValues| {
        let error = reported_error.clone().or_else(|| Some(values.error()));
        Ok(EndDetails { values, interrupted: false, interrupts: None, error })
    };
    let (thread, values) = match task.runner.in_turn(task.backend.thread(thread_id)).await {
        Ok(mut thread) => {
            let values = thread.values.take();
            (thread, EndValues::Read(values))
        }
        Err(CallError::NotFound(_)) => return unseen(EndValues::ThreadGone),
        // A server without routes for threads still lists runs; a proxy that does not find its server does not.
        Err(CallError::PlainNotFound(_)) => {
            return match task.runner.in_turn(task.backend.runs_on(thread_id)).await {
                Ok(_) => unseen(EndValues::NoRoute),
                Err(error) => Err(error),
            };
        }
        // The values are the large part; whether the graph waits for a human must be known all the same.
        Err(CallError::TooLarge { bytes_max }) => {
            let values = EndValues::TooLarge { bytes_max };
            match task.runner.in_turn(task.backend.thread_without_values(thread_id)).await {
                Ok(thread) => (thread, values),
                Err(error @ (CallError::Unreachable(_) | CallError::Denied(_))) => return Err(error),
                // This server cannot leave the values out.
                Err(
                    CallError::NotFound(_)
                    | CallError::PlainNotFound(_)
                    | CallError::Status { .. }
                    | CallError::TooLarge { .. },
                ) => return unseen(values),
            }
        }
        Err(error @ (CallError::Unreachable(_) | CallError::Denied(_) | CallError::Status { .. })) => {
            return Err(error);
        }
    };
    let error = reported_error.or(thread.error).or_else(|| Some(values.error()));
    Ok(EndDetails { values, interrupted: thread.interrupted, interrupts: thread.interrupts, error })
}

impl EndValues {
    /// Returns the values if they were read.
    pub(super) fn read(self) -> Option<Value> {
        match self {
            EndValues::Read(values) => Some(values),
            EndValues::ThreadGone | EndValues::NoRoute | EndValues::TooLarge { .. } => None,
        }
    }

    /// Returns why the values are not kept, or `None` if they are.
    pub(super) fn reason(&self) -> Option<Reason> {
        match self {
            EndValues::Read(_) => None,
            EndValues::ThreadGone => Some(Reason::new(
                ReasonCode::ValuesGone,
                "values not kept: the thread was gone before they were read",
            )),
            EndValues::NoRoute => Some(Reason::new(
                ReasonCode::ValuesGone,
                "values not kept: the agent server does not serve threads (404)",
            )),
            EndValues::TooLarge { bytes_max } => Some(Reason::new(
                ReasonCode::ValuesTooLarge,
                format!("values not kept: the thread is larger than {} MiB", bytes_max / (1024 * 1024)),
            )),
        }
    }

    /// Returns the error that is recorded for a failed run if no error could be read.
    fn error(&self) -> RunError {
        let message = match self {
            EndValues::Read(_) => "the thread names no error",
            EndValues::ThreadGone => "its thread is gone",
            EndValues::NoRoute => "the agent server does not serve threads (404)",
            EndValues::TooLarge { .. } => "its values are too large to be read",
        };
        RunError { error: "Unseen".to_owned(), message: message.to_owned() }
    }
}
