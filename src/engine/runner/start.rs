//! Starts a run. The intention is committed already; what remains is to send one POST, and to commit what its
//! answer means.

use std::time::Duration;

use super::backend_breaker::StartFailure;
use super::end::ping_of;
use super::request::{self, RequestError};
use super::{AcceptedRun, NextStep, RunTask, Watched, end, missing_values};
use crate::backend::{StartAnswer, Started};
use crate::crash::crash_point;
use crate::domain::backoff;
use crate::domain::cron::{MultitaskStrategy, Target};
use crate::domain::ids::{FIRST_RUN, ThreadId};
use crate::domain::ping;
use crate::domain::reason::{Reason, ReasonCode, RunEventKind};
use crate::domain::run::{BackendRun, RunChange, RunState, Status};
use crate::store::{RunEvent, Step, StoreError};

/// A start that is later than this is recorded with its reason.
const LATE: Duration = Duration::from_secs(1);

/// Sends a claimed run, and commits what the answer means.
pub(super) async fn start(task: &RunTask<'_>) -> Result<NextStep, StoreError> {
    let run = &task.claimed.run;
    // The claim may have waited for the disk.
    if task.runner.clock.now() > backoff::after(run.start_before, LATE) {
        end::expired(task, run.send_count.saturating_sub(1)).await?;
        return Ok(NextStep::Leave);
    }
    if !task.runner.store.may_act() {
        return give_back(task).await;
    }
    let request = match request::build(task).await {
        Ok(request) => request,
        Err(RequestError::Placeholder(message)) if missing_values::are_of_others(task).await? => {
            return missing_values::leave_to_others(task, message).await;
        }
        Err(RequestError::Placeholder(message)) => {
            return fail(task, Status::Error, Reason::new(ReasonCode::Placeholder, message)).await;
        }
        Err(RequestError::Store(error)) => return Err(error),
    };
    crash_point("sending_committed").await;
    let answer = task.backend.start(&request).await;
    crash_point("start_answered").await;
    match answer {
        StartAnswer::Accepted(started) => accepted(task, request.thread_id, started).await,
        StartAnswer::NotSent { detail } => not_sent(task, &StartFailure::Unreachable, detail).await,
        StartAnswer::PutOff { detail, wait } => {
            not_sent(task, &StartFailure::PutOff { asked: wait }, detail).await
        }
        StartAnswer::Denied(denial) => {
            let detail = denial.to_string();
            not_sent(task, &StartFailure::Denied(denial), detail).await
        }
        StartAnswer::Rejected { detail } => {
            fail(task, Status::Error, Reason::new(ReasonCode::Rejected, detail)).await
        }
        StartAnswer::Busy { detail } => busy(task, detail).await,
        StartAnswer::Unclear { detail } => unconfirmed(task, detail).await,
    }
}

/// Lets whoever claims the run next send it, since others may take this daemon for gone. If they have, the step is refused.
async fn give_back(task: &RunTask<'_>) -> Result<NextStep, StoreError> {
    let act_at = Some(task.runner.clock.now());
    let step = Step { act_at, ..Step::of(task.claimed.held(), RunChange::NotSent) };
    task.runner.store.step_run(step).await?;
    Ok(NextStep::Leave)
}

async fn accepted(task: &RunTask<'_>, thread_id: ThreadId, started: Started) -> Result<NextStep, StoreError> {
    let now = task.runner.clock.now();
    task.runner.backend_breaker.record_success(now);
    let change = RunChange::Accept { thread_id, backend_run_id: started.backend_run_id, at: now };
    let backend_run = accept(task, change, started_late(task).await?).await?;
    Ok(backend_run.map_or(NextStep::Leave, |backend_run| {
        NextStep::Follow(AcceptedRun {
            backend_run,
            response_stream: started.response_stream,
            watched: Watched::BeforeItsEnd,
        })
    }))
}

