//! Following a run to its end. `join` (or the rest of the answer of `wait` and `stream`) tells when to look; the
//! run and its thread, asked afterwards, tell what is true.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Notify;

use super::{Runner, end};
use crate::backend::{CallError, Followed, ResponseStream, RunReport};
use crate::domain::backoff;
use crate::domain::bounds::{CANCEL_WAIT, JOIN_WAIT, NOT_FOUND_MAX, POLL_WAIT};
use crate::domain::ids::ThreadId;
use crate::domain::reason::{Reason, ReasonCode, RunEventKind};
use crate::domain::run::{BackendRun, CancelCause, Outcome, RunChange, RunError, RunState, Status};
use crate::store::{ClaimedRun, RunEvent, Step, StoreError};

/// Between two joins of the same run, when the connection does not last.
const REJOIN_FIRST: Duration = Duration::from_millis(200);
const REJOIN_MOST: Duration = Duration::from_secs(5);

/// What is remembered while following one run.
struct FollowState {
    backend_run: BackendRun,
    /// Whether we were there from its start: what `join` says later is said of the thread as it is then.
    fresh: bool,
    joined: Option<Followed>,
    response_stream: Option<ResponseStream>,
    joins: bool,
    reconnects: u32,
    not_found_count: u32,
    cancel_since: Option<Timestamp>,
}

/// What made us look up.
enum Event {
    Stop,
    Nudge,
    TimeIsUp,
    Joined(Followed),
    CheckAgain,
}

/// Follows a run until its end is committed, or the daemon stops.
pub(super) async fn follow(
    runner: &Runner,
    claimed: &ClaimedRun,
    backend_run: BackendRun,
    response_stream: Option<ResponseStream>,
    fresh: bool,
    nudge: &Notify,
) -> Result<(), StoreError> {
    let mut state = FollowState {
        backend_run,
        fresh,
        joined: None,
        response_stream,
        joins: true,
        reconnects: 0,
        not_found_count: 0,
        cancel_since: None,
    };
    // A run that has just been accepted is not over yet; one that we meet again may be.
    let mut check_now = !fresh;
    loop {
        if check_now && check(runner, claimed, &mut state).await? {
            return Ok(());
        }
        check_now = true;
        if state.backend_run.cancelling.is_some() {
            cancel(runner, claimed, &mut state).await;
        }
        match wait(runner, claimed, &mut state, nudge).await {
            Event::Stop => return Ok(()),
            Event::CheckAgain => {}
            Event::Nudge => match runner.store.run(claimed.run.run_id).await?.state {
                RunState::Running(backend_run) => state.backend_run = backend_run,
                _ => return Ok(()),
            },
            Event::TimeIsUp => {
                let cause = RunChange::Cancel(CancelCause::Timeout);
                let event = RunEvent { at: runner.clock.now(), event: RunEventKind::Timeout, reason: None };
                let step = Step { event: Some(event), ..Step::of(claimed.run.run_id, cause) };
                if let RunState::Running(backend_run) = runner.store.step_run(step).await?.state {
                    state.backend_run = backend_run;
                }
                check_now = false;
            }
            Event::Joined(Followed::NoJoin) => state.joins = false,
            Event::Joined(Followed::Cut(detail)) => {
                tracing::debug!(run_id = %claimed.run.run_id, detail, "the connection to a run was cut");
                state.reconnects = state.reconnects.saturating_add(1);
            }
            Event::Joined(joined) => {
                state.reconnects = 0;
                state.joined = Some(joined);
            }
        }
    }
}

/// Waits for whatever comes first.
async fn wait(runner: &Runner, claimed: &ClaimedRun, state: &mut FollowState, nudge: &Notify) -> Event {
    let time_is_up = match (claimed.spec.timeout(), state.backend_run.cancelling) {
        (Some(timeout), None) => Some(backoff::after(state.backend_run.started_at, timeout)),
        _ => None,
    };
    let joining = listen(runner, state);
    tokio::select! {
        biased;
        () = runner.stop.cancelled() => Event::Stop,
        () = nudge.notified() => Event::Nudge,
        event = joining => event,
        () = runner.clock.sleep_until(time_is_up) => Event::TimeIsUp,
    }
}

