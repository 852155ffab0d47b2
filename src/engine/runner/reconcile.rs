//! Reconciles an unconfirmed start: did start `n` reach the agent server or not? It is never sent again to
//! find out.
//!
//! On a thread that only we know (`T_n`) we post a fence, after which nothing can start there, and list the
//! thread. On a user's thread we must not post one: we list it, wait until no copy of the request can be on its
//! way any more, and list it again.

use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;

use super::conclusion::{
    ArrivalWindow, Conclusion, FencedThread, NO_METADATA, Sought, SoughtRun, StartedBy, ThreadOwner,
    conclude_from_absence, conclude_from_list, read_fenced_thread,
};
use super::fence_support::FenceSupport;
use super::{AcceptedRun, NextStep, RunTask, Runner, access, end, start};
use crate::backend::{CallError, FenceAnswer, ListedRun};
use crate::crash::crash_point;
use crate::domain::backoff;
use crate::domain::bounds::UNCONFIRMED_MAX;
use crate::domain::cron::Target;
use crate::domain::ids::{BackendRunId, ThreadId};
use crate::domain::lease::LEASE;
use crate::domain::reason::{Reason, ReasonCode, RunEventKind};
use crate::domain::run::{RunChange, RunState, Status};
use crate::domain::run_spec::RunSpec;
use crate::store::{RunEvent, Sharing, Step, StoreError};

/// The waits between two attempts to reconcile the same start, and before the next start.
const WAIT_FIRST: Duration = Duration::from_millis(500);
const WAIT_MOST: Duration = Duration::from_secs(30);

/// Reconciles an unconfirmed start, and commits the conclusion.
pub(super) async fn reconcile(
    task: &RunTask<'_>,
    start_number: u32,
    sent_at: Timestamp,
) -> Result<NextStep, StoreError> {
    let claimed = task.claimed;
    let (thread_id, conclusion) = match (claimed.spec.request().target, &claimed.spec) {
        (Target::Thread(thread_id), _) => (thread_id, conclude_by_list(task, thread_id, sent_at).await),
        (Target::Stateless(_), RunSpec::Cron(_)) => {
            let thread_id = claimed.run.run_id.thread_of_start(start_number);
            (thread_id, conclude_by_fence(task, thread_id, sent_at).await)
        }
        (Target::Stateless(_), RunSpec::Client(_)) => conclude_by_search(task, sent_at).await,
    };
    crash_point("reconciled").await;
    task.runner.store_copy.record(&task.runner.store, task.runner.clock.now()).await?;
    match conclusion {
        Conclusion::Unanswered(_) | Conclusion::Denied(_) => {}
        Conclusion::Started(_)
        | Conclusion::NeverStarts
        | Conclusion::NotRecognised
        | Conclusion::MayStartUntil(_)
        | Conclusion::Undecidable(_) => task.runner.denials.lift(claimed.run.run_id.0),
    }
    match conclusion {
        Conclusion::Started(backend_run_id) => adopt(task, thread_id, backend_run_id, sent_at).await,
        Conclusion::NeverStarts => match claimed.spec {
            RunSpec::Cron(_) => rule_out(task, thread_id, claimed.run.reason.clone()).await,
            // The client sent it, and may send it again; we do not.
            RunSpec::Client(_) => {
                let cause = unconfirmed_because(task);
                let message =
                    format!("the agent server does not have it; its start had not been confirmed: {cause}");
                give_up(task, ReasonCode::Rejected, message).await
            }
        },
        Conclusion::NotRecognised => {
            let message = format!(
                "{NO_METADATA}: the runs on its thread may be another's, so none was taken for this one; sent again"
            );
            rule_out(task, thread_id, Some(Reason::new(ReasonCode::StartUnconfirmed, message))).await
        }
        Conclusion::MayStartUntil(until) => {
            let message =
                "the agent server does not have it so far, and a copy of the request may still arrive";
            let reason = Reason::new(ReasonCode::StartUnconfirmed, message);
            postpone(task, until, Some(reason).filter(|_| is_denial_noted(task))).await
        }
        Conclusion::Undecidable(detail) => {
            let message = format!("it cannot be determined whether it started: {detail}");
            give_up(task, ReasonCode::Unknown, message).await
        }
        Conclusion::Unanswered(detail) => {
            try_again(task, sent_at, Reason::new(ReasonCode::StartUnconfirmed, detail)).await
        }
        Conclusion::Denied(denial) => {
            let message = format!("its start cannot be confirmed: {denial}");
            let reason = Reason::new(ReasonCode::BackendDenied, message);
            let (runner, run_id) = (task.runner, claimed.run.run_id);
            if runner.denials.record(run_id.0, access::EFFECT, &denial) {
                runner.store.restate_overlaps(task.claimed.held(), sent_at, reason.clone()).await?;
            }
            try_again(task, sent_at, reason).await
        }
    }
}

