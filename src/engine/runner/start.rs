//! Sending a run: the intention is committed already; one POST, and what its answer means.

use std::time::Duration;

use super::backend_breaker::Trouble;
use super::{Runner, end, request};
use crate::backend::{ResponseStream, StartAnswer};
use crate::crash::crash_point;
use crate::domain::backoff;
use crate::domain::cron::{MultitaskStrategy, Target};
use crate::domain::reason::{Reason, ReasonCode, RunEventKind};
use crate::domain::run::{BackendRun, RunChange, RunState, Status};
use crate::store::{ClaimedRun, RunEvent, Step, StoreError};

/// A start later than this gets a reason in the history.
const LATE: Duration = Duration::from_secs(1);

/// Sends a claimed run; answers it if the backend has accepted it.
pub(super) async fn start(
    runner: &Runner,
    claimed: &ClaimedRun,
) -> Result<Option<(BackendRun, Option<ResponseStream>)>, StoreError> {
    let request = match request::build(runner, claimed).await? {
        Ok(request) => request,
        Err(problem) => {
            let reason = Reason::new(ReasonCode::Placeholder, problem);
            return end::never_started(runner, claimed, Status::Error, reason).await.map(|()| None);
        }
    };
    crash_point("sending_committed").await;
    let answer = runner.backend_of(claimed).start(&request).await;
    crash_point("start_answered").await;
    match answer {
        StartAnswer::Accepted(started) => {
            runner.backend_breaker.record_success(runner.clock.now());
            let change = RunChange::Accept {
                thread_id: request.thread_id,
                backend_run_id: started.backend_run_id,
                at: runner.clock.now(),
            };
            let backend_run = accept(runner, claimed, change, None).await?;
            Ok(backend_run.map(|backend_run| (backend_run, started.response_stream)))
        }
        StartAnswer::NotSent { detail, wait } => {
            not_sent(runner, claimed, &Trouble::Unreachable { asked: wait }, detail).await
        }
        StartAnswer::Denied { detail } => not_sent(runner, claimed, &Trouble::Denied, detail).await,
        StartAnswer::Rejected { detail } => {
            let reason = Reason::new(ReasonCode::Rejected, format!("rejected: {detail}"));
            end::never_started(runner, claimed, Status::Error, reason).await?;
            Ok(None)
        }
        StartAnswer::Busy { detail } => busy(runner, claimed, detail).await,
        StartAnswer::Unclear { detail } => unconfirmed(runner, claimed, detail).await,
    }
}

/// Commits that the backend has the run.
pub(super) async fn accept(
    runner: &Runner,
    claimed: &ClaimedRun,
    change: RunChange,
    how: Option<RunEvent>,
) -> Result<Option<BackendRun>, StoreError> {
    let event = how.or_else(|| late(runner, claimed));
    let run = runner.store.step_run(Step { event, ..Step::of(claimed.run.run_id, change) }).await?;
    crash_point("accepted_committed").await;
    match run.state {
        RunState::Running(backend_run) => Ok(Some(backend_run)),
        _ => Ok(None),
    }
}

/// Why it started late, if it did.
pub(super) fn late(runner: &Runner, claimed: &ClaimedRun) -> Option<RunEvent> {
    let now = runner.clock.now();
    let late = backoff::between(claimed.run.due_at, now);
    if late < LATE && claimed.run.send_count <= 1 {
        return None;
    }
    let why = end::why_late(runner, claimed);
    let late = humantime::format_duration(Duration::from_secs(late.as_secs()));
    let send_count = claimed.run.send_count;
    let detail = format!("started {late} late, at try {send_count}: {why}");
    let reason = Some(Reason::new(ReasonCode::StartedLate, detail));
    Some(RunEvent { at: now, event: RunEventKind::StartedLate, reason })
}

async fn not_sent(
    runner: &Runner,
    claimed: &ClaimedRun,
    trouble: &Trouble,
    detail: String,
) -> Result<Option<(BackendRun, Option<ResponseStream>)>, StoreError> {
    let now = runner.clock.now();
    let again = runner.backend_breaker.record_failure(now, trouble, &detail);
    let code = match trouble {
        Trouble::Unreachable { .. } => ReasonCode::BackendUnreachable,
        Trouble::Denied => ReasonCode::BackendDenied,
    };
    let reason = Some(Reason::new(code, detail));
    let event = Some(RunEvent { at: now, event: RunEventKind::NotSent, reason });
    let step = Step { act_at: Some(again), event, ..Step::of(claimed.run.run_id, RunChange::NotSent) };
    runner.store.step_run(step).await?;
    Ok(None)
}

/// 409: on a thread of the user's own it means what the user asked for; on a thread that only we know, it means that
/// a copy of our own request is there already.
async fn busy(
    runner: &Runner,
    claimed: &ClaimedRun,
    detail: String,
) -> Result<Option<(BackendRun, Option<ResponseStream>)>, StoreError> {
    let request = claimed.spec.request();
    match request.target {
        Target::Stateless(_) => unconfirmed(runner, claimed, detail).await,
        Target::Thread(_) => {
            let (status, reason) = match request.multitask_strategy {
                Some(MultitaskStrategy::Reject) => {
                    (Status::Skipped, Reason::new(ReasonCode::ThreadBusy, format!("thread busy: {detail}")))
                }
                Some(
                    MultitaskStrategy::Enqueue | MultitaskStrategy::Interrupt | MultitaskStrategy::Rollback,
                )
                | None => (Status::Error, Reason::new(ReasonCode::Rejected, format!("rejected: {detail}"))),
            };
            end::never_started(runner, claimed, status, reason).await?;
            Ok(None)
        }
    }
}

async fn unconfirmed(
    runner: &Runner,
    claimed: &ClaimedRun,
    detail: String,
) -> Result<Option<(BackendRun, Option<ResponseStream>)>, StoreError> {
    let now = runner.clock.now();
    tracing::warn!(cron = claimed.run.called(), run_id = %claimed.run.run_id, detail, "not known whether it started");
    let reason = Some(Reason::new(ReasonCode::StartUnconfirmed, detail));
    let event = Some(RunEvent { at: now, event: RunEventKind::Unconfirmed, reason });
    let step = Step { act_at: Some(now), event, ..Step::of(claimed.run.run_id, RunChange::Unconfirm) };
    runner.store.step_run(step).await?;
    runner.wakes.runner.notify_one();
    Ok(None)
}