/// Listens at the server if it can be done, else waits a little.
async fn listen(runner: &Runner, state: &mut FollowState) -> Event {
    runner.start_burst.finished().await;
    if let Some(response_stream) = state.response_stream.take() {
        return Event::Joined(response_stream.listen().await);
    }
    if !state.joins || state.joined.is_some() || state.cancel_since.is_some() {
        tokio::time::sleep(if state.cancel_since.is_some() { POLL_WAIT / 8 } else { POLL_WAIT }).await;
        return Event::CheckAgain;
    }
    if state.reconnects > 0 {
        tokio::time::sleep(backoff::doubling(REJOIN_FIRST, REJOIN_MOST, state.reconnects)).await;
    }
    // Many short runs take turns in joining; if long ones have all places, this one is polled.
    let Ok(_place) = tokio::time::timeout(POLL_WAIT, runner.joins.acquire()).await else {
        return Event::CheckAgain;
    };
    let join = runner.backend.join(state.backend_run.thread_id, state.backend_run.backend_run_id);
    match tokio::time::timeout(JOIN_WAIT, join).await {
        Ok(followed) => Event::Joined(followed),
        Err(_) => Event::CheckAgain,
    }
}

/// Asks the server to stop the run; whether it did is seen by looking. Asked once per process.
async fn cancel(runner: &Runner, claimed: &ClaimedRun, state: &mut FollowState) {
    if state.cancel_since.is_some() {
        return;
    }
    let backend = runner.backend_of(claimed);
    let cancelled = backend.cancel(state.backend_run.thread_id, state.backend_run.backend_run_id).await;
    match cancelled {
        Ok(()) | Err(CallError::NotFound(_)) => state.cancel_since = Some(runner.clock.now()),
        Err(error) => {
            tracing::warn!(backend_run_id = %state.backend_run.backend_run_id, %error, "could not be cancelled yet");
            tokio::time::sleep(POLL_WAIT).await;
        }
    }
}

/// Looks at the run; true if it is over, and its end is committed.
async fn check(runner: &Runner, claimed: &ClaimedRun, state: &mut FollowState) -> Result<bool, StoreError> {
    let backend = runner.backend_of(claimed);
    let question = backend.run(state.backend_run.thread_id, state.backend_run.backend_run_id);
    let report = match ask(runner, question).await {
        Ok(report) => report,
        Err(CallError::NotFound(_)) => return missing(runner, claimed, state).await,
        Err(error) => {
            tracing::debug!(run_id = %claimed.run.run_id, %error, "the run could not be looked at");
            state.reconnects = state.reconnects.saturating_add(1);
            return Ok(false);
        }
    };
    state.not_found_count = 0;
    if report.is_over() {
        return finish(runner, claimed, state, report).await;
    }
    if let (Some(cause), Some(since)) = (state.backend_run.cancelling, state.cancel_since)
        && backoff::between(since, runner.clock.now()) > CANCEL_WAIT
    {
        let outcome = Outcome {
            status: cause.status(),
            reason: Some(Reason::new(
                cause.reason_code(),
                format!("{}, and the backend did not confirm it", cancel_message(claimed, cause)),
            )),
            error: None,
            values: None,
            ended_at: runner.clock.now(),
        };
        return end::ended(runner, claimed, &state.backend_run, outcome, Some(&report.run))
            .await
            .map(|()| true);
    }
    // It is still going, whatever was heard: a replica may lag behind.
    state.joined = None;
    // What `join` will say is said of its own end.
    state.fresh = true;
    Ok(false)
}