/// Commits that the backend has the run. Returns `None` if the run is not running after that.
pub(super) async fn accept(
    task: &RunTask<'_>,
    change: RunChange,
    event: Option<RunEvent>,
) -> Result<Option<BackendRun>, StoreError> {
    let run = &task.claimed.run;
    let ping = ping_of(task).filter(|_| run.retry == FIRST_RUN).map(|base| ping::of_start(base, run));
    let (pings, step) = (ping.is_some(), Step { event, ping, ..Step::of(task.claimed.held(), change) });
    let run = task.runner.store.step_run(step).await?;
    crash_point("accepted_committed").await;
    if pings {
        task.runner.wakes.courier.notify_one();
    }
    match run.state {
        RunState::Running(backend_run) => Ok(Some(backend_run)),
        RunState::Pending { .. }
        | RunState::Sending { .. }
        | RunState::Unconfirmed { .. }
        | RunState::Ended { .. } => Ok(None),
    }
}

/// Returns the event that records a late start, or `None` if the run started in time and was sent once.
async fn started_late(task: &RunTask<'_>) -> Result<Option<RunEvent>, StoreError> {
    let run = &task.claimed.run;
    let now = task.runner.clock.now();
    let late = backoff::between(run.due_at, now);
    if late < LATE && run.send_count <= 1 {
        return Ok(None);
    }
    let why = end::why_late(task).await?;
    let late = humantime::format_duration(Duration::from_secs(late.as_secs()));
    let message = match run.send_count {
        0 | 1 => format!("started {late} late: {why}"),
        send_count => format!("started {late} late, sent {send_count} times: {why}"),
    };
    let reason = Some(Reason::new(ReasonCode::StartedLate, message));
    Ok(Some(RunEvent { at: now, event: RunEventKind::StartedLate, reason }))
}

/// Ends a run that will never be started.
async fn fail(task: &RunTask<'_>, status: Status, reason: Reason) -> Result<NextStep, StoreError> {
    end::never_started(task, status, reason).await?;
    Ok(NextStep::Leave)
}

async fn not_sent(
    task: &RunTask<'_>,
    failure: &StartFailure,
    detail: String,
) -> Result<NextStep, StoreError> {
    let now = task.runner.clock.now();
    let again = task.runner.backend_breaker.record_failure(now, failure, &detail);
    let code = match failure {
        StartFailure::Unreachable | StartFailure::PutOff { .. } => ReasonCode::BackendUnreachable,
        StartFailure::Denied(_) => ReasonCode::BackendDenied,
    };
    let reason = Some(Reason::new(code, detail));
    let event = Some(RunEvent { at: now, event: RunEventKind::NotSent, reason });
    let change = RunChange::NotSent;
    let step = Step { act_at: Some(again), event, ..Step::of(task.claimed.held(), change) };
    task.runner.store.step_run(step).await?;
    task.runner.wakes.runner.notify_one();
    // If it was a retry that its cron does not want any more, a webhook is due.
    task.runner.wakes.courier.notify_one();
    Ok(NextStep::Leave)
}

/// Handles a 409. On a thread of the user's own it means what the user asked for; on a thread that only we
/// know, it means that a copy of our own request is there already.
async fn busy(task: &RunTask<'_>, detail: String) -> Result<NextStep, StoreError> {
    let request = task.claimed.spec.request();
    match (request.target, request.multitask_strategy) {
        (Target::Stateless(_), _) => unconfirmed(task, detail).await,
        (Target::Thread(_), Some(MultitaskStrategy::Reject)) => {
            let message = format!("its thread was busy: {detail}");
            fail(task, Status::Skipped, Reason::new(ReasonCode::ThreadBusy, message)).await
        }
        (
            Target::Thread(_),
            Some(MultitaskStrategy::Enqueue | MultitaskStrategy::Interrupt | MultitaskStrategy::Rollback)
            | None,
        ) => fail(task, Status::Error, Reason::new(ReasonCode::Rejected, detail)).await,
    }
}

async fn unconfirmed(task: &RunTask<'_>, detail: String) -> Result<NextStep, StoreError> {
    let run = &task.claimed.run;
    let now = task.runner.clock.now();
    tracing::info!(cron = run.called(), run_id = %run.run_id, detail, hourly = "", "start not confirmed");
    let reason = Some(Reason::new(ReasonCode::StartUnconfirmed, detail));
    let event = Some(RunEvent { at: now, event: RunEventKind::Unconfirmed, reason });
    let step = Step { act_at: Some(now), event, ..Step::of(task.claimed.held(), RunChange::Unconfirm) };
    task.runner.store.step_run(step).await?;
    task.runner.wakes.runner.notify_one();
    Ok(NextStep::Leave)
}
