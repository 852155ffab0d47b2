//! `/metrics`: what Prometheus asks for. Counts are kept where things are committed, and what is there right now is
//! read from the store, so that the loops know nothing of it.

mod exposition;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use jiff::Timestamp;
use tokio::sync::Mutex;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use crate::domain::backoff;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::reason::ReasonCode;
use crate::domain::run::{Phase, Status, Trigger};
use crate::store::{CronStatus, Measures, ResponseClass};

use exposition::Exposition;

/// The version of the text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whoever asks again within this gets the same answer: many scrapers cost no more than one.
const KEPT: Duration = Duration::from_secs(1);

/// The last answer. Whoever comes while one is made waits for it.
#[derive(Clone)]
struct Last {
    process_started_at: Timestamp,
    made: Arc<Mutex<Option<(Timestamp, String)>>>,
}

/// Its path.
pub(super) fn router(process_started_at: Timestamp) -> OpenApiRouter<Api> {
    let last = Last { process_started_at, made: Arc::default() };
    OpenApiRouter::new().routes(routes!(metrics)).layer(Extension(last))
}

/// Tell Prometheus how it goes.
#[utoipa::path(
    get, path = "/metrics", tag = "daemon",
    responses((status = 200, description = "Text format 0.0.4", body = String, content_type = TEXT_FORMAT))
)]
async fn metrics(State(api): State<Api>, Extension(last): Extension<Last>) -> impl IntoResponse {
    let now = api.clock.now();
    let mut made = last.made.lock().await;
    let text = match made.as_ref().filter(|(at, _)| *at <= now && backoff::between(*at, now) < KEPT) {
        Some((_, text)) => text.clone(),
        None => {
            let text = measure(&api, last.process_started_at, now).await;
            *made = Some((now, text.clone()));
            text
        }
    };
    ([(CONTENT_TYPE, TEXT_FORMAT)], text)
}

