//! Follows a run to its end. `join`, or the rest of the answer to `wait` and `stream`, shows when to check. The
//! run is queried afterwards, and its own report decides whether and how it ended. What the graph returned may
//! come from `join` only if we were watching before the run ended; otherwise the thread is queried.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use super::absence::{Absence, absence};
use super::access::Access;
use super::breakpoints::stopped_at_breakpoint;
use super::end_details::end_details;
use super::judge::{BackendEnd, Pause, judge};
use super::{AcceptedRun, RunTask, Runner, Watched, end};
use crate::backend::{CallError, Denial, JoinResult, ReportedEnd, ResponseStream, RunReport};
use crate::clock::Deadline;
use crate::domain::backoff;
use crate::domain::bounds::{CANCEL_WAIT, JOIN_WAIT, NOT_FOUND_MAX, POLL_WAIT, UNCONFIRMED_MAX};
use crate::domain::overload::wait_after_overload;
use crate::domain::reason::{Reason, ReasonCode, RunEventKind};
use crate::domain::run::{BackendRun, CancelCause, Outcome, RunChange, RunError, RunState, Status};
use crate::store::{ClaimedRun, RunEvent, Step, StoreError};

/// The waits between two joins of the same run when the connection does not last.
const REJOIN_FIRST: Duration = Duration::from_millis(200);
const REJOIN_MOST: Duration = Duration::from_secs(5);

/// What is remembered while a run is followed.
struct FollowState {
    backend_run: BackendRun,
    watched: Watched,
    source: EndSource,
    /// The end that was reported; it is not known yet whether the run's own record agrees.
    reported: Option<ReportedEnd>,
    reconnects: u32,
    not_found_count: u32,
    /// Whether the server has ever shown the run to us.
    was_shown: bool,
    access: Access,
    /// Whether the backend has refused to cancel the run.
    cancel_denied: bool,
    /// How often the run was not found, and the server's answer did not show that it is not there.
    not_shown_count: u32,
    /// Whether the server reported the end of a run that it did not have afterwards.
    ended_on_server: bool,
    /// When the run reaches the cron's `timeout`, or its own.
    times_out: Option<Deadline>,
    /// Set once the backend was asked to cancel the run: how long it may take.
    cancelled_by: Option<Deadline>,
}

/// Where we learn that the run may have ended.
enum EndSource {
    /// From the rest of the answer that accepted it.
    Response(ResponseStream),
    Join,
    /// This server has no `join`: the run is checked from time to time.
    Polling,
}

/// Why the wait for the end of a run is over.
enum Wakeup {
    Stopped,
    /// Somebody else has changed the row of the run.
    RowChanged,
    /// The run has reached the cron's `timeout`.
    TimedOut,
    Joined(JoinResult),
    PollDue,
}

/// What is done next while a run is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FollowStep {
    Check,
    Wait,
    /// The daemon stops, or somebody else has ended the run.
    Leave,
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Checked {
    /// The end of the run is committed.
    Ended,
    /// The run is in progress, as far as is known.
    InProgress,
}

/// Follows a run until its end is committed, or until the daemon stops.
pub(super) async fn follow(
    task: &RunTask<'_>,
    accepted: AcceptedRun,
    nudge: &Notify,
) -> Result<(), StoreError> {
    let AcceptedRun { backend_run, response_stream, watched } = accepted;
    let time_limit = time_limit(task.claimed, &backend_run);
    let times_out = time_limit.map(|(from, limit)| task.runner.clock.deadline(from, limit));
    let mut state = FollowState {
        backend_run,
        watched,
        source: response_stream.map_or(EndSource::Join, EndSource::Response),
        reported: None,
        reconnects: 0,
        not_found_count: 0,
        was_shown: false,
        access: Access::of(task),
        cancel_denied: false,
        not_shown_count: 0,
        ended_on_server: false,
        times_out,
        cancelled_by: None,
    };
    let result = follow_to_end(task, &mut state, nudge).await;
    task.runner.denials.forget(&task.claimed.run.run_id);
    result
}

