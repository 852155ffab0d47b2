//! Ends a run: the outcome, the body of its webhook and the deletion of its thread are committed together.

use serde_json::{Value, json};

use super::request::{self, identity, thread_of};
use super::{RunTask, Runner};
use crate::crash::crash_point;
use crate::domain::cron::{OnRunCompleted, Target};
use crate::domain::cron_state::{CronHealth, pause_message};
use crate::domain::delivery::{DeliveryStatus, NewDelivery};
use crate::domain::ids::DeliveryId;
use crate::domain::outage::{Away, Outage};
use crate::domain::ping;
use crate::domain::reason::{Reason, ReasonCode};
use crate::domain::redaction;
use crate::domain::retention::Retention;
use crate::domain::run::{BackendRun, CancelCause, Outcome, Status};
use crate::domain::run_spec::RunSpec;
use crate::domain::template::{self, PlaceholderSource};
use crate::domain::values::{self, KeptValues};
use crate::store::{AfterEnd, FailureLimit, HeldRun, RunEnding, StoreError};
use crate::webhook::{self, EndedRun};

/// What a webhook reports of the end of a run.
#[derive(Clone)]
struct EndReport<'a> {
    /// `None` if the backend never had the run.
    backend_run: Option<&'a BackendRun>,
    outcome: &'a Outcome,
    /// The run as the backend reports it.
    report: Option<Value>,
}

/// Ends a run that the backend had. `report` is the run as the backend reports it.
pub(super) async fn ended(
    task: &RunTask<'_>,
    backend_run: &BackendRun,
    mut outcome: Outcome,
    mut report: Option<Value>,
) -> Result<(), StoreError> {
    let runner = task.runner;
    let discard = match task.claimed.spec.request().target {
        Target::Stateless(OnRunCompleted::Delete) => Some(backend_run.thread_id),
        Target::Stateless(OnRunCompleted::Keep) | Target::Thread(_) => None,
    };
    redact_secrets(task, &mut outcome, &mut report);
    let retention = retention(task);
    outcome.values.iter_mut().for_each(|values| redaction::redact(&retention.redact, values));
    outcome.interrupts.iter_mut().for_each(|asked| redaction::redact_questions(&retention.redact, asked));
    let end = EndReport { backend_run: Some(backend_run), outcome: &outcome, report };
    let failure_limit = failure_limit(task, &end);
    let delivery = delivery(task, end, None);
    match retention.writes_values() {
        true => drop_large_values(&mut outcome, runner.settings.values_bytes_max),
        false => (outcome.values, outcome.interrupts) = (None, None),
    }
    let (run, ping) = (task.claimed.held(), ping(task, &outcome));
    commit(runner, RunEnding { delivery, discard, failure_limit, ping, ..RunEnding::of(run, outcome) }).await
}

/// Returns what is kept of a run.
fn retention(task: &RunTask<'_>) -> Retention {
    task.claimed.spec.retention(&task.runner.settings.retention.now())
}

/// Replaces values and questions that are too large to keep by a digest, and says so unless the run has another
/// reason already.
fn drop_large_values(outcome: &mut Outcome, bytes_max: usize) {
    for values in [&mut outcome.values, &mut outcome.interrupts] {
        *values = match values.take().map(|values| values::keep(values, bytes_max)) {
            None => None,
            Some(KeptValues::Whole(values)) => Some(values),
            Some(KeptValues::Digest { bytes, digest }) => {
                let message =
                    format!("values not kept: {bytes} bytes, more than store.values_bytes_max = {bytes_max}");
                outcome.reason.get_or_insert_with(|| Reason::new(ReasonCode::ValuesTooLarge, message));
                Some(digest)
            }
        };
    }
}