async fn measure(api: &Api, process_started_at: Timestamp, now: Timestamp) -> String {
    let measures = api.store.read(|reader| reader.measures()).await;
    let mut text = Exposition::default();
    text.gauge("agentcron_build_info", "Which version runs; always 1.")
        .with(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    text.gauge("process_start_time_seconds", "When the daemon started, in seconds since 1970.")
        .plain(seconds_since_1970(process_started_at));
    committed(&mut text, api);
    text.gauge("agentcron_store_readable", "Whether what follows about the store could be read.")
        .plain(f64::from(u8::from(measures.is_ok())));
    if let Ok(measures) = measures {
        there_now(&mut text, &measures, now);
    }
    loops(&mut text, api);
    store(&mut text, api);
    text.finish()
}

/// Counted since the process started, as it was committed.
fn committed(text: &mut Exposition, api: &Api) {
    let counts = api.store.counts();
    let mut runs = text.counter("agentcron_runs_total", "Runs that are over and were to run.");
    for status in Status::ALL.iter().filter(|status| has_run(**status)) {
        for trigger in Trigger::ALL {
            let labels = [("status", status.as_str()), ("trigger", trigger.as_str())];
            runs.with(&labels, as_float(counts.ended(*status, *trigger)));
        }
    }
    let mut reasons = text.counter(
        "agentcron_run_reasons_total",
        "Runs and occurrences that are over and have a reason, by status and reason code.",
    );
    for status in Status::ALL {
        // A status knows a few codes only: those that occurred are shown.
        for code in ReasonCode::ALL.iter().filter(|code| counts.reasons(*status, **code) > 0) {
            let labels = [("status", status.as_str()), ("reason_code", code.as_str())];
            reasons.with(&labels, as_float(counts.reasons(*status, *code)));
        }
    }
    text.counter("agentcron_occurrences_skipped_total", "Occurrences deliberately not fired.")
        .plain(as_float(counts.never_ran(Status::Skipped)));
    text.counter("agentcron_occurrences_missed_total", "Occurrences found too late to be fired.")
        .plain(as_float(counts.never_ran(Status::Missed)));
    text.histogram(
        "agentcron_run_start_delay_seconds",
        "From a run being due until the agent server accepted it.",
        &counts.start_delay.snapshot(),
    );
    text.histogram(
        "agentcron_run_duration_seconds",
        "From a run being accepted until we learnt of its end.",
        &counts.run_time.snapshot(),
    );
    let mut deliveries = text.counter("agentcron_deliveries_total", "Webhook deliveries that are over.");
    for status in DeliveryStatus::ALL.iter().filter(|status| is_over(**status)) {
        deliveries.with(&[("status", status.as_str())], as_float(counts.deliveries(*status)));
    }
    let mut attempts =
        text.counter("agentcron_delivery_attempts_total", "Webhook attempts that are over, by HTTP status.");
    for response in ResponseClass::ALL {
        attempts.with(&[("code", response.as_str())], as_float(counts.attempts(*response)));
    }
    text.histogram(
        "agentcron_delivery_delay_seconds",
        "From the end of a run until its receiver had been told.",
        &counts.delivery_delay.snapshot(),
    );
    text.histogram(
        "agentcron_store_commit_duration_seconds",
        "Commits of the store, each of one or more changes.",
        &counts.commits.snapshot(),
    );
}

fn there_now(text: &mut Exposition, measures: &Measures, now: Timestamp) {
    let mut crons = text.gauge("agentcron_crons", "Crons, by how they stand.");
    for state in CronStatus::ALL {
        crons.with(&[("state", state.as_str())], as_float(of(&measures.crons, *state)));
    }
    let mut runs = text.gauge("agentcron_runs", "Runs that are not over, by phase.");
    for phase in Phase::ALL.iter().filter(|phase| **phase != Phase::Ended) {
        runs.with(&[("phase", phase.as_str())], as_float(of(&measures.runs, *phase)));
    }
    text.gauge("agentcron_deliveries_waiting", "Webhook deliveries that are not over.")
        .plain(as_float(measures.deliveries));
    let age = measures.oldest_delivery.map_or(Duration::ZERO, |made| backoff::between(made, now));
    text.gauge(
        "agentcron_delivery_oldest_waiting_seconds",
        "Age of the oldest delivery that is not over; or 0.",
    )
    .plain(age.as_secs_f64());
    text.gauge("agentcron_threads_to_delete", "Threads to be deleted on the agent server.")
        .plain(as_float(measures.threads));
    let mut failures =
        text.gauge("agentcron_cron_failures_in_a_row", "Runs in a row that ended as error or timeout.");
    for (name, count) in &measures.failures {
        failures.with(&[("cron", name)], as_float(*count));
    }
}

fn loops(text: &mut Exposition, api: &Api) {
    let takes_runs = api.health.backend_breaker.trouble().is_none();
    text.gauge("agentcron_backend_up", "Whether the agent server took the last run that it was sent.")
        .plain(f64::from(u8::from(takes_runs)));
    text.gauge("agentcron_receivers_left_alone", "Receivers whose breaker is open.")
        .plain(as_float(u64::try_from(api.health.origins.open_breakers()).unwrap_or(u64::MAX)));
    let mut next = text.gauge(
        "agentcron_next_occurrence_timestamp_seconds",
        "When a calendar next names an instant, since 1970.",
    );
    if let Some(at) = api.health.next_wake.next() {
        next.plain(seconds_since_1970(at));
    }
}

fn store(text: &mut Exposition, api: &Api) {
    text.gauge("agentcron_store_writable", "Whether the store can commit.")
        .plain(f64::from(u8::from(api.store.trouble().is_none())));
    text.gauge("agentcron_store_queue_length", "Changes that wait for the writer.")
        .plain(as_float(u64::try_from(api.store.queued()).unwrap_or(u64::MAX)));
    let mut sizes = text.gauge("agentcron_store_size_bytes", "Sizes of the store's files.");
    for (file, bytes) in api.store.sizes() {
        sizes.with(&[("file", file)], as_float(bytes));
    }
}

/// The others never came to run.
fn has_run(status: Status) -> bool {
    match status {
        Status::Success | Status::Error | Status::Timeout | Status::Interrupted | Status::Cancelled => true,
        Status::Skipped | Status::Missed => false,
    }
}

fn is_over(status: DeliveryStatus) -> bool {
    match status {
        DeliveryStatus::Pending | DeliveryStatus::Sending => false,
        DeliveryStatus::Delivered
        | DeliveryStatus::Failed
        | DeliveryStatus::Gone
        | DeliveryStatus::Aborted
        | DeliveryStatus::Blocked
        | DeliveryStatus::Suppressed => true,
    }
}

fn of<Word: PartialEq>(counts: &[(Word, u64)], word: Word) -> u64 {
    counts.iter().find(|(known, _)| *known == word).map_or(0, |(_, count)| *count)
}

fn seconds_since_1970(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "the format knows floats only; exact up to 2^53")]
fn as_float(count: u64) -> f64 {
    count as f64
}