/// Commits when a start is reconciled again that the backend did not answer about, or gives it up.
async fn try_again(task: &RunTask<'_>, sent_at: Timestamp, reason: Reason) -> Result<NextStep, StoreError> {
    let (run, now) = (&task.claimed.run, task.runner.clock.now());
    if backoff::between(sent_at, now) > UNCONFIRMED_MAX {
        task.runner.denials.forget(run.run_id.0);
        let detail = reason.text();
        let message = format!("it could not be determined for a day whether it started: {detail}");
        return give_up(task, ReasonCode::Unknown, message).await;
    }
    let wait = backoff::doubling(WAIT_FIRST, WAIT_MOST, run.not_found_count.saturating_add(1));
    // The first failure is worth a line in the timeline, and so is a denial that begins or ends; a day of them is not.
    let is_news = run.not_found_count == 0 || reason.is_denial() != is_denial_noted(task);
    postpone(task, backoff::after(now, wait), Some(reason).filter(|_| is_news)).await
}

/// Whether the run's reason says that the backend refuses us.
fn is_denial_noted(task: &RunTask<'_>) -> bool {
    task.claimed.run.reason.as_ref().is_some_and(Reason::is_denial)
}

/// Commits that the run was found on the backend.
async fn adopt(
    task: &RunTask<'_>,
    thread_id: ThreadId,
    backend_run_id: BackendRunId,
    sent_at: Timestamp,
) -> Result<NextStep, StoreError> {
    let cause = unconfirmed_because(task);
    let message = format!("found on the agent server; its start had not been confirmed: {cause}");
    let reason = Some(Reason::new(ReasonCode::Adopted, message));
    let event = RunEvent { at: task.runner.clock.now(), event: RunEventKind::Adopted, reason };
    let change = RunChange::Accept { thread_id, backend_run_id, at: sent_at };
    let backend_run = start::accept(task, change, Some(event)).await?;
    Ok(backend_run.map_or(NextStep::Leave, |run| NextStep::Follow(AcceptedRun::accepted_earlier(run))))
}

/// Commits that this start never happens, so that the next one may be sent.
async fn rule_out(
    task: &RunTask<'_>,
    thread_id: ThreadId,
    reason: Option<Reason>,
) -> Result<NextStep, StoreError> {
    let (runner, run) = (task.runner, &task.claimed.run);
    let now = runner.clock.now();
    let fenced = match task.claimed.spec.request().target {
        Target::Stateless(_) => Some(thread_id),
        Target::Thread(_) => None,
    };
    let event = RunEvent { at: now, event: RunEventKind::RuledOut, reason };
    let wait = backoff::doubling(WAIT_FIRST, WAIT_MOST, run.send_count);
    let is_sent_next = !matches!(run.state, RunState::Unconfirmed { ahead: 1.., .. });
    let next = if run.send_count > 1 && is_sent_next { backoff::after(now, wait) } else { now };
    let step = Step {
        // The clock of whoever sent it may have been ahead.
        act_at: Some(next.max(run.due_at)),
        event: Some(event),
        fenced,
        ..Step::of(task.claimed.held(), RunChange::RuleOut)
    };
    runner.store.step_run(step).await?;
    // The plan of its cron may have waited for this.
    runner.wakes.runner.notify_one();
    // If it was a retry that its cron does not want any more, a webhook is due.
    runner.wakes.courier.notify_one();
    Ok(NextStep::Leave)
}

async fn give_up(task: &RunTask<'_>, code: ReasonCode, message: String) -> Result<NextStep, StoreError> {
    end::never_started(task, Status::Error, Reason::new(code, message)).await?;
    Ok(NextStep::Leave)
}

/// Returns why the start was unconfirmed.
fn unconfirmed_because<'a>(task: &RunTask<'a>) -> &'a str {
    let message = task.claimed.run.reason.as_ref().and_then(|reason| reason.message.as_deref());
    message.unwrap_or("the daemon stopped while it was being sent")
}

