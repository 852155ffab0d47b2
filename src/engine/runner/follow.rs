//! Following a run to its end. `join` (or the rest of the answer of `wait` and `stream`) tells when to look; the
//! run and its thread, asked afterwards, tell what is true.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Notify;

use super::{Runner, end};
use crate::backend::{CallError, Followed, RunReport, Spoken};
use crate::domain::backoff;
use crate::domain::bounds::{CANCEL_WAIT, JOIN_WAIT, MISSES_MAX, POLL_WAIT};
use crate::domain::run::{CancelCause, Going, Outcome, RunChange, RunError, RunState, Status};
use crate::store::{ClaimedRun, RunEvent, Step, StoreError};

/// Between two joins of the same run, when the connection does not last.
const REJOIN_FIRST: Duration = Duration::from_millis(200);
const REJOIN_MOST: Duration = Duration::from_secs(5);

/// What is remembered while following one run.
struct Trail {
    going: Going,
    /// Whether we were there from its start: what `join` says later is said of the thread as it is then.
    fresh: bool,
    heard: Option<Followed>,
    spoken: Option<Spoken>,
    joins: bool,
    cuts: u32,
    misses: u32,
    cancel_since: Option<Timestamp>,
}

/// What made us look up.
enum Event {
    Stop,
    Nudge,
    TimeIsUp,
    Heard(Followed),
    LookAgain,
}

/// Follows a run until its end is committed, or the daemon stops.
pub(super) async fn follow(
    runner: &Runner,
    claimed: &ClaimedRun,
    going: Going,
    spoken: Option<Spoken>,
    fresh: bool,
    nudge: &Notify,
) -> Result<(), StoreError> {
    let mut trail =
        Trail { going, fresh, heard: None, spoken, joins: true, cuts: 0, misses: 0, cancel_since: None };
    // A run that has just been accepted is not over yet; one that we meet again may be.
    let mut look = !fresh;
    loop {
        if look && look_at(runner, claimed, &mut trail).await? {
            return Ok(());
        }
        look = true;
        if trail.going.cancelling.is_some() {
            cancel(runner, claimed, &mut trail).await;
        }
        match wait(runner, claimed, &mut trail, nudge).await {
            Event::Stop => return Ok(()),
            Event::LookAgain => {}
            Event::Nudge => match runner.store.run(claimed.run.run_id).await?.state {
                RunState::Running(going) => trail.going = going,
                _ => return Ok(()),
            },
            Event::TimeIsUp => {
                let cause = RunChange::Cancel(CancelCause::Timeout);
                let event = RunEvent { at: runner.clock.now(), event: "timeout", detail: None };
                let step = Step { event: Some(event), ..Step::of(claimed.run.run_id, cause) };
                if let RunState::Running(going) = runner.store.step_run(step).await?.state {
                    trail.going = going;
                }
                look = false;
            }
            Event::Heard(Followed::NoJoin) => trail.joins = false,
            Event::Heard(Followed::Cut(detail)) => {
                tracing::debug!(run_id = %claimed.run.run_id, detail, "the connection to a run was cut");
                trail.cuts = trail.cuts.saturating_add(1);
            }
            Event::Heard(heard) => {
                trail.cuts = 0;
                trail.heard = Some(heard);
            }
        }
    }
}

/// Waits for whatever comes first.
async fn wait(runner: &Runner, claimed: &ClaimedRun, trail: &mut Trail, nudge: &Notify) -> Event {
    let time_is_up = match (claimed.errand.timeout(), trail.going.cancelling) {
        (Some(timeout), None) => Some(backoff::after(trail.going.started_at, timeout)),
        _ => None,
    };
    let hears = hear(runner, trail);
    tokio::select! {
        biased;
        () = runner.stop.cancelled() => Event::Stop,
        () = nudge.notified() => Event::Nudge,
        event = hears => event,
        () = runner.clock.sleep_until(time_is_up) => Event::TimeIsUp,
    }
}