/// Redacts what was filled into the request, so that it does not come back from the backend: neither in an
/// error, nor where the backend reports what it was asked to do. In the graph's values and in metadata only
/// credentials are redacted, ours among them, since servers show headers to graphs: an environment variable may
/// hold any word, and both are the user's own.
fn redact_secrets(task: &RunTask<'_>, outcome: &mut Outcome, report: &mut Option<Value>) {
    if let Some(error) = &mut outcome.error {
        error.error = task.backend.secrets().redact(&error.error);
        error.message = task.backend.secrets().redact(&error.message);
    }
    if let Some(message) = outcome.reason.as_mut().and_then(|reason| reason.message.as_mut()) {
        *message = task.backend.secrets().redact(message);
    }
    let credentials = request::secrets(task.runner, task.claimed, |source| match source {
        PlaceholderSource::Credential(_) => true,
        PlaceholderSource::Environment(_) | PlaceholderSource::Firing(_) => false,
    });
    let credentials = credentials.and(task.backend.credentials().secrets().long());
    let values = outcome.values.iter_mut().chain(&mut outcome.interrupts);
    values.for_each(|values| credentials.redact_in(values));
    let Some(report) = report else { return };
    credentials.redact_in(report);
    report.get_mut("kwargs").into_iter().for_each(|asked| task.secrets.redact_in(asked));
}

/// Ends a run that the backend never had. No webhook is sent for a run that was deliberately not started.
pub(super) async fn never_started(
    task: &RunTask<'_>,
    status: Status,
    reason: Reason,
) -> Result<(), StoreError> {
    let outcome = Outcome::without_backend(status, reason, task.runner.clock.now());
    let end = EndReport { backend_run: None, outcome: &outcome, report: None };
    let failure_limit = failure_limit(task, &end);
    let delivery = match (status, &task.claimed.spec) {
        (Status::Skipped | Status::Missed, _) => None,
        // The client has received an error, and the agent server sends no webhook for a run that it did not
        // accept.
        (_, RunSpec::Client(_)) => None,
        (
            Status::Success | Status::Error | Status::Timeout | Status::Interrupted | Status::Cancelled,
            RunSpec::Cron(_),
        ) => delivery(task, end, None),
    };
    let (run, ping) = (task.claimed.held(), ping(task, &outcome));
    let ending = RunEnding { delivery, failure_limit, ping, ..RunEnding::of(run, outcome) };
    commit(task.runner, ending).await
}

/// Ends a run that still waited to be sent at its start deadline, after it was sent this often.
pub(super) async fn expired(task: &RunTask<'_>, sent: u32) -> Result<(), StoreError> {
    let Runner { store, clock, backend_breaker, .. } = task.runner;
    let run = &task.claimed.run;
    let outages = store.outages_of_runs(run.due_at, clock.now()).await?;
    // Whatever kept it from being started later, nothing is known of the time in which it was due.
    let lost = outages.iter().find(|outage| outage.what == Away::Record && outage.contains(run.due_at));
    let in_the_way = || outages.iter().find(|outage| outage.contains(run.start_before));
    let outage = lost.or_else(in_the_way).or(outages.first());
    // An outage that began a moment ago is not committed yet.
    let code = outage.and_then(|outage| outage.what.reason_code()).or(backend_breaker.loses_runs_to());
    let why = match outage {
        Some(outage) => outage.sentence(),
        None => why_late(task).await?,
    };
    let times = match sent {
        0 => "never sent".to_owned(),
        1 => "sent once".to_owned(),
        count => format!("sent {count} times"),
    };
    let message = format!("{why}; not started before {}, {times}", run.start_before);
    let code = code.unwrap_or(ReasonCode::StartDeadline);
    let status = if code == ReasonCode::Restored { Status::Missed } else { Status::Error };
    never_started(task, status, Reason::new(code, message)).await
}

/// Returns why a run was not started when it was due, as far as that is known.
pub(super) async fn why_late(task: &RunTask<'_>) -> Result<String, StoreError> {
    let Runner { store, clock, backend_breaker, .. } = task.runner;
    let run = &task.claimed.run;
    let recorded = run.reason.as_ref().and_then(|reason| reason.message.clone());
    if let Some(why) = recorded.or_else(|| backend_breaker.trouble_since(run.due_at)) {
        return Ok(why);
    }
    let outages = store.outages_of_runs(run.due_at, clock.now()).await?;
    Ok(outages.first().map_or_else(
        || "it waited for an earlier run, for backend.max_concurrent_runs, or for the daemon".to_owned(),
        Outage::sentence,
    ))
}

/// Ends a run that was cancelled before it was sent.
pub(super) async fn unwanted(task: &RunTask<'_>, cause: CancelCause) -> Result<(), StoreError> {
    let message = match cause {
        CancelCause::Request => "cancelled on request before it was started".to_owned(),
        CancelCause::Overlap => {
            let why = why_late(task).await?;
            format!("cancelled for the next occurrence (overlap = \"cancel\") before it was started: {why}")
        }
        CancelCause::Timeout => "timed out before it was started".to_owned(),
    };
    never_started(task, cause.status(), Reason::new(cause.reason_code(), message)).await
}