async fn follow_to_end(
    task: &RunTask<'_>,
    state: &mut FollowState,
    nudge: &Notify,
) -> Result<(), StoreError> {
    let mut step = match state.watched {
        Watched::BeforeItsEnd => FollowStep::Wait,
        Watched::PerhapsAfterItsEnd => FollowStep::Check,
    };
    loop {
        match step {
            FollowStep::Leave => return Ok(()),
            FollowStep::Check if check(task, state).await? == Checked::Ended => return Ok(()),
            FollowStep::Check | FollowStep::Wait => {}
        }
        if state.backend_run.cancelling.is_some() {
            cancel(task, state).await?;
        }
        let wakeup = wait(task, state, nudge).await;
        step = handle(task, state, wakeup).await?;
    }
}

/// Takes note of what ended the wait, and returns what is done next.
async fn handle(
    task: &RunTask<'_>,
    state: &mut FollowState,
    wakeup: Wakeup,
) -> Result<FollowStep, StoreError> {
    let (runner, run_id) = (task.runner, task.claimed.run.run_id);
    match wakeup {
        Wakeup::Stopped => return Ok(FollowStep::Leave),
        Wakeup::PollDue => {}
        Wakeup::RowChanged => match runner.store.run(run_id).await?.state {
            RunState::Running(backend_run) => state.backend_run = backend_run,
            RunState::Pending { .. }
            | RunState::Sending { .. }
            | RunState::Unconfirmed { .. }
            | RunState::Ended { .. } => return Ok(FollowStep::Leave),
        },
        Wakeup::TimedOut => {
            let event = RunEvent { at: runner.clock.now(), event: RunEventKind::Timeout, reason: None };
            let change = RunChange::Cancel(CancelCause::Timeout);
            let step = Step { event: Some(event), ..Step::of(run_id, change) };
            if let RunState::Running(backend_run) = runner.store.step_run(step).await?.state {
                state.backend_run = backend_run;
            }
            return Ok(FollowStep::Wait);
        }
        Wakeup::Joined(JoinResult::NoJoin) => state.source = EndSource::Polling,
        Wakeup::Joined(JoinResult::Cut(detail)) => {
            tracing::debug!(%run_id, detail, "connection to run lost");
            state.reconnects = state.reconnects.saturating_add(1);
        }
        Wakeup::Joined(JoinResult::Ended(reported)) => {
            state.reconnects = 0;
            state.reported = Some(reported);
        }
    }
    Ok(FollowStep::Check)
}

/// Waits until the run may have ended, has reached its timeout, or was changed.
async fn wait(task: &RunTask<'_>, state: &mut FollowState, nudge: &Notify) -> Wakeup {
    let times_out = state.times_out.filter(|_| state.backend_run.cancelling.is_none());
    let runner = task.runner;
    let joining = wait_for_end(task, state);
    tokio::select! {
        biased;
        () = runner.stop.cancelled() => Wakeup::Stopped,
        () = nudge.notified() => Wakeup::RowChanged,
        wakeup = joining => wakeup,
        () = runner.clock.sleep_until_past(times_out) => Wakeup::TimedOut,
    }
}

/// Waits for the end at the server if that is possible, or else until the next poll.
async fn wait_for_end(task: &RunTask<'_>, state: &mut FollowState) -> Wakeup {
    let runner = task.runner;
    runner.start_burst.finished().await;
    let is_joinable = match std::mem::replace(&mut state.source, EndSource::Join) {
        // If this wait is given up, the rest of the answer is lost, and the run is joined instead.
        EndSource::Response(response_stream) => return Wakeup::Joined(response_stream.read().await),
        EndSource::Join => true,
        EndSource::Polling => {
            state.source = EndSource::Polling;
            false
        }
    };
    if let Some(wait) = state.access.wait() {
        tokio::time::sleep(wait).await;
        return Wakeup::PollDue;
    }
    if !is_joinable || state.reported.is_some() || state.cancelled_by.is_some() {
        tokio::time::sleep(if state.cancelled_by.is_some() { POLL_WAIT / 8 } else { POLL_WAIT }).await;
        return Wakeup::PollDue;
    }
    if state.reconnects > 0 {
        tokio::time::sleep(backoff::doubling(REJOIN_FIRST, REJOIN_MOST, state.reconnects)).await;
    }
    // Many short runs take turns at joining; if long runs occupy all permits, this one is polled.
    let Ok(_permit) = tokio::time::timeout(POLL_WAIT, runner.joins.acquire()).await else {
        return Wakeup::PollDue;
    };
    let join = runner.backend.join(state.backend_run.thread_id, state.backend_run.backend_run_id);
    match tokio::time::timeout(JOIN_WAIT, join).await {
        Ok(result) => Wakeup::Joined(result),
        Err(_) => Wakeup::PollDue,
    }
}

