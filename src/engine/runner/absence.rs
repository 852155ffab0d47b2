//! What may be concluded if the agent server does not have a run that it had accepted: that the run was rolled
//! back, that the server has lost it, or nothing.

use jiff::Timestamp;

use super::RunTask;
use crate::backend::CallError;
use crate::domain::backoff;
use crate::domain::bounds::THREAD_YOUNGER_MAX;
use crate::domain::run::{BackendRun, RunError};

/// The kind of error that the server leaves on the thread of a run that it has rolled back.
const ROLLBACK: &str = "UserRollback";

/// What a run's absence shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Absence {
    /// The server has the run: it is listed on its thread.
    Listed,
    /// The run is gone, and its thread says that a run was rolled back.
    RolledBack(RunError),
    /// The run is gone, and its thread is there.
    RunGone,
    /// The thread is gone too, or was made anew since.
    ThreadGone,
}

/// What the server says about the thread of a run that it does not have.
struct Thread {
    error: Option<RunError>,
    created_at: Option<Timestamp>,
}

/// Queries what became of a run that was not found.
///
/// # Errors
/// The server does not answer, or does not let us see it.
pub(super) async fn absence(
    task: &RunTask<'_>,
    backend_run: &BackendRun,
    not_found: &CallError,
) -> Result<Absence, CallError> {
    let BackendRun { thread_id, backend_run_id, .. } = *backend_run;
    // The same answer comes from a server that has no such run and from one that has no such route. The list of
    // runs is empty on the former.
    if let CallError::PlainNotFound(_) = not_found {
        match task.runner.in_turn(task.backend.runs_on(thread_id)).await {
            Ok(listed) if listed.iter().all(|run| run.backend_run_id != backend_run_id) => {}
            Ok(_) => return Ok(Absence::Listed),
            Err(error) => return Err(error),
        }
    }
    let thread = match task.runner.in_turn(task.backend.thread(thread_id)).await {
        Ok(thread) => Some(Thread { error: thread.error, created_at: thread.created_at }),
        Err(CallError::NotFound(_)) => None,
        Err(CallError::TooLarge { .. }) => Some(Thread { error: None, created_at: None }),
        // Without routes for threads, the list of runs must do.
        Err(CallError::PlainNotFound(_)) => return Ok(Absence::RunGone),
        Err(error @ (CallError::Denied(_) | CallError::Unreachable(_) | CallError::Status { .. })) => {
            return Err(error);
        }
    };
    Ok(conclude(thread, backend_run.started_at))
}

/// Concludes from the thread. A server that has lost its memory has lost the run's thread too, unless that is older.
fn conclude(thread: Option<Thread>, started_at: Timestamp) -> Absence {
    let Some(thread) = thread else { return Absence::ThreadGone };
    let latest = backoff::after(started_at, THREAD_YOUNGER_MAX);
    if thread.created_at.is_some_and(|created_at| created_at > latest) {
        return Absence::ThreadGone;
    }
    match thread.error {
        Some(error) if error.error == ROLLBACK => Absence::RolledBack(error),
        Some(_) | None => Absence::RunGone,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn what_is_concluded_from_the_thread_of_a_run_that_is_not_there() {
        let started_at: Timestamp = "2026-03-02T09:00:00Z".parse().unwrap();
        let error = |kind: &str| Some(RunError { error: kind.to_owned(), message: "why".to_owned() });
        let thread = |error, after| Thread { error, created_at: Some(backoff::after(started_at, after)) };
        let (before, later) = (std::time::Duration::ZERO, THREAD_YOUNGER_MAX * 2);
        let mut table = String::new();
        for (name, thread) in [
            ("none", None),
            ("no error", Some(thread(None, before))),
            ("unknown age", Some(Thread { error: None, created_at: None })),
            ("another error", Some(thread(error("ValueError"), before))),
            ("rollback", Some(thread(error(ROLLBACK), before))),
            ("made anew", Some(thread(error(ROLLBACK), later))),
        ] {
            table.push_str(&format!("{name}: {:?}\n", conclude(thread, started_at)));
        }
        expect![[r#"
            none: ThreadGone
            no error: RunGone
            unknown age: RunGone
            another error: RunGone
            rollback: RolledBack(RunError { error: "UserRollback", message: "why" })
            made anew: ThreadGone
        "#]]
        .assert_eq(&table);
    }
}