/// Ends a run whose task panicked, so that the bug is seen and nothing waits forever.
pub(super) async fn broken(runner: &Runner, run: HeldRun) -> Result<(), StoreError> {
    let message = "a bug in agentcron ended the task that followed this run; please report it";
    let reason = Reason::new(ReasonCode::Internal, message);
    let outcome = Outcome::without_backend(Status::Error, reason, runner.clock.now());
    let ending = RunEnding::of(run, outcome);
    match commit(runner, ending).await {
        Err(problem) if problem.concerns_one_operation() => {
            tracing::error!(run_id = %run.run_id, %problem, "run end not recorded");
            Ok(())
        }
        other => other,
    }
}

async fn commit(runner: &Runner, ending: RunEnding) -> Result<(), StoreError> {
    let discards = ending.discard.is_some();
    crash_point("outcome_known").await;
    let AfterEnd { may_notify, may_act } = runner.store.end_run(ending).await?;
    crash_point("outcome_committed").await;
    if may_act {
        runner.wakes.runner.notify_one();
    }
    if may_notify {
        runner.wakes.courier.notify_one();
    }
    if discards {
        runner.wakes.janitor.notify_one();
    }
    Ok(())
}

/// Returns the URL that is pinged, if one is.
pub(super) fn ping_of<'t>(task: &'t RunTask<'_>) -> Option<&'t str> {
    let RunSpec::Cron(cron) = &task.claimed.spec else { return None };
    cron.ping.as_ref().filter(|_| !task.runner.settings.webhooks.now().disabled).map(|url| url.0.as_str())
}

fn ping(task: &RunTask<'_>, outcome: &Outcome) -> Option<NewDelivery> {
    ping_of(task).and_then(|base| ping::of_end(base, &task.claimed.run, outcome))
}

/// Returns what happens if this failure is one too many; whether it is, is known only when it is committed.
fn failure_limit(task: &RunTask<'_>, end: &EndReport<'_>) -> Option<FailureLimit> {
    let limit = task.claimed.spec.pause_after_failures()?;
    match CronHealth::shown_by(end.outcome) {
        CronHealth::Fails => {}
        CronHealth::Works | CronHealth::Unknown => return None,
    }
    let message = pause_message(limit);
    Some(FailureLimit { limit, delivery: delivery(task, end.clone(), Some(&message)) })
}

/// Returns the URL as it is stored. What a client wrote is escaped, so that it is never taken for a
/// placeholder.
fn webhook_url(spec: &RunSpec) -> Option<String> {
    let url = &spec.webhook()?.0;
    Some(if spec.is_from_file() { url.clone() } else { template::escaped(url) })
}

/// Returns the delivery of a run, or `None` if it has no webhook. `pauses` says why this end pauses the cron,
/// if it does.
fn delivery(task: &RunTask<'_>, end: EndReport<'_>, pauses: Option<&str>) -> Option<NewDelivery> {
    let (runner, claimed) = (task.runner, task.claimed);
    let url = &webhook_url(&claimed.spec)?;
    let run_id = claimed.run.run_id;
    let mut identity = identity(claimed, runner.store.installation_id());
    if let Some(message) = pauses {
        identity.insert("agentcron_cron_paused".to_owned(), json!(true));
        identity.insert("agentcron_pause_reason".to_owned(), json!(message));
    }
    let settings = runner.settings.webhooks.now();
    let retention = retention(task);
    let body = webhook::body(
        EndedRun {
            run: &claimed.run,
            request: claimed.spec.request(),
            thread_id: end
                .backend_run
                .map_or_else(|| thread_of(claimed), |backend_run| backend_run.thread_id),
            backend_run: end.backend_run,
            outcome: end.outcome,
            report: end.report,
            identity,
            redact: &retention.redact,
            url,
            sent_at: runner.clock.now(),
        },
        &settings.webhooks,
    );
    let status = if settings.disabled { DeliveryStatus::Suppressed } else { DeliveryStatus::Pending };
    Some(NewDelivery {
        delivery_id: DeliveryId::of_run(run_id, url),
        run_id: Some(run_id),
        url: url.clone(),
        body,
        keeps_body: retention.writes_values(),
        status,
    })
}