/// Asks the server to cancel the run, once per process; whether it did is seen when the run is checked.
async fn cancel(task: &RunTask<'_>, state: &mut FollowState) -> Result<(), StoreError> {
    if state.cancelled_by.is_some() {
        return Ok(());
    }
    let BackendRun { thread_id, backend_run_id, .. } = state.backend_run;
    match task.backend.cancel(thread_id, backend_run_id).await {
        // A server without this route does not confirm it, which is seen as well.
        Ok(()) | Err(CallError::NotFound(_) | CallError::PlainNotFound(_)) => {
            state.cancelled_by = Some(task.runner.clock.deadline(task.runner.clock.now(), CANCEL_WAIT));
            if std::mem::take(&mut state.cancel_denied) {
                state.access.granted(task).await?;
            }
        }
        Err(CallError::Denied(denial)) => {
            state.cancel_denied = true;
            state.access.denied(task, "cannot be cancelled", &denial).await?;
        }
        Err(error) => {
            let run = &task.claimed.run;
            tracing::warn!(cron = run.called(), run_id = %run.run_id, %error, hourly = "", "run not cancelled yet");
            tokio::time::sleep(POLL_WAIT).await;
        }
    }
    Ok(())
}

/// Queries the run, and commits its end if it has ended.
async fn check(task: &RunTask<'_>, state: &mut FollowState) -> Result<Checked, StoreError> {
    let runner = task.runner;
    let query = task.backend.run(state.backend_run.thread_id, state.backend_run.backend_run_id);
    let report = match runner.in_turn(query).await {
        Ok(report) => report,
        Err(error @ (CallError::NotFound(_) | CallError::PlainNotFound(_))) => {
            return not_found(task, state, &error).await;
        }
        Err(error) => return not_queried(task, state, error).await,
    };
    (state.not_found_count, state.not_shown_count, state.ended_on_server) = (0, 0, false);
    state.was_shown = true;
    if report.has_ended() {
        return finish(task, state, report).await;
    }
    if !state.cancel_denied {
        state.access.granted(task).await?;
    }
    if let (Some(cause), Some(deadline)) = (state.backend_run.cancelling, state.cancelled_by)
        && runner.clock.is_past(deadline)
    {
        let message = format!(
            "{}, but the agent server did not confirm it",
            cancel_message(task.claimed, &state.backend_run, cause)
        );
        let reason = Reason::new(cause.reason_code(), message);
        let outcome = Outcome::without_backend(cause.status(), reason, runner.clock.now());
        end::ended(task, &state.backend_run, outcome, Some(&report.run)).await?;
        return Ok(Checked::Ended);
    }
    // It is in progress, even if an end was reported: a replica may lag behind.
    state.reported = None;
    if state.watched == Watched::PerhapsAfterItsEnd && runner.store.looked_at(task.claimed.run.run_id).await?
    {
        runner.wakes.runner.notify_one();
    }
    state.watched = Watched::BeforeItsEnd;
    Ok(Checked::InProgress)
}

/// Takes note that the backend has not answered a query about the run or its thread.
async fn not_queried(
    task: &RunTask<'_>,
    state: &mut FollowState,
    error: CallError,
) -> Result<Checked, StoreError> {
    match error {
        CallError::Denied(denial) => state.access.denied(task, "cannot be followed", &denial).await?,
        error => {
            tracing::debug!(run_id = %task.claimed.run.run_id, %error, "run not queried");
            state.reconnects = state.reconnects.saturating_add(1);
        }
    }
    Ok(Checked::InProgress)
}

