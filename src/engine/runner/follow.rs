//! Follows a run to its end. `join`, or the rest of the answer to `wait` and `stream`, shows when to check. The
//! run is queried afterwards, and its own report decides whether and how it ended. What the graph returned may
//! come from `join` only if we were watching before the run ended; otherwise the thread is queried.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use super::absence::{Absence, absence};
use super::access::Access;
use super::breakpoints::stopped_at_breakpoint;
use super::cancellation::{Cancellation, time_limit};
use super::end_details::end_details;
use super::judge::{BackendEnd, Pause, judge};
use super::{AcceptedRun, RunTask, Runner, Watched, end};
use crate::backend::{CallError, Denial, JoinResult, ReportedEnd, ResponseStream, RunReport};
use crate::clock::Deadline;
use crate::domain::backoff;
use crate::domain::bounds::{JOIN_WAIT, NOT_FOUND_MAX, POLL_WAIT, UNCONFIRMED_MAX};
use crate::domain::overload::wait_after_overload;
use crate::domain::reason::{Reason, ReasonCode, RunEventKind};
use crate::domain::run::{BackendRun, CancelCause, Outcome, RunChange, RunError, RunState, Status};
use crate::store::{RunEvent, Step, StoreError};

/// The waits between two joins of the same run when the connection does not last.
const REJOIN_FIRST: Duration = Duration::from_millis(200);
const REJOIN_MOST: Duration = Duration::from_secs(5);

/// What cannot be done with a run that is not shown to us.
const IMPOSSIBLE: &str = "cannot be followed";

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
    cancellation: Cancellation,
    /// Since when nobody could see the run, as far as that is known; `None` while it is shown.
    unseen_since: Option<Timestamp>,
    /// Whether the server reported the end of a run that it did not have afterwards.
    ended_on_server: bool,
    /// When the run reaches the cron's `timeout`, or its own.
    times_out: Option<Deadline>,
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
        cancellation: Cancellation::default(),
        unseen_since: None,
        ended_on_server: false,
        times_out,
    };
    let result = follow_to_end(task, &mut state, nudge).await;
    task.runner.denials.forget(task.claimed.run.run_id.0);
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
            state.cancellation.ask(task, &state.backend_run, &mut state.access).await?;
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
            state.unseen_since.get_or_insert(runner.clock.now());
            state.reconnects = state.reconnects.saturating_add(1);
            state.watched = Watched::PerhapsAfterItsEnd;
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
    if state.backend_run.cancelling.is_some() && state.cancellation.ends_by.is_none() {
        // The server does not know yet that it is to cancel the run, which may go on for long.
        tokio::time::sleep(state.access.wait().unwrap_or(POLL_WAIT)).await;
        return Wakeup::PollDue;
    }
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
    if !is_joinable || state.reported.is_some() || state.cancellation.ends_by.is_some() {
        tokio::time::sleep(if state.cancellation.ends_by.is_some() { POLL_WAIT / 8 } else { POLL_WAIT })
            .await;
        return Wakeup::PollDue;
    }
    if state.reconnects > 0 {
        tokio::select! {
            () = tokio::time::sleep(backoff::doubling(REJOIN_FIRST, REJOIN_MOST, state.reconnects)) => {}
            () = runner.backend.contact().heard_again() => return Wakeup::PollDue,
        }
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
    (state.not_found_count, state.ended_on_server) = (0, false);
    state.was_shown = true;
    if report.has_ended() {
        return finish(task, state, report).await;
    }
    state.unseen_since = None;
    if !state.cancellation.is_denied {
        state.access.granted(task).await?;
    }
    if let (Some(cause), Some(deadline)) = (state.backend_run.cancelling, state.cancellation.ends_by)
        && runner.clock.is_past(deadline)
    {
        let message = format!(
            "{}, but the agent server did not confirm it",
            state.cancellation.message(task.claimed, &state.backend_run, cause)
        );
        let reason = Reason::new(cause.reason_code(), message);
        let outcome = Outcome::without_backend(cause.status(), reason, runner.clock.now());
        end::ended(task, &state.backend_run, outcome, Some(report.run)).await?;
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
    let run = &task.claimed.run;
    let unseen_since = *state.unseen_since.get_or_insert(task.runner.clock.now());
    let denial = match error {
        CallError::Denied(denial) => {
            state.access.denied(task, IMPOSSIBLE, &denial, unseen_since).await?;
            return Ok(Checked::InProgress);
        }
        CallError::NotFound(detail) | CallError::PlainNotFound(detail) => Some(Denial { code: 404, detail }),
        CallError::Status { code: code @ 400..500, detail } => Some(Denial { code, detail }),
        error => {
            tracing::debug!(run_id = %run.run_id, %error, "run not queried");
            None
        }
    };
    state.reconnects = state.reconnects.saturating_add(1);
    if let Some(denial) = denial {
        tracing::warn!(cron = run.called(), run_id = %run.run_id, %denial, hourly = "", "run cannot be followed");
        state.access.note(task, IMPOSSIBLE, &denial, unseen_since).await?;
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
        Err(error) => {
            let checked = not_queried(task, state, error).await;
            state.reported = None;
            return checked;
        }
    };
    state.unseen_since.get_or_insert(runner.clock.now());
    // What `join` reports of a run that does not exist is no outcome.
    state.reported = None;
    let is_unseen = absence == Absence::ThreadGone && !state.was_shown;
    if is_unseen && may_be_hidden(task, state.backend_run.started_at).await {
        let detail =
            ": it does not show us this run; a server with users shows each run to its user only".to_owned();
        return not_queried(task, state, CallError::Denied(Denial { code: 404, detail })).await;
    }
    if absence == Absence::Listed {
        state.unseen_since = None;
        state.reconnects = state.reconnects.saturating_add(1);
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
        Absence::ThreadGone | Absence::Listed => "its thread is gone too",
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
    let cancelled = cancelling
        .filter(|_| report.status != "error" || state.cancellation.ends_by.is_some())
        .map(|cause| {
            (
                cause.status(),
                Reason::new(
                    cause.reason_code(),
                    state.cancellation.message(task.claimed, &state.backend_run, cause),
                ),
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
    end::ended(task, &state.backend_run, outcome, Some(report.run)).await?;
    Ok(Checked::Ended)
}
