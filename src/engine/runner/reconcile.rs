//! Clearing a doubt: was attempt `n` started or not? Never by sending it again.
//!
//! On a thread of our own (`T_n`) we post a fence, after which nothing can start there, and list what is there. On
//! the user's thread we may not: we list, wait until no copy of the request can still be on its way, and list again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;

use super::{Runner, end, start};
use crate::backend::{CallError, FenceAnswer, ListedRun};
use crate::crash::crash_point;
use crate::domain::backoff;
use crate::domain::bounds::UNCONFIRMED_MAX;
use crate::domain::cron::Target;
use crate::domain::ids::{BackendRunId, ThreadId};
use crate::domain::reason::{Reason, ReasonCode, RunEventKind};
use crate::domain::run::{BackendRun, RunChange, RunState, Status};
use crate::domain::run_spec::RunSpec;
use crate::store::{ClaimedRun, RunEvent, Step, StoreError};

/// Between two tries to clear the same doubt.
const FIRST: Duration = Duration::from_millis(500);
const MOST: Duration = Duration::from_secs(30);

/// What is known about an attempt in doubt.
enum Finding {
    /// It is there.
    Started(BackendRunId),
    /// It is not there, and never will be.
    Never,
    /// It is not there, but may still come: look again then.
    NotYet(Timestamp),
    /// The backend did not tell.
    Unknown(String),
    /// The backend cannot tell.
    Unknowable(String),
}

/// Clears the doubt about a run, or puts it off; answers the run if the backend has it.
pub(super) async fn resolve(runner: &Runner, claimed: &ClaimedRun) -> Result<Option<BackendRun>, StoreError> {
    let RunState::Unconfirmed { start_number, sent_at } = claimed.run.state else { return Ok(None) };
    let run_id = claimed.run.run_id;
    let now = runner.clock.now();
    let (thread_id, finding) = match (claimed.spec.request().target, &claimed.spec) {
        (Target::Thread(thread_id), _) => (thread_id, by_listing(runner, claimed, thread_id, sent_at).await),
        (Target::Stateless(_), RunSpec::Cron(_)) => {
            let thread_id = run_id.thread_of_start(start_number);
            (thread_id, by_fence(runner, claimed, thread_id, sent_at).await)
        }
        (Target::Stateless(_), RunSpec::Client(_)) => by_search(runner, claimed, sent_at).await,
    };
    crash_point("reconciled").await;
    match finding {
        Finding::Started(backend_run_id) => {
            let change = RunChange::Accept { thread_id, backend_run_id, at: sent_at };
            let message = format!("found on the server after a doubt: {}", why(claimed));
            let reason = Some(Reason::new(ReasonCode::Adopted, message));
            let event = RunEvent { at: now, event: RunEventKind::Adopted, reason };
            start::accept(runner, claimed, change, Some(event)).await
        }
        // The client has sent it, and may send it again; we do not.
        Finding::Never if matches!(claimed.spec, RunSpec::Client(_)) => {
            let why = why(claimed);
            let message = format!("rejected: the agent server does not have it, after a doubt: {why}");
            let reason = Reason::new(ReasonCode::Rejected, message);
            end::never_started(runner, claimed, Status::Error, reason).await?;
            Ok(None)
        }
        Finding::Never => {
            let fenced = matches!(claimed.spec.request().target, Target::Stateless(_)).then_some(thread_id);
            let event =
                RunEvent { at: now, event: RunEventKind::RuledOut, reason: claimed.run.reason.clone() };
            let wait = backoff::doubling(FIRST, MOST, claimed.run.send_count);
            let step = Step {
                act_at: Some(if claimed.run.send_count > 1 { backoff::after(now, wait) } else { now }),
                event: Some(event),
                fenced,
                ..Step::of(run_id, RunChange::RuleOut)
            };
            runner.store.step_run(step).await?;
            runner.wakes.runner.notify_one();
            Ok(None)
        }
        Finding::Unknowable(detail) => {
            let message = format!("unknown: whether it started cannot be learnt: {detail}");
            let reason = Reason::new(ReasonCode::Unknown, message);
            end::never_started(runner, claimed, Status::Error, reason).await?;
            Ok(None)
        }
        Finding::NotYet(at) => put_off(runner, claimed, at, None).await,
        Finding::Unknown(detail) if backoff::between(sent_at, now) > UNCONFIRMED_MAX => {
            let message = format!("unknown: whether it started could not be learnt for a day: {detail}");
            let reason = Reason::new(ReasonCode::Unknown, message);
            end::never_started(runner, claimed, Status::Error, reason).await?;
            Ok(None)
        }
        Finding::Unknown(detail) => {
            let wait = backoff::doubling(FIRST, MOST, claimed.run.not_found_count.saturating_add(1));
            put_off(runner, claimed, backoff::after(now, wait), Some(detail)).await
        }
    }
}