/// Waits before the next check of a run that the backend does not know, or ends the run as rolled back or lost.
async fn not_found(
    task: &RunTask<'_>,
    state: &mut FollowState,
    error: &CallError,
) -> Result<Checked, StoreError> {
    let runner = task.runner;
    // A server that was away since then may have lost the run.
    state.ended_on_server |=
        state.reconnects == 0 && matches!(state.reported, Some(ReportedEnd::Values { .. }));
    let absence = match absence(task, &state.backend_run, error).await {
        Ok(absence) => absence,
        Err(denial) => return not_queried(task, state, CallError::Denied(denial)).await,
    };
    // What `join` reports of a run that does not exist is no outcome.
    state.reported = None;
    let is_unseen = absence == Absence::ThreadGone && !state.was_shown;
    if is_unseen && may_be_hidden(task, state.backend_run.started_at).await {
        let detail =
            ": it does not show us this run; a server with users shows each run to its user only".to_owned();
        return not_queried(task, state, CallError::Denied(Denial { code: 404, detail })).await;
    }
    if let Absence::NotShown(detail) = &absence {
        if state.not_shown_count == 0 {
            let run = &task.claimed.run;
            tracing::warn!(cron = run.called(), run_id = %run.run_id, detail, hourly = "", "run not found, but it may be there");
        }
        state.not_shown_count = state.not_shown_count.saturating_add(1);
        wait_before_next_check(runner, state.not_shown_count).await;
        return Ok(Checked::InProgress);
    }
    state.not_found_count += 1;
    let is_certain = state.ended_on_server && matches!(absence, Absence::RolledBack(_));
    if state.not_found_count < NOT_FOUND_MAX && !is_certain {
        wait_before_next_check(runner, state.not_found_count).await;
        return Ok(Checked::InProgress);
    }
    let backend_run = &state.backend_run;
    let thread = match absence {
        Absence::RolledBack(words) => return rolled_back(task, backend_run, Some(words)).await,
        Absence::RunGone if state.ended_on_server => return rolled_back(task, backend_run, None).await,
        Absence::RunGone => "its thread is there, so it may have been rolled back or deleted",
        Absence::ThreadGone | Absence::NotShown(_) => "its thread is gone too",
    };
    let message = format!(
        "the agent server accepted the run and no longer knows it (queried {NOT_FOUND_MAX} times); {thread}"
    );
    let reason = Reason::new(ReasonCode::Lost, message);
    let outcome = Outcome::without_backend(Status::Error, reason, runner.clock.now());
    end::ended(task, backend_run, outcome, None).await?;
    Ok(Checked::Ended)
}

/// Whether a run that a client has started, and that the server has not shown to us yet, may be hidden from us: the server
/// knows users. After a while it must be gone.
async fn may_be_hidden(task: &RunTask<'_>, started_at: Timestamp) -> bool {
    let is_recent = backoff::between(started_at, task.runner.clock.now()) < UNCONFIRMED_MAX;
    let is_of_client = task.claimed.run.cron.is_none();
    is_of_client && is_recent && task.backend.knows_users().await.is_ok_and(|knows| knows)
}

async fn wait_before_next_check(runner: &Runner, count: u32) {
    tokio::select! {
        biased;
        () = runner.stop.cancelled() => {}
        () = tokio::time::sleep(backoff::doubling(REJOIN_FIRST, REJOIN_MOST, count)) => {}
    }
}

/// Ends a run that the server has removed; `words` are its own about it, if it has any.
async fn rolled_back(
    task: &RunTask<'_>,
    backend_run: &BackendRun,
    words: Option<RunError>,
) -> Result<Checked, StoreError> {
    let message = "rolled back on the agent server, which has removed it: on request, or for another run";
    let reason = Reason::new(ReasonCode::RolledBack, message);
    let outcome = Outcome::without_backend(Status::Cancelled, reason, task.runner.clock.now());
    end::ended(task, backend_run, Outcome { error: words, ..outcome }, None).await?;
    Ok(Checked::Ended)
}

