//! How a run ended, apart from its status: what its graph returned, whether the graph waits for a human, and
//! what went wrong.

use serde_json::Value;

use super::RunTask;
use crate::backend::{CallError, ReportedEnd};
use crate::domain::ids::ThreadId;
use crate::domain::reason::{Reason, ReasonCode};
use crate::domain::run::RunError;

pub(super) struct EndDetails {
    pub(super) values: EndValues,
    /// Whether the graph stopped at an interrupt.
    pub(super) interrupted: bool,
    pub(super) error: Option<RunError>,
}

/// What a graph returned, or why that is not known.
pub(super) enum EndValues {
    Read(Value),
    ThreadGone,
    TooLarge { bytes_max: usize },
}

/// Queries the thread of a run that has ended.
///
/// # Errors
/// The thread cannot be read now.
pub(super) async fn query_thread(
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
        Ok(EndDetails { values, interrupted: false, error })
    };
    let (thread, values) = match task.runner.in_turn(task.backend.thread(thread_id)).await {
        Ok(mut thread) => {
            let values = thread.values.take();
            (thread, EndValues::Read(values))
        }
        Err(CallError::NotFound(_)) => return unseen(EndValues::ThreadGone),
        // The values are the large part; whether the graph waits for a human must be known all the same.
        Err(CallError::TooLarge { bytes_max }) => {
            let values = EndValues::TooLarge { bytes_max };
            match task.runner.in_turn(task.backend.thread_without_values(thread_id)).await {
                Ok(thread) => (thread, values),
                Err(error @ (CallError::Unreachable(_) | CallError::Denied(_))) => return Err(error),
                // This server cannot leave the values out.
                Err(CallError::NotFound(_) | CallError::Status { .. } | CallError::TooLarge { .. }) => {
                    return unseen(values);
                }
            }
        }
        Err(error @ (CallError::Unreachable(_) | CallError::Denied(_) | CallError::Status { .. })) => {
            return Err(error);
        }
    };
    let unseen_error = match values {
        EndValues::Read(_) => None,
        EndValues::ThreadGone | EndValues::TooLarge { .. } => Some(values.error()),
    };
    let error = reported_error.or(thread.error).or(unseen_error);
    Ok(EndDetails { values, interrupted: thread.interrupted, error })
}

impl EndValues {
    /// Returns the values if they were read.
    pub(super) fn read(self) -> Option<Value> {
        match self {
            EndValues::Read(values) => Some(values),
            EndValues::ThreadGone | EndValues::TooLarge { .. } => None,
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
            EndValues::TooLarge { .. } => "its values are too large to be read",
        };
        RunError { error: "Unseen".to_owned(), message: message.to_owned() }
    }
}
