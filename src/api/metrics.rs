//! `/metrics` for Prometheus. Counters are kept by the store when it commits, and gauges are read from the store when
//! Prometheus asks, so the loops know nothing about metrics. Where several daemons share a store, the counters are those of one, and
//! such gauges are the same at each.

mod by_cron;
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
use crate::domain::cron_state::CronStatus;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::outage::Away;
use crate::domain::reason::ReasonCode;
use crate::domain::run::{Phase, Status, Trigger};
use crate::engine::outages::OutageTotal;
use crate::engine::reloads::LastReload;
use crate::store::{Measures, NoticeKind, ResponseClass, panic_count};

use exposition::Exposition;

/// The version of the text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A scrape within this time gets the previous text again, so that many scrapers cost no more than one.
const CACHED_FOR: Duration = Duration::from_secs(1);

/// The last text and when it was rendered. A scrape that arrives meanwhile waits for it.
#[derive(Clone)]
struct ScrapeCache {
    process_started_at: Timestamp,
    last: Arc<Mutex<Option<(Timestamp, String)>>>,
}

pub(super) fn router(process_started_at: Timestamp) -> OpenApiRouter<Api> {
    let cache = ScrapeCache { process_started_at, last: Arc::default() };
    OpenApiRouter::new().routes(routes!(metrics)).layer(Extension(cache))
}

/// Get the metrics in the text format of Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "daemon",
    responses((status = 200, description = "The metrics, in text format 0.0.4", body = String, content_type = TEXT_FORMAT))
)]
async fn metrics(State(api): State<Api>, Extension(cache): Extension<ScrapeCache>) -> impl IntoResponse {
    let now = api.clock.now();
    let mut last = cache.last.lock().await;
    let text = match last.as_ref().filter(|(at, _)| *at <= now && backoff::between(*at, now) < CACHED_FOR) {
        Some((_, text)) => text.clone(),
        None => {
            let text = render(&api, cache.process_started_at, now).await;
            *last = Some((now, text.clone()));
            text
        }
    };
    ([(CONTENT_TYPE, TEXT_FORMAT)], text)
}

