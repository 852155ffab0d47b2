//! Ending a run: the outcome, the body of its webhook and the fate of its thread, committed together.

use serde_json::{Value, json};

use super::Runner;
use super::request::{self, identity, thread_of};
use crate::crash::crash_point;
use crate::domain::cron::{OnRunCompleted, Target};
use crate::domain::cron_state::pause_message;
use crate::domain::delivery::{DeliveryStatus, NewDelivery};
use crate::domain::ids::{DeliveryId, RunId};
use crate::domain::reason::{Reason, ReasonCode};
use crate::domain::run::{BackendRun, CancelCause, Outcome, Status};
use crate::domain::run_spec::RunSpec;
use crate::domain::template::{self, PlaceholderSource};
use crate::domain::values;
use crate::store::{ClaimedRun, FailureLimit, RunEnding, StoreError};
use crate::webhook::{self, EndedRun};

/// Ends a run that the backend had. `report` is the run as the backend tells it.
pub(super) async fn ended(
    runner: &Runner,
    claimed: &ClaimedRun,
    backend_run: &BackendRun,
    mut outcome: Outcome,
    report: Option<&Value>,
) -> Result<(), StoreError> {
    let discard = match claimed.spec.request().target {
        Target::Stateless(OnRunCompleted::Delete) => Some(backend_run.thread_id),
        Target::Stateless(OnRunCompleted::Keep) | Target::Thread(_) => None,
    };
    let mut report = report.cloned();
    keep_secrets(runner, claimed, &mut outcome, &mut report);
    let delivery = delivery(runner, claimed, Some(backend_run), &outcome, report.as_ref(), None);
    let failure_limit = failure_limit(runner, claimed, Some(backend_run), &outcome, report.as_ref());
    outcome.values = outcome.values.map(|whole| values::keep(whole, runner.settings.values_bytes_max));
    let run_id = claimed.run.run_id;
    commit(runner, RunEnding { run_id, outcome, delivery, discard, event: None, failure_limit }).await
}

/// What was filled into the request must not come back from the backend: neither in an error, nor where it tells what it
/// was asked. In what the graph says, and in metadata, only credentials are meant: a variable may be any word, and both
/// are the user's own.
fn keep_secrets(runner: &Runner, claimed: &ClaimedRun, outcome: &mut Outcome, report: &mut Option<Value>) {
    let all = runner.secrets_of(claimed);
    if let Some(error) = &mut outcome.error {
        error.error = all.redact(&error.error);
        error.message = all.redact(&error.message);
    }
    if let Some(message) = outcome.reason.as_mut().and_then(|reason| reason.message.as_mut()) {
        *message = all.redact(message);
    }
    let credentials = request::secrets(runner, claimed, |meaning| match meaning {
        PlaceholderSource::Credential(_) => true,
        PlaceholderSource::Environment(_) | PlaceholderSource::Firing(_) => false,
    });
    outcome.values.iter_mut().for_each(|values| credentials.redact_in(values));
    let Some(report) = report else { return };
    credentials.redact_in(report);
    report.get_mut("kwargs").into_iter().for_each(|asked| all.redact_in(asked));
}

/// Ends a run that the backend never had. A run that was deliberately not started tells nobody.
pub(super) async fn never_started(
    runner: &Runner,
    claimed: &ClaimedRun,
    status: Status,
    reason: Reason,
) -> Result<(), StoreError> {
    tracing::warn!(cron = claimed.run.called(), run_id = %claimed.run.run_id, %status, reason_code = %reason.code, reason = reason.text(), "run not started");
    let outcome = Outcome::without_backend(status, reason, runner.clock.now());
    let delivery = match (status, &claimed.spec) {
        (Status::Skipped | Status::Missed, _) => None,
        // The client has its answer, and the agent server itself tells nobody of what it did not take.
        (_, RunSpec::Client(_)) => None,
        (
            Status::Success | Status::Error | Status::Timeout | Status::Interrupted | Status::Cancelled,
            RunSpec::Cron(_),
        ) => delivery(runner, claimed, None, &outcome, None, None),
    };
    let failure_limit = failure_limit(runner, claimed, None, &outcome, None);
    let run_id = claimed.run.run_id;
    let ending = RunEnding { run_id, outcome, delivery, discard: None, event: None, failure_limit };
    commit(runner, ending).await
}

/// Ends a run that was not accepted before its start deadline.
pub(super) async fn expired(runner: &Runner, claimed: &ClaimedRun) -> Result<(), StoreError> {
    let run = &claimed.run;
    let why = why_late(runner, claimed);
    let times = if run.send_count == 1 { "once".to_owned() } else { format!("{} times", run.send_count) };
    let message = format!("start_deadline: not started before {}, sent {times}: {why}", run.start_before);
    never_started(runner, claimed, Status::Error, Reason::new(ReasonCode::StartDeadline, message)).await
}