/// Commits when the start is reconciled again; `reason` is what is new about it.
async fn postpone(
    task: &RunTask<'_>,
    until: Timestamp,
    reason: Option<Reason>,
) -> Result<NextStep, StoreError> {
    let (runner, run) = (task.runner, &task.claimed.run);
    let event = reason.map(|reason| RunEvent {
        at: runner.clock.now(),
        event: RunEventKind::StillUnconfirmed,
        reason: Some(reason),
    });
    let step = Step {
        act_at: Some(until),
        not_found_count: run.not_found_count.saturating_add(1),
        event,
        ..Step::of(task.claimed.held(), RunChange::Unconfirm)
    };
    runner.store.step_run(step).await?;
    runner.wakes.runner.notify_one();
    Ok(NextStep::Leave)
}

/// Reconciles on a thread that only we know.
async fn conclude_by_fence(task: &RunTask<'_>, thread_id: ThreadId, sent_at: Timestamp) -> Conclusion {
    if task.runner.fence_support() == FenceSupport::Ignored {
        return conclude_by_list(task, thread_id, sent_at).await;
    }
    let assistant_id = &task.claimed.spec.request().assistant_id;
    let posted = match task.backend.fence(thread_id, assistant_id, task.runner.store.run_owner()).await {
        FenceAnswer::Unclear(detail) => return Conclusion::Unanswered(detail),
        FenceAnswer::Denied(denial) => return Conclusion::Denied(denial),
        FenceAnswer::NotSupported(_) => return conclude_by_list(task, thread_id, sent_at).await,
        FenceAnswer::Busy => None,
        FenceAnswer::Posted(fence) => Some(fence),
    };
    crash_point("fence_posted").await;
    let listed = match list(task, thread_id).await {
        Ok(listed) => listed,
        Err(conclusion) => return conclusion,
    };
    match read_fenced_thread(&listed, sought(task), posted) {
        FencedThread::OurRun { backend_run_id, fence } => {
            if let Some(fence) = fence {
                lift_fence(task, thread_id, fence).await;
            }
            Conclusion::Started(backend_run_id)
        }
        FencedThread::OnlyTheFence(fence) => match find_fence_support(task, thread_id, fence).await {
            Ok(FenceSupport::Honoured) => Conclusion::NeverStarts,
            Ok(FenceSupport::Ignored | FenceSupport::Unknown) => {
                lift_fence(task, thread_id, fence.backend_run_id).await;
                conclude_by_list(task, thread_id, sent_at).await
            }
            Err(conclusion) => conclusion,
        },
        FencedThread::Nothing => {
            Conclusion::Unanswered("the thread is busy, but no run of ours is listed on it".to_owned())
        }
    }
}

/// Lifts a fence that is no longer needed, or that has no effect: without this, a thread that is kept would be
/// busy with it for ten years.
async fn lift_fence(task: &RunTask<'_>, thread_id: ThreadId, fence: BackendRunId) {
    if let Err(error) = task.backend.lift_fence(thread_id, fence).await {
        tracing::debug!(%thread_id, %error, "fence not lifted");
    }
}

/// Returns whether this server honours a fence. If that is not known yet, a second fence is posted, which a
/// server that honours the first one refuses.
///
/// # Errors
/// The answer shows nothing about the server, and this is what is concluded.
async fn find_fence_support(
    task: &RunTask<'_>,
    thread_id: ThreadId,
    fence: &ListedRun,
) -> Result<FenceSupport, Conclusion> {
    if task.runner.fence_support() == FenceSupport::Honoured {
        return Ok(FenceSupport::Honoured);
    }
    let assistant_id = &task.claimed.spec.request().assistant_id;
    let second = task.backend.fence(thread_id, assistant_id, task.runner.store.run_owner()).await;
    let shown = FenceSupport::shown_by(&fence.status, &second);
    match second {
        FenceAnswer::Unclear(detail) | FenceAnswer::NotSupported(detail) => {
            return Err(Conclusion::Unanswered(detail));
        }
        FenceAnswer::Denied(denial) => return Err(Conclusion::Denied(denial)),
        FenceAnswer::Busy | FenceAnswer::Posted(_) => {}
    }
    if shown == FenceSupport::Ignored {
        tracing::warn!(
            "fences ignored by this agent server (multitask_strategy \"reject\" with after_seconds); after an unclear \
             answer, a run is sent again only once no copy can be on its way any more, which is a weaker promise"
        );
    }
    task.runner.learn_fence_support(shown);
    Ok(shown)
}

