//! Which runs may have stopped at a breakpoint. To find out costs a request after the run, so it is made only if
//! the run was asked to stop, or if the graph of its assistant was compiled to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::OnceCell;

use super::RunTask;
use crate::backend::{CallError, RunReport};
use crate::domain::backoff::Wait;
use crate::domain::bounds::{ASSISTANTS_REMEMBERED, BREAKPOINTS_REMEMBERED};
use crate::domain::run::BackendRun;

/// Whether the graphs of assistants have breakpoints, by the assistants' ids.
#[derive(Default)]
pub(super) struct Breakpoints(Mutex<HashMap<String, Remembered>>);

struct Remembered {
    kept: Wait,
    /// Empty until the first run that asks has its answer.
    has_breakpoints: Arc<OnceCell<bool>>,
}

/// Returns whether a run that the server calls a success stopped at a breakpoint.
///
/// # Errors
/// That cannot be found out now.
pub(super) async fn stopped_at_breakpoint(
    task: &RunTask<'_>,
    backend_run: &BackendRun,
    report: &RunReport,
) -> Result<bool, CallError> {
    if !report.has_breakpoints() && !graph_has_breakpoints(task, report).await {
        return Ok(false);
    }
    let query = task.backend.stopped_early(backend_run.thread_id, backend_run.backend_run_id);
    match task.runner.in_turn(query).await {
        Err(
            error
            @ (CallError::Unreachable(_) | CallError::Denied(_) | CallError::Status { code: 500.., .. }),
        ) => Err(error),
        Err(_) => Ok(false),
        stopped => stopped,
    }
}

/// Returns whether the graph has breakpoints; many runs that end at once ask only once. A server that does not
/// say counts as one whose graphs have none: the outcome of a run must not wait for it.
async fn graph_has_breakpoints(task: &RunTask<'_>, report: &RunReport) -> bool {
    let Some(assistant_id) = report.run["assistant_id"].as_str() else { return false };
    let known = task.runner.breakpoints.of(assistant_id, task.runner.clock.now());
    let query = async {
        let answer = task.runner.in_turn(task.backend.graph_has_breakpoints(assistant_id)).await;
        answer
            .inspect_err(|error| tracing::debug!(assistant_id, %error, "graph not queried"))
            .unwrap_or(false)
    };
    *known.get_or_init(|| query).await
}

impl Breakpoints {
    fn of(&self, assistant_id: &str, now: Timestamp) -> Arc<OnceCell<bool>> {
        let mut assistants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(remembered) =
            assistants.get(assistant_id).filter(|remembered| !remembered.kept.is_over(now))
        {
            return Arc::clone(&remembered.has_breakpoints);
        }
        if assistants.len() >= ASSISTANTS_REMEMBERED {
            assistants.clear();
        }
        let has_breakpoints = Arc::default();
        let kept = Wait::begin(now, BREAKPOINTS_REMEMBERED);
        let remembered = Remembered { kept, has_breakpoints: Arc::clone(&has_breakpoints) };
        assistants.insert(assistant_id.to_owned(), remembered);
        has_breakpoints
    }
}