/// Why there was a doubt.
fn why(claimed: &ClaimedRun) -> &str {
    let said = claimed.run.reason.as_ref().and_then(|reason| reason.message.as_deref());
    said.unwrap_or("the daemon stopped while it was being sent")
}

async fn put_off(
    runner: &Runner,
    claimed: &ClaimedRun,
    until: Timestamp,
    detail: Option<String>,
) -> Result<Option<BackendRun>, StoreError> {
    let now = runner.clock.now();
    // The first failure is worth a line in the timeline; a day of them is not.
    let event = detail.filter(|_| claimed.run.not_found_count == 0).map(|detail| RunEvent {
        at: now,
        event: RunEventKind::StillUnconfirmed,
        reason: Some(Reason::new(ReasonCode::StartUnconfirmed, detail)),
    });
    let not_found_count = claimed.run.not_found_count.saturating_add(1);
    let step = Step {
        act_at: Some(until),
        not_found_count,
        event,
        ..Step::of(claimed.run.run_id, RunChange::Unconfirm)
    };
    runner.store.step_run(step).await?;
    runner.wakes.runner.notify_one();
    Ok(None)
}

/// On a thread that only we know.
async fn by_fence(runner: &Runner, claimed: &ClaimedRun, thread_id: ThreadId, sent_at: Timestamp) -> Finding {
    if runner.fence_refuted.load(Ordering::Relaxed) {
        return by_listing(runner, claimed, thread_id, sent_at).await;
    }
    let assistant_id = &claimed.spec.request().assistant_id;
    let posted = match runner.backend_of(claimed).fence(thread_id, assistant_id).await {
        FenceAnswer::Unclear(detail) => return Finding::Unknown(detail),
        FenceAnswer::NotSupported(_) => return by_listing(runner, claimed, thread_id, sent_at).await,
        FenceAnswer::Busy => None,
        FenceAnswer::Stands(posted) => Some(posted),
    };
    crash_point("fence_posted").await;
    let listed = match runner.backend_of(claimed).runs_on(thread_id).await {
        Ok(listed) => listed,
        Err(error) => return Finding::Unknown(error.to_string()),
    };
    let is_fence = |run: &ListedRun| run.is_fence || Some(run.backend_run_id) == posted;
    // On this thread nobody but us starts anything, so whatever is no fence is ours, even without metadata.
    if let Some(ours) = listed.iter().rev().find(|run| !is_fence(run)) {
        if let Some(fence) = listed.iter().find(|run| is_fence(run)) {
            lift(runner, claimed, thread_id, fence.backend_run_id).await;
        }
        return Finding::Started(ours.backend_run_id);
    }
    let Some(fence) = listed.iter().find(|run| is_fence(run)) else {
        return Finding::Unknown("the thread is busy, but nothing is listed on it".to_owned());
    };
    match holds(runner, claimed, thread_id, fence).await {
        Ok(true) => Finding::Never,
        Ok(false) => {
            lift(runner, claimed, thread_id, fence.backend_run_id).await;
            by_listing(runner, claimed, thread_id, sent_at).await
        }
        Err(detail) => Finding::Unknown(detail),
    }
}

/// A fence that has served, or does not hold, goes: a thread that is kept should not wait for it for ten years.
async fn lift(runner: &Runner, claimed: &ClaimedRun, thread_id: ThreadId, fence: BackendRunId) {
    if let Err(error) = runner.backend_of(claimed).lift_fence(thread_id, fence).await {
        tracing::debug!(%thread_id, %error, "a fence that has served could not be taken away");
    }
}