impl Runner {
    fn fence_support(&self) -> FenceSupport {
        *self.fence_support.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn_fence_support(&self, learned: FenceSupport) {
        let mut known = self.fence_support.lock().unwrap_or_else(PoisonError::into_inner);
        *known = known.and(learned);
    }
}

/// Reconciles a client's stateless run. The server made its thread, and copied our id to the metadata of the
/// thread, by which it is searched for. Where threads cannot be searched for, nothing can be determined.
async fn conclude_by_search(task: &RunTask<'_>, sent_at: Timestamp) -> (ThreadId, Conclusion) {
    let SoughtRun { run_id, installation_id } = sought(task);
    let nowhere = run_id.thread_of_start(1);
    let threads = match task.backend.threads_of(run_id, installation_id).await {
        Ok(threads) => threads,
        Err(
            error
            @ (CallError::Unreachable(_) | CallError::Denied(_) | CallError::Status { code: 500.., .. }),
        ) => {
            return (nowhere, unanswered(error));
        }
        Err(
            error @ (CallError::NotFound(_)
            | CallError::PlainNotFound(_)
            | CallError::Status { .. }
            | CallError::TooLarge { .. }),
        ) => {
            let detail = format!("threads cannot be searched for: {error}");
            return (nowhere, Conclusion::Undecidable(detail));
        }
    };
    for thread_id in threads {
        match conclude_by_list(task, thread_id, sent_at).await {
            Conclusion::NeverStarts | Conclusion::MayStartUntil(_) => {}
            conclusion @ (Conclusion::Started(_)
            | Conclusion::NotRecognised
            | Conclusion::Unanswered(_)
            | Conclusion::Denied(_)
            | Conclusion::Undecidable(_)) => {
                return (thread_id, conclusion);
            }
        }
    }
    (nowhere, conclude_from_absence(arrival_window(task.runner, sent_at)))
}

/// Reconciles on a thread on which a fence must not be posted, or has no effect.
async fn conclude_by_list(task: &RunTask<'_>, thread_id: ThreadId, sent_at: Timestamp) -> Conclusion {
    let listed = match list(task, thread_id).await {
        Ok(listed) => listed,
        Err(conclusion) => return conclusion,
    };
    let spec = &task.claimed.spec;
    let sought = Sought {
        run: sought(task),
        thread_owner: match spec.request().target {
            Target::Stateless(_) => ThreadOwner::ThisRun,
            Target::Thread(_) => ThreadOwner::User,
        },
        started_by: match spec {
            RunSpec::Cron(_) => StartedBy::Agentcron,
            RunSpec::Client(_) => StartedBy::Client,
        },
        window: arrival_window(task.runner, sent_at),
    };
    conclude_from_list(&listed, sought)
}

fn sought(task: &RunTask<'_>) -> SoughtRun {
    let installation_id = task.runner.store.run_owner().installation_id;
    SoughtRun { run_id: task.claimed.run.run_id, installation_id }
}

/// Returns the runs on a thread, and takes note of one that shows a copy of this store.
///
/// # Errors
/// What is concluded if the backend does not list them.
async fn list(task: &RunTask<'_>, thread_id: ThreadId) -> Result<Vec<ListedRun>, Conclusion> {
    let listed = task.backend.runs_on(thread_id).await.map_err(unanswered)?;
    let runner = task.runner;
    let is_known = |daemon_id| runner.store.has_had_daemon(daemon_id);
    // Where several daemons share a store, others may have begun since this one.
    let is_alone = runner.store.sharing() == Sharing::Alone;
    if is_alone && listed.iter().any(|run| sought(task).was_sent_by_copy(run, runner.started_at, is_known)) {
        runner.store_copy.seen(task.claimed);
    }
    Ok(listed)
}

fn unanswered(error: CallError) -> Conclusion {
    match error {
        CallError::Denied(denial) => Conclusion::Denied(denial),
        CallError::NotFound(_)
        | CallError::PlainNotFound(_)
        | CallError::Status { .. }
        | CallError::TooLarge { .. }
        | CallError::Unreachable(_) => Conclusion::Unanswered(error.to_string()),
    }
}

fn arrival_window(runner: &Runner, sent_at: Timestamp) -> ArrivalWindow {
    let now = runner.clock.now();
    let twice = runner.backend.request_timeout() * 2;
    let length = match runner.store.sharing() {
        Sharing::Alone => twice,
        // Whoever sent it may not know yet that the store has gone back.
        Sharing::Shared => twice.max(LEASE),
    };
    // It was sent by now, whatever the clock showed then.
    let closes_at = backoff::after(sent_at.min(now), length);
    ArrivalWindow { now, closes_at }
}