/// Listens at the server if it can be done, else waits a little.
async fn hear(runner: &Runner, trail: &mut Trail) -> Event {
    runner.rush.over().await;
    if let Some(spoken) = trail.spoken.take() {
        return Event::Heard(spoken.listen().await);
    }
    if !trail.joins || trail.heard.is_some() || trail.cancel_since.is_some() {
        tokio::time::sleep(if trail.cancel_since.is_some() { POLL_WAIT / 8 } else { POLL_WAIT }).await;
        return Event::LookAgain;
    }
    if trail.cuts > 0 {
        tokio::time::sleep(backoff::doubling(REJOIN_FIRST, REJOIN_MOST, trail.cuts)).await;
    }
    // Many short runs take turns in joining; if long ones have all places, this one is polled.
    let Ok(_place) = tokio::time::timeout(POLL_WAIT, runner.joins.acquire()).await else {
        return Event::LookAgain;
    };
    let join = runner.backend.join(trail.going.thread_id, trail.going.backend_run_id);
    match tokio::time::timeout(JOIN_WAIT, join).await {
        Ok(followed) => Event::Heard(followed),
        Err(_) => Event::LookAgain,
    }
}

/// Asks the server to stop the run; whether it did is seen by looking. Asked once per process.
async fn cancel(runner: &Runner, claimed: &ClaimedRun, trail: &mut Trail) {
    if trail.cancel_since.is_some() {
        return;
    }
    let backend = runner.backend_of(claimed);
    let cancelled = backend.cancel(trail.going.thread_id, trail.going.backend_run_id).await;
    match cancelled {
        Ok(()) | Err(CallError::NotFound(_)) => trail.cancel_since = Some(runner.clock.now()),
        Err(error) => {
            tracing::warn!(backend_run_id = %trail.going.backend_run_id, %error, "could not be cancelled yet");
            tokio::time::sleep(POLL_WAIT).await;
        }
    }
}

/// Looks at the run; true if it is over, and its end is committed.
async fn look_at(runner: &Runner, claimed: &ClaimedRun, trail: &mut Trail) -> Result<bool, StoreError> {
    let backend = runner.backend_of(claimed);
    let question = backend.run(trail.going.thread_id, trail.going.backend_run_id);
    let report = match ask(runner, question).await {
        Ok(report) => report,
        Err(CallError::NotFound(_)) => return missing(runner, claimed, trail).await,
        Err(error) => {
            tracing::debug!(run_id = %claimed.run.run_id, %error, "the run could not be looked at");
            trail.cuts = trail.cuts.saturating_add(1);
            return Ok(false);
        }
    };
    trail.misses = 0;
    if report.is_over() {
        return finish(runner, claimed, trail, report).await;
    }
    if let (Some(cause), Some(since)) = (trail.going.cancelling, trail.cancel_since)
        && backoff::between(since, runner.clock.now()) > CANCEL_WAIT
    {
        let outcome = Outcome {
            status: cause.status(),
            reason: Some(format!("{}, and the backend did not confirm it", cause_words(claimed, cause))),
            error: None,
            values: None,
            ended_at: runner.clock.now(),
        };
        return end::ended(runner, claimed, &trail.going, outcome, Some(&report.run)).await.map(|()| true);
    }
    // It is still going, whatever was heard: a replica may lag behind.
    trail.heard = None;
    // What `join` will say is said of its own end.
    trail.fresh = true;
    Ok(false)
}

/// Asks when it is its turn: however many runs are met again at once, connections are not.
async fn ask<T>(runner: &Runner, question: impl Future<Output = T>) -> T {
    let _turn = runner.asks.acquire().await;
    question.await
}