/// Asks when it is its turn: however many runs are met again at once, connections are not.
async fn ask<T>(runner: &Runner, question: impl Future<Output = T>) -> T {
    let _turn = runner.asks.acquire().await;
    question.await
}

async fn missing(runner: &Runner, claimed: &ClaimedRun, state: &mut FollowState) -> Result<bool, StoreError> {
    state.not_found_count += 1;
    if state.not_found_count < NOT_FOUND_MAX {
        let wait = backoff::doubling(REJOIN_FIRST, REJOIN_MOST, state.not_found_count);
        tokio::select! {
            biased;
            () = runner.stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
        // What `join` says of a run that is not there is no outcome.
        state.joined = None;
        return Ok(false);
    }
    let message = format!(
        "lost: the backend accepted it and does not know it any more (asked {NOT_FOUND_MAX} times); it is not \
         started again by itself"
    );
    let reason = Reason::new(ReasonCode::Lost, message);
    let outcome = Outcome::without_backend(Status::Error, reason, runner.clock.now());
    end::ended(runner, claimed, &state.backend_run, outcome, None).await.map(|()| true)
}

/// Puts together what the server says of the run and of its thread, and what `join` said of its end.
async fn finish(
    runner: &Runner,
    claimed: &ClaimedRun,
    state: &mut FollowState,
    report: RunReport,
) -> Result<bool, StoreError> {
    let end = match state.joined.take() {
        Some(Followed::Values { values, interrupted }) if state.fresh && report.status != "error" => {
            RunEnd { values: EndValues::Read(values), interrupted, error: None }
        }
        joined => match thread_end(runner, claimed, state.backend_run.thread_id, joined.as_ref()).await {
            Some(end) => end,
            None => {
                state.joined = joined;
                return Ok(false);
            }
        },
    };
    let cause = state.backend_run.cancelling;
    let cancelled = cause.map(|cause| Reason::new(cause.reason_code(), cancel_message(claimed, cause)));
    let (status, reason) =
        judge(&report.status, end.interrupted, cause.map(CancelCause::status).zip(cancelled));
    let outcome = Outcome {
        status,
        reason: reason.or_else(|| end.values.reason()),
        error: (status == Status::Error).then_some(end.error).flatten(),
        values: end.values.read().filter(|values| !values.is_null()),
        ended_at: runner.clock.now(),
    };
    end::ended(runner, claimed, &state.backend_run, outcome, Some(&report.run)).await.map(|()| true)
}

/// Asks the thread of a run how the run ended; `None` if it does not say so now.
async fn thread_end(
    runner: &Runner,
    claimed: &ClaimedRun,
    thread_id: ThreadId,
    joined: Option<&Followed>,
) -> Option<RunEnd> {
    let backend = runner.backend_of(claimed);
    let joined_error = match joined {
        Some(Followed::Error(error)) => Some(error.clone()),
        Some(Followed::Values { .. } | Followed::TooLarge | Followed::Cut(_) | Followed::NoJoin) | None => {
            None
        }
    };
    let (thread, values) = match ask(runner, backend.thread(thread_id)).await {
        Ok(mut thread) => {
            let values = thread.values.take();
            (thread, EndValues::Read(values))
        }
        Err(CallError::NotFound(_)) => {
            let error = joined_error.or_else(|| Some(EndValues::Gone.error()));
            return Some(RunEnd { values: EndValues::Gone, interrupted: false, error });
        }
        // The values are what is large; whether the graph waits for a human must be known all the same.
        Err(CallError::TooLarge { bytes_max }) => {
            let values = EndValues::TooLarge { bytes_max };
            match ask(runner, backend.thread_without_values(thread_id)).await {
                Ok(thread) => (thread, values),
                Err(error @ CallError::Unreachable(_)) => {
                    tracing::debug!(run_id = %claimed.run.run_id, %error, "thread could not be queried");
                    return None;
                }
                // This server cannot leave the values out.
                Err(CallError::NotFound(_) | CallError::Status { .. } | CallError::TooLarge { .. }) => {
                    let error = joined_error.or_else(|| Some(values.error()));
                    return Some(RunEnd { values, interrupted: false, error });
                }
            }
        }
        Err(error @ (CallError::Unreachable(_) | CallError::Status { .. })) => {
            tracing::debug!(run_id = %claimed.run.run_id, %error, "thread could not be queried");
            return None;
        }
    };
    let unseen = match values {
        EndValues::Read(_) => None,
        EndValues::Gone | EndValues::TooLarge { .. } => Some(values.error()),
    };
    let error = joined_error.or(thread.error).or(unseen);
    Some(RunEnd { values, interrupted: thread.interrupted, error })
}

/// What is known of the end of a run besides its status.
struct RunEnd {
    values: EndValues,
    interrupted: bool,
    error: Option<RunError>,
}

/// What a graph returned, or why that is not known.
enum EndValues {
    Read(Value),
    Gone,
    TooLarge { bytes_max: usize },
}

impl EndValues {
    fn read(self) -> Option<Value> {
        match self {
            EndValues::Read(values) => Some(values),
            EndValues::Gone | EndValues::TooLarge { .. } => None,
        }
    }

    /// Returns why the values are not kept, if they are not.
    fn reason(&self) -> Option<Reason> {
        match self {
            EndValues::Read(_) => None,
            EndValues::Gone => Some(Reason::new(
                ReasonCode::ValuesGone,
                "values not kept: the thread was gone before they were read",
            )),
            EndValues::TooLarge { bytes_max } => Some(Reason::new(
                ReasonCode::ValuesTooLarge,
                format!("values not kept: the thread is larger than {} MiB", bytes_max / (1024 * 1024)),
            )),
        }
    }

    /// Returns what is recorded as the error of a failed run whose thread says nothing of it.
    fn error(&self) -> RunError {
        let message = match self {
            EndValues::Read(_) => "the thread names no error",
            EndValues::Gone => "its thread is gone",
            EndValues::TooLarge { .. } => "its values are too large to read",
        };
        RunError { error: "Unseen".to_owned(), message: message.to_owned() }
    }
}

/// Judges an end by the server's word for it. `cancelled` is how a run ends that we cancelled.
fn judge(status: &str, interrupted: bool, cancelled: Option<(Status, Reason)>) -> (Status, Option<Reason>) {
    let (status, reason) = match status {
        "success" if interrupted => {
            let message = "waiting for a human: the graph stopped at an interrupt";
            (Status::Interrupted, Reason::new(ReasonCode::HumanInput, message))
        }
        "success" => return (Status::Success, None),
        "error" => cancelled.unwrap_or((Status::Error, Reason::bare(ReasonCode::GraphError))),
        "timeout" => {
            (Status::Timeout, Reason::new(ReasonCode::BackendTimeout, "the backend's own time limit"))
        }
        "interrupted" => cancelled.unwrap_or_else(|| {
            let message = "interrupted on the backend: cancelled there, or another run took the thread";
            (Status::Interrupted, Reason::new(ReasonCode::BackendInterrupted, message))
        }),
        other => {
            let message = format!("unknown: the backend calls it `{other}`");
            (Status::Error, Reason::new(ReasonCode::Unknown, message))
        }
    };
    (status, Some(reason))
}

fn cancel_message(claimed: &ClaimedRun, cause: CancelCause) -> String {
    match cause {
        CancelCause::Timeout => {
            let limit = claimed.spec.timeout().unwrap_or_default();
            format!("timeout: it ran longer than {} and was cancelled", humantime::format_duration(limit))
        }
        CancelCause::Request => "cancelled on request".to_owned(),
        CancelCause::Overlap => "cancelled for the next occurrence (overlap = \"cancel\")".to_owned(),
    }
}