/// Whether this server honours a fence: it must still be waiting, and a second one must be refused. Learnt once, and
/// only from clear answers: a broken line says nothing about the server.
async fn holds(
    runner: &Runner,
    claimed: &ClaimedRun,
    thread_id: ThreadId,
    fence: &ListedRun,
) -> Result<bool, String> {
    if runner.fence_proved.load(Ordering::Relaxed) {
        return Ok(true);
    }
    let waits = fence.status == "pending";
    let assistant_id = &claimed.spec.request().assistant_id;
    match runner.backend_of(claimed).fence(thread_id, assistant_id).await {
        FenceAnswer::Unclear(detail) | FenceAnswer::NotSupported(detail) => Err(detail),
        FenceAnswer::Busy if waits => {
            runner.fence_proved.store(true, Ordering::Relaxed);
            Ok(true)
        }
        FenceAnswer::Busy | FenceAnswer::Stands(_) => {
            runner.fence_refuted.store(true, Ordering::Relaxed);
            tracing::warn!(
                "this agent server knows no fence (multitask_strategy \"reject\" with after_seconds): after an \
                 unclear answer runs are sent again only once no copy can still be on its way, a weaker promise"
            );
            Ok(false)
        }
    }
}

/// On a thread that the server has made for a client's stateless run: it is found by our id, which is on the thread,
/// too. Where it cannot be searched for, nothing can be found out.
async fn by_search(runner: &Runner, claimed: &ClaimedRun, sent_at: Timestamp) -> (ThreadId, Finding) {
    let nowhere = claimed.run.run_id.thread_of_start(1);
    let threads = match runner.backend.threads_of(claimed.run.run_id).await {
        Ok(threads) => threads,
        Err(error @ CallError::Unreachable(_)) => return (nowhere, Finding::Unknown(error.to_string())),
        Err(error @ CallError::Status { code: 500.., .. }) => {
            return (nowhere, Finding::Unknown(error.to_string()));
        }
        Err(error @ (CallError::NotFound(_) | CallError::Status { .. } | CallError::TooLarge { .. })) => {
            return (nowhere, Finding::Unknowable(format!("threads cannot be searched for: {error}")));
        }
    };
    for thread_id in threads {
        match by_listing(runner, claimed, thread_id, sent_at).await {
            Finding::Never | Finding::NotYet(_) => {}
            found @ (Finding::Started(_) | Finding::Unknown(_) | Finding::Unknowable(_)) => {
                return (thread_id, found);
            }
        }
    }
    (nowhere, not_there(runner, sent_at))
}

/// Where no fence may or can stand: ours is what bears our id.
async fn by_listing(
    runner: &Runner,
    claimed: &ClaimedRun,
    thread_id: ThreadId,
    sent_at: Timestamp,
) -> Finding {
    let listed = match runner.backend_of(claimed).runs_on(thread_id).await {
        Ok(listed) => listed,
        Err(error) => return Finding::Unknown(error.to_string()),
    };
    let run_id = claimed.run.run_id;
    let of_our_own = matches!(claimed.spec.request().target, Target::Stateless(_));
    // A server that reports no metadata leaves us the threads that only we know.
    let is_ours = |run: &ListedRun| run.run_id == Some(run_id) || (of_our_own && !run.has_metadata);
    if let Some(ours) = listed.iter().rev().find(|run| !run.is_fence && is_ours(run)) {
        return Finding::Started(ours.backend_run_id);
    }
    if matches!(claimed.spec, RunSpec::Client(_)) && listed.iter().any(|run| !run.has_metadata) {
        return Finding::Unknowable("this agent server does not tell the metadata of runs".to_owned());
    }
    not_there(runner, sent_at)
}

/// It may still come, until no copy of the request can be on its way any more.
fn not_there(runner: &Runner, sent_at: Timestamp) -> Finding {
    let safe_at = backoff::after(sent_at, runner.backend.request_timeout() * 2);
    if runner.clock.now() < safe_at { Finding::NotYet(safe_at) } else { Finding::Never }
}
