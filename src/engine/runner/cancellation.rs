//! Cancels a run that is followed, and says why it was cancelled.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::RunTask;
use super::access::Access;
use crate::backend::CallError;
use crate::clock::Deadline;
use crate::domain::bounds::{BACKEND_HANGS_AFTER, CANCEL_WAIT};
use crate::domain::run::{BackendRun, CancelCause};
use crate::store::{ClaimedRun, StoreError};

/// What is remembered of the cancellation of a run.
#[derive(Default)]
pub(super) struct Cancellation {
    /// Set once the backend was asked to cancel the run: how long it may take.
    pub(super) ends_by: Option<Deadline>,
    /// Whether the backend has refused to cancel the run.
    pub(super) is_denied: bool,
    /// Whether the backend did not answer at once.
    is_late: bool,
}

impl Cancellation {
    /// Asks the server to cancel the run, once per process; whether it did is seen when the run is checked.
    pub(super) async fn ask(
        &mut self,
        task: &RunTask<'_>,
        backend_run: &BackendRun,
        access: &mut Access,
    ) -> Result<(), StoreError> {
        if self.ends_by.is_some() {
            return Ok(());
        }
        let (runner, run) = (task.runner, &task.claimed.run);
        let (began, asked_at) = (Instant::now(), runner.clock.now());
        let result = task.backend.cancel(backend_run.thread_id, backend_run.backend_run_id).await;
        let is_down =
            matches!(result, Err(CallError::Unreachable(_) | CallError::Status { code: 500.., .. }));
        if !self.is_late && (is_down || began.elapsed() >= BACKEND_HANGS_AFTER) {
            self.is_late = true;
            let error = result.as_ref().err().map(ToString::to_string);
            let detail = error.unwrap_or_else(|| "it did not answer at once".to_owned());
            runner.store.record_not_cancelled(task.claimed.held(), asked_at, detail).await?;
        }
        match result {
            // A server without this route does not confirm it, which is seen as well.
            Ok(()) | Err(CallError::NotFound(_) | CallError::PlainNotFound(_)) => {
                self.ends_by = Some(runner.clock.deadline(runner.clock.now(), CANCEL_WAIT));
                if std::mem::take(&mut self.is_denied) {
                    access.granted(task).await?;
                }
            }
            Err(CallError::Denied(denial)) => {
                self.is_denied = true;
                access.denied(task, "cannot be cancelled", &denial, asked_at).await?;
            }
            // An outage has a line of its own.
            Err(_) if runner.backend.contact().silence().is_some() => {}
            Err(error) => {
                tracing::warn!(cron = run.called(), run_id = %run.run_id, %error, hourly = "", "run not cancelled yet");
            }
        }
        Ok(())
    }

    /// Returns why the run was cancelled.
    pub(super) fn message(
        &self,
        claimed: &ClaimedRun,
        backend_run: &BackendRun,
        cause: CancelCause,
    ) -> String {
        let mut message = match cause {
            CancelCause::Timeout => {
                let Some((from, limit)) = time_limit(claimed, backend_run) else { return String::new() };
                let what = if from < backend_run.started_at { "with the runs before it, it" } else { "it" };
                format!("{what} ran longer than {} and was cancelled", humantime::format_duration(limit))
            }
            CancelCause::Request => "cancelled on request".to_owned(),
            CancelCause::Overlap => "cancelled for the next occurrence (overlap = \"cancel\")".to_owned(),
        };
        if self.is_late {
            message.push_str("; the agent server did not answer at once");
        }
        message
    }
}

/// Returns how long the run may take, and since when that counts.
pub(super) fn time_limit(claimed: &ClaimedRun, backend_run: &BackendRun) -> Option<(Timestamp, Duration)> {
    claimed.spec.time_limit(&claimed.run, backend_run.started_at)
}