async fn missing(runner: &Runner, claimed: &ClaimedRun, trail: &mut Trail) -> Result<bool, StoreError> {
    trail.misses += 1;
    if trail.misses < MISSES_MAX {
        let wait = backoff::doubling(REJOIN_FIRST, REJOIN_MOST, trail.misses);
        tokio::select! {
            biased;
            () = runner.stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
        // What `join` says of a run that is not there is no outcome.
        trail.heard = None;
        return Ok(false);
    }
    let outcome = Outcome {
        status: Status::Error,
        reason: Some(format!(
            "lost: the backend accepted it and does not know it any more (asked {MISSES_MAX} times); it is not \
             started again by itself"
        )),
        error: None,
        values: None,
        ended_at: runner.clock.now(),
    };
    end::ended(runner, claimed, &trail.going, outcome, None).await.map(|()| true)
}

/// Puts together what the server says of the run, of its thread, and what was heard of its end.
async fn finish(
    runner: &Runner,
    claimed: &ClaimedRun,
    trail: &mut Trail,
    report: RunReport,
) -> Result<bool, StoreError> {
    let end = match trail.heard.take() {
        Some(Followed::Values { values, interrupted }) if trail.fresh && report.status != "error" => {
            End { values: Some(values), interrupted, error: None }
        }
        heard => match ask(runner, runner.backend_of(claimed).thread(trail.going.thread_id)).await {
            Ok(thread) => End {
                values: Some(thread.values),
                interrupted: thread.interrupted,
                error: match heard {
                    Some(Followed::Error(error)) => Some(error),
                    _ => thread.error,
                },
            },
            Err(CallError::NotFound(_)) => End::unseen(heard, "its thread is gone"),
            Err(CallError::Unreachable(detail)) if detail.contains("longer than") => {
                End::unseen(heard, "its values are too large to read")
            }
            Err(error) => {
                tracing::debug!(run_id = %claimed.run.run_id, %error, "its thread could not be looked at");
                trail.heard = heard;
                return Ok(false);
            }
        },
    };
    let (status, reason) = judge(claimed, &trail.going, &report.status, end.interrupted);
    let outcome = Outcome {
        status,
        reason,
        error: (status == Status::Error).then_some(end.error).flatten(),
        values: end.values.filter(|values| !values.is_null()),
        ended_at: runner.clock.now(),
    };
    end::ended(runner, claimed, &trail.going, outcome, Some(&report.run)).await.map(|()| true)
}

/// What is known of the end besides the status.
struct End {
    values: Option<Value>,
    interrupted: bool,
    error: Option<RunError>,
}

impl End {
    fn unseen(heard: Option<Followed>, why: &str) -> Self {
        let error = match heard {
            Some(Followed::Error(error)) => Some(error),
            _ => Some(RunError { error: "Unseen".to_owned(), message: why.to_owned() }),
        };
        Self { values: None, interrupted: false, error }
    }
}

fn judge(claimed: &ClaimedRun, going: &Going, said: &str, interrupted: bool) -> (Status, Option<String>) {
    let cancelled = going.cancelling.map(|cause| (cause.status(), Some(cause_words(claimed, cause))));
    match said {
        "success" if interrupted => {
            (Status::Interrupted, Some("waiting for a human: the graph stopped at an interrupt".to_owned()))
        }
        "success" => (Status::Success, None),
        "error" => cancelled.unwrap_or((Status::Error, None)),
        "timeout" => (Status::Timeout, Some("the backend's own time limit".to_owned())),
        "interrupted" => cancelled.unwrap_or((
            Status::Interrupted,
            Some("interrupted on the backend: cancelled there, or another run took the thread".to_owned()),
        )),
        other => (Status::Error, Some(format!("unknown: the backend calls it `{other}`"))),
    }
}

fn cause_words(claimed: &ClaimedRun, cause: CancelCause) -> String {
    match cause {
        CancelCause::Timeout => {
            let limit = claimed.errand.timeout().unwrap_or_default();
            format!("timeout: it ran longer than {} and was cancelled", humantime::format_duration(limit))
        }
        CancelCause::Request => "cancelled on request".to_owned(),
        CancelCause::Overlap => "cancelled for the next occurrence (overlap = \"cancel\")".to_owned(),
    }
}