async fn render(api: &Api, process_started_at: Timestamp, now: Timestamp) -> String {
    let counted = api.store.counts().by_cron();
    let of_crons = counted.clone();
    let measures = api.store.read(move |reader| reader.measures(&of_crons)).await;
    let mut text = Exposition::default();
    text.gauge("agentcron_build_info", "Always 1; the label says which version runs.")
        .with(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    text.gauge("process_start_time_seconds", "When the daemon started, in seconds since 1970.")
        .plain(seconds_since_1970(process_started_at));
    counters(&mut text, api);
    text.gauge("agentcron_store_readable", "1 if the gauges that are read from the store could be read.")
        .plain(f64::from(u8::from(measures.is_ok())));
    if let Ok(measures) = measures {
        store_gauges(&mut text, &measures, now);
        by_cron::write(&mut text, &measures.crons_of_files, &counted);
        let mut made = text.gauge_of_store(
            "agentcron_backup_last_success_timestamp_seconds",
            "When the daemon made its last backup, in seconds since 1970.",
        );
        if let Some(at) = measures.backed_up_at {
            made.plain(seconds_since_1970(at));
        }
    }
    if let Ok(mut notices) = api.store.read(|reader| reader.notices()).await {
        notices.retain(|notice| notice.of == api.store.daemon_name());
        let notice = notices.iter().find(|notice| notice.kind == NoticeKind::Configuration);
        text.gauge("agentcron_configuration_mistakes", "Mistakes in the configuration files.")
            .plain(as_float(notice.map_or(0, |notice| notice.count)));
        let has_failed = notices.iter().any(|notice| notice.kind == NoticeKind::Backup);
        text.gauge("agentcron_backup_failed", "1 if the last backup of the daemon failed.")
            .plain(f64::from(u8::from(has_failed)));
    }
    loop_gauges(&mut text, api);
    configuration(&mut text, api.health.reloads.last());
    outages(&mut text, api, now);
    store_state(&mut text, api);
    text.into_string()
}

/// Writes what the store has counted at its commits since the process started.
fn counters(text: &mut Exposition, api: &Api) {
    let counts = api.store.counts();
    let mut runs = text.counter(
        "agentcron_runs_total",
        "Runs that were started or cancelled and have ended, by status and trigger.",
    );
    for status in Status::ALL.iter().filter(|status| has_run(**status)) {
        for trigger in Trigger::ALL {
            let labels = [("status", status.as_str()), ("trigger", trigger.as_str())];
            runs.with(&labels, as_float(counts.ended(*status, *trigger)));
        }
    }
    let mut reasons = text.counter(
        "agentcron_run_reasons_total",
        "Runs that have ended and occurrences that were skipped or missed, if they have a reason code.",
    );
    for status in Status::ALL {
        // Most pairs of a status and a code can never occur, so only those that did are written.
        for code in ReasonCode::ALL.iter().filter(|code| counts.reasons(*status, **code) > 0) {
            let labels = [("status", status.as_str()), ("reason_code", code.as_str())];
            reasons.with(&labels, as_float(counts.reasons(*status, *code)));
        }
    }
    text.counter("agentcron_occurrences_skipped_total", "Occurrences that were deliberately not started.")
        .plain(as_float(counts.never_ran(Status::Skipped)));
    text.counter("agentcron_occurrences_missed_total", "Occurrences that were found too late to be started.")
        .plain(as_float(counts.never_ran(Status::Missed)));
    text.histogram(
        "agentcron_run_start_delay_seconds",
        "Time from when a run was due until the agent server accepted it.",
        &counts.start_delay.snapshot(),
    );
    text.histogram(
        "agentcron_run_duration_seconds",
        "How long runs took, by the agent server's account or, if it gives none, until agentcron learnt of their end.",
        &counts.run_time.snapshot(),
    );
    let mut deliveries =
        text.counter("agentcron_deliveries_total", "Webhook deliveries that have ended, by status.");
    for status in DeliveryStatus::ALL.iter().filter(|status| status.is_over()) {
        deliveries.with(&[("status", status.as_str())], as_float(counts.deliveries(*status)));
    }
    let mut attempts = text
        .counter("agentcron_delivery_attempts_total", "Webhook attempts that have ended, by HTTP status.");
    for code in ResponseClass::ALL {
        attempts.with(&[("code", code.as_str())], as_float(counts.attempts(*code)));
    }
    text.histogram(
        "agentcron_delivery_delay_seconds",
        "Time from the end of a run until its webhook was delivered.",
        &counts.delivery_delay.snapshot(),
    );
    text.histogram(
        "agentcron_store_commit_duration_seconds",
        "How long the commits of the store took; each has one or more changes.",
        &counts.commits.snapshot(),
    );
    text.histogram(
        "agentcron_store_commit_changes",
        "How many changes each commit of the store had.",
        &counts.changes.snapshot(),
    );
}

/// Writes what was just read from the store.
fn store_gauges(text: &mut Exposition, measures: &Measures, now: Timestamp) {
    let mut crons = text.gauge_of_store("agentcron_crons", "Crons, by state.");
    for state in CronStatus::ALL {
        crons.with(&[("state", state.as_str())], as_float(count_of(&measures.crons, *state)));
    }
    let mut runs = text.gauge_of_store("agentcron_runs", "Runs in progress, by phase.");
    for phase in Phase::ALL.iter().filter(|phase| **phase != Phase::Ended) {
        runs.with(&[("phase", phase.as_str())], as_float(count_of(&measures.runs, *phase)));
    }
    text.gauge_of_store("agentcron_deliveries_waiting", "Webhook deliveries that have not ended.")
        .plain(as_float(measures.deliveries));
    let age = measures.oldest_delivery.map_or(Duration::ZERO, |created_at| backoff::between(created_at, now));
    text.gauge_of_store(
        "agentcron_delivery_oldest_waiting_seconds",
        "Age of the oldest delivery that has not ended; 0 if there is none.",
    )
    .plain(age.as_secs_f64());
    text.gauge_of_store(
        "agentcron_threads_to_delete",
        "Threads that are still to be deleted on the agent server.",
    )
    .plain(as_float(measures.threads));
    text.gauge_of_store(
        "agentcron_crons_without_series",
        "Enabled crons from files that have no series by cron, because there are too many, and that do not fail.",
    )
    .plain(as_float(measures.crons_left_out));
    let mut oldest = text.gauge_of_store(
        "agentcron_store_oldest_run_timestamp_seconds",
        "For when the oldest run that is stored was scheduled, in seconds since 1970.",
    );
    if let Some(at) = measures.oldest_run {
        oldest.plain(seconds_since_1970(at));
    }
    // Clients choose how many crons they make and how they are called, so these have no series each.
    text.gauge_of_store(
        "agentcron_api_cron_failures_in_a_row",
        "The most failures in a row of any cron made through the API.",
    )
    .plain(as_float(measures.failures_of_clients));
}

fn loop_gauges(text: &mut Exposition, api: &Api) {
    text.counter("agentcron_panics_total", "Panics since the daemon started; each is a bug.")
        .plain(as_float(panic_count()));
    text.gauge(
        "agentcron_loops_stuck",
        "Loops of the daemon that have been busy with one thing for too long.",
    )
    .plain(as_float(u64::try_from(api.health.pulses.stuck().len()).unwrap_or(u64::MAX)));
    let takes_runs = api.health.backend_breaker.trouble().is_none();
    text.gauge("agentcron_backend_up", "1 if the agent server is there and takes runs, as far as is known.")
        .plain(f64::from(u8::from(takes_runs)));
    text.gauge(
        "agentcron_receivers_circuit_open",
        "Origins and URLs of receivers whose circuit breaker is open.",
    )
    .plain(as_float(u64::try_from(api.health.origins.open_breakers()).unwrap_or(u64::MAX)));
    let mut next = text.gauge_of_store(
        "agentcron_next_occurrence_timestamp_seconds",
        "When the next occurrence is due, in seconds since 1970.",
    );
    if let Some(at) = api.health.next_wake.next() {
        next.plain(seconds_since_1970(at));
    }
}

fn configuration(text: &mut Exposition, LastReload { succeeded, succeeded_at }: LastReload) {
    text.gauge(
        "agentcron_config_last_reload_successful",
        "1 if the configuration files had no mistakes when they were last read, and are in force.",
    )
    .plain(f64::from(u8::from(succeeded)));
    let mut at = text.gauge(
        "agentcron_config_last_reload_success_timestamp_seconds",
        "When they were last read without mistakes since the daemon started, in seconds since 1970.",
    );
    if let Some(succeeded_at) = succeeded_at {
        at.plain(seconds_since_1970(succeeded_at));
    }
}

/// Writes what is away and how often it was. A daemon that is away writes nothing, and counts from its start.
fn outages(text: &mut Exposition, api: &Api, now: Timestamp) {
    let (disk_outages, disk_took) = api.store.counts().disk_outages();
    let total = |what: Away| match what {
        Away::Backend | Away::Access | Away::Receiver => Some((what, api.health.outages.total(what, now))),
        Away::Disk | Away::Store if what == api.store.place().away() => {
            let mut total = OutageTotal { lasting: 0, count: disk_outages, took: disk_took };
            if let Some((since, _)) = api.store.trouble() {
                total.add_lasting(since, since, now);
            }
            Some((what, total))
        }
        Away::Disk | Away::Store | Away::Daemon | Away::Record => None,
    };
    let totals: Vec<(Away, OutageTotal)> = Away::ALL.iter().copied().filter_map(total).collect();
    let mut lasting = text.gauge("agentcron_outages", "Outages that last, by what is away.");
    for (what, total) in &totals {
        lasting.with(&[("what", what.as_str())], as_float(total.lasting));
    }
    let mut count =
        text.counter("agentcron_outages_total", "Outages since the daemon started, by what was away.");
    for (what, total) in &totals {
        count.with(&[("what", what.as_str())], as_float(total.count));
    }
    let mut took = text.counter(
        "agentcron_outage_seconds_total",
        "How long they took together, by what was away; several receivers can be away at once.",
    );
    for (what, total) in &totals {
        took.with(&[("what", what.as_str())], total.took.as_secs_f64());
    }
}

/// Writes what the store says about itself, whether or not it can be read.
fn store_state(text: &mut Exposition, api: &Api) {
    text.gauge("agentcron_store_writable", "1 if the store can commit.")
        .plain(f64::from(u8::from(api.store.trouble().is_none())));
    text.gauge("agentcron_store_queue_length", "Changes that wait to be committed.")
        .plain(as_float(u64::try_from(api.store.queued()).unwrap_or(u64::MAX)));
    let mut free = text.gauge("agentcron_store_free_bytes", "Room on the disk of the store.");
    if let Some(space) = api.store.disk_space() {
        free.plain(as_float(space.free_bytes));
    }
    let mut sizes = text.gauge("agentcron_store_size_bytes", "Size of the store's files, by file.");
    for (file, bytes) in api.store.sizes() {
        sizes.with(&[("file", file)], as_float(bytes));
    }
}

/// Whether records of this status are runs; the others are occurrences that never ran.
fn has_run(status: Status) -> bool {
    match status {
        Status::Success | Status::Error | Status::Timeout | Status::Interrupted | Status::Cancelled => true,
        Status::Skipped | Status::Missed => false,
    }
}

fn count_of<Label: PartialEq>(counts: &[(Label, u64)], label: Label) -> u64 {
    counts.iter().filter(|(counted, _)| *counted == label).map(|(_, count)| count).sum()
}

fn seconds_since_1970(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "the format has floats only; they are exact up to 2^53")]
fn as_float(count: u64) -> f64 {
    count as f64
}