/// Commits the end of a run, from what the server reports of the run and its thread, and from what `join`
/// reported.
async fn finish(
    task: &RunTask<'_>,
    state: &mut FollowState,
    report: RunReport,
) -> Result<Checked, StoreError> {
    let backend_run = &state.backend_run;
    let may_have_stopped = match &state.reported {
        Some(ReportedEnd::Values { interrupts: Some(_), .. }) => false,
        Some(_) | None => report.status == "success",
    };
    let at_breakpoint = match may_have_stopped {
        true => stopped_at_breakpoint(task, backend_run, &report).await,
        false => Ok(false),
    };
    let at_breakpoint = match at_breakpoint {
        Ok(at_breakpoint) => at_breakpoint,
        Err(error) => return not_queried(task, state, error).await,
    };
    let details = match end_details(task, backend_run, state.watched, &report, &mut state.reported).await {
        Ok(details) => details,
        Err(error) => return not_queried(task, state, error).await,
    };
    state.access.granted(task).await?;
    let pause = match &details.interrupts {
        Some(_) => Some(Pause::Question),
        None => (at_breakpoint || details.interrupted).then_some(Pause::Breakpoint),
    };
    let cancelling = backend_run.cancelling;
    // A graph that failed before we could ask for the cancellation failed by itself.
    let cancelled =
        cancelling.filter(|_| report.status != "error" || state.cancelled_by.is_some()).map(|cause| {
            (
                cause.status(),
                Reason::new(cause.reason_code(), cancel_message(task.claimed, backend_run, cause)),
            )
        });
    let took = report.took();
    let learnt_at = task.runner.clock.now();
    let ended_at = took.map_or(learnt_at, |took| backoff::after(backend_run.started_at, took).min(learnt_at));
    let overran = time_limit(task.claimed, backend_run).filter(|(from, limit)| match took {
        Some(_) => ended_at > backoff::after(*from, *limit),
        None => cancelling == Some(CancelCause::Timeout),
    });
    let overran = overran.map(|(_, limit)| limit);
    let error = details.error.filter(|_| matches!(report.status.as_str(), "error" | "interrupted"));
    let is_explained = error.is_some();
    let (status, reason) =
        judge(BackendEnd { status: &report.status, pause, is_explained, cancelled, overran });
    let is_overload = error.as_ref().is_some_and(|error| wait_after_overload(error).is_some());
    let reason = match reason {
        Some(reason) if reason.code == ReasonCode::GraphError && is_overload => {
            Some(Reason::bare(ReasonCode::Overloaded))
        }
        other => other,
    };
    let outcome = Outcome {
        status,
        reason: reason.or_else(|| details.values.reason()),
        error: error.filter(|_| matches!(status, Status::Error | Status::Interrupted)),
        values: details.values.read().filter(|values| !values.is_null()),
        interrupts: details.interrupts.filter(|_| status == Status::Interrupted),
        ended_at,
        learnt_at,
    };
    end::ended(task, &state.backend_run, outcome, Some(&report.run)).await?;
    Ok(Checked::Ended)
}

/// Returns how long the run may take, and since when that counts.
fn time_limit(claimed: &ClaimedRun, backend_run: &BackendRun) -> Option<(Timestamp, Duration)> {
    claimed.spec.time_limit(&claimed.run, backend_run.started_at)
}

fn cancel_message(claimed: &ClaimedRun, backend_run: &BackendRun, cause: CancelCause) -> String {
    match cause {
        CancelCause::Timeout => {
            let Some((from, limit)) = time_limit(claimed, backend_run) else { return String::new() };
            let what = if from < backend_run.started_at { "with the runs before it, it" } else { "it" };
            format!("{what} ran longer than {} and was cancelled", humantime::format_duration(limit))
        }
        CancelCause::Request => "cancelled on request".to_owned(),
        CancelCause::Overlap => "cancelled for the next occurrence (overlap = \"cancel\")".to_owned(),
    }
}