/// Returns why a run was not started when it was due, as far as that is known.
pub(super) fn why_late(runner: &Runner, claimed: &ClaimedRun) -> String {
    let said = claimed.run.reason.as_ref().and_then(|reason| reason.message.clone());
    said.or_else(|| runner.backend_breaker.trouble_since(claimed.run.due_at))
        .unwrap_or_else(|| "it waited for an earlier run, a free place, or the daemon".to_owned())
}

/// Ends a run that was cancelled before it was sent.
pub(super) async fn unwanted(
    runner: &Runner,
    claimed: &ClaimedRun,
    cause: CancelCause,
) -> Result<(), StoreError> {
    let message = match cause {
        CancelCause::Request => "cancelled on request, before it was started",
        CancelCause::Overlap => {
            "cancelled for the next occurrence (overlap = \"cancel\"), before it was started"
        }
        CancelCause::Timeout => "timeout, before it was started",
    };
    never_started(runner, claimed, cause.status(), Reason::new(cause.reason_code(), message)).await
}

/// Ends a run whose task panicked, so that the bug is seen and nothing waits forever.
pub(super) async fn broken(runner: &Runner, run_id: RunId) -> Result<(), StoreError> {
    let message = "internal: a bug in agentcron stopped following this run; please report it";
    let reason = Reason::new(ReasonCode::Internal, message);
    let outcome = Outcome::without_backend(Status::Error, reason, runner.clock.now());
    let ending =
        RunEnding { run_id, outcome, delivery: None, discard: None, event: None, failure_limit: None };
    match commit(runner, ending).await {
        Err(problem) if problem.concerns_one_operation() => {
            tracing::error!(%run_id, %problem, "its end could not be recorded");
            Ok(())
        }
        other => other,
    }
}

async fn commit(runner: &Runner, ending: RunEnding) -> Result<(), StoreError> {
    let tells = ending.delivery.as_ref().is_some_and(|d| d.status == DeliveryStatus::Pending);
    let discards = ending.discard.is_some();
    crash_point("outcome_known").await;
    runner.store.end_run(ending).await?;
    crash_point("outcome_committed").await;
    // A place is free, and a run of the same cron may have waited for this one.
    runner.wakes.runner.notify_one();
    if tells {
        runner.wakes.courier.notify_one();
    }
    if discards {
        runner.wakes.janitor.notify_one();
    }
    Ok(())
}

/// What happens if this failure is one too many; whether it is, is known only as it is committed.
fn failure_limit(
    runner: &Runner,
    claimed: &ClaimedRun,
    backend_run: Option<&BackendRun>,
    outcome: &Outcome,
    report: Option<&Value>,
) -> Option<FailureLimit> {
    let limit = claimed.spec.pause_after_failures()?;
    match outcome.status {
        Status::Error | Status::Timeout => {}
        Status::Success | Status::Interrupted | Status::Cancelled | Status::Skipped | Status::Missed => {
            return None;
        }
    }
    let words = pause_message(limit);
    Some(FailureLimit {
        limit,
        delivery: delivery(runner, claimed, backend_run, outcome, report, Some(&words)),
    })
}

/// Where to, as it is stored. No client's words are ever taken for a placeholder.
fn webhook_url(spec: &RunSpec) -> Option<String> {
    let url = &spec.webhook()?.0;
    Some(if spec.is_from_file() { url.clone() } else { template::escaped(url) })
}

/// `pauses` says why the cron is paused by this end, if it is.
fn delivery(
    runner: &Runner,
    claimed: &ClaimedRun,
    backend_run: Option<&BackendRun>,
    outcome: &Outcome,
    report: Option<&Value>,
    pauses: Option<&str>,
) -> Option<NewDelivery> {
    let url = &webhook_url(&claimed.spec)?;
    let run_id = claimed.run.run_id;
    let mut identity = identity(claimed);
    if let Some(words) = pauses {
        identity.insert("agentcron_cron_paused".to_owned(), json!(true));
        identity.insert("agentcron_pause_reason".to_owned(), json!(words));
    }
    let settings = runner.settings.webhooks.now();
    let body = webhook::body(
        &EndedRun {
            run: &claimed.run,
            request: claimed.spec.request(),
            thread_id: backend_run.map_or_else(|| thread_of(claimed), |backend_run| backend_run.thread_id),
            backend_run,
            outcome,
            report,
            identity,
            url,
            sent_at: runner.clock.now(),
        },
        &settings.body_limits(),
    );
    let status = if settings.disabled { DeliveryStatus::Suppressed } else { DeliveryStatus::Pending };
    Some(NewDelivery { delivery_id: DeliveryId::of_run(run_id, url), run_id, url: url.clone(), body, status })
}
