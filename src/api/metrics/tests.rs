//! The text keeps to its format, and its values are right after a few runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::api::v1::tests::api_over;
use crate::clock::Clock;
use crate::config::CronDefinition;
use crate::domain::act::Actor;
use crate::domain::bounds::METRIC_CRONS_MAX;
use crate::domain::ids::{BackendRunId, CronId, ThreadId};
use crate::domain::reason::{Reason, ReasonCode};
use crate::domain::run::{Outcome, RunChange};
use crate::store::{
    CronStateChange, Execution, NewApiCron, PauseOfAllChange, RunEnding, Step, Store, TriggerRequest,
};

/// Checks the whole text strictly and returns every sample by its name and labels.
fn parsed(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with('\n'));
    let (mut samples, mut families, mut current) = (BTreeMap::new(), BTreeSet::new(), String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty(), "{line}");
            assert!(families.insert(name.to_owned()), "{name} appears twice");
            current = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, current);
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let ending =
                name.strip_prefix(&current).unwrap_or_else(|| panic!("{line} does not belong to {current}"));
            assert!(["", "_bucket", "_sum", "_count"].contains(&ending), "{line}");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{line}");
            let value: f64 = value.parse().unwrap();
            assert!(value.is_finite() && value >= 0.0, "{line}");
            assert_eq!(samples.insert(series.to_owned(), value), None, "{series} appears twice");
        }
    }
    samples
}

async fn scrape(router: &axum::Router) -> BTreeMap<String, f64> {
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["content-type"], TEXT_FORMAT);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    parsed(std::str::from_utf8(&body).unwrap())
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// An API over an empty store at 09:30:00.250.
fn api(folder: &Path) -> Api {
    let store = Store::open(
        &folder.join("agentcron.db"),
        Execution::Inline,
        crate::domain::ids::InstallationId::default(),
        crate::clock::Clock::system(),
    )
    .unwrap();
    let clock = Clock::simulated(at("2026-03-02T09:30:00.250Z"));
    api_over(folder, store, clock)
}

const HOURLY: &str = r#"{"schedule":"0 * * * *","assistant_id":"agent"}"#;

fn definition(name: &str) -> Arc<CronDefinition> {
    CronDefinition::of_body(name, HOURLY)
}

async fn add_cron(api: &Api, name: &str) {
    api.store.sync_file_crons(api.clock.now(), vec![definition(name)]).await.unwrap();
}

async fn add_api_cron(api: &Api, name: &str) {
    let cron_id = CronId(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()));
    let (name, body, request) = (Some(name.to_owned()), HOURLY.to_owned(), serde_json::Map::new());
    api.store
        .create_api_cron(api.clock.now(), Actor::AGENTCRON, NewApiCron { cron_id, name, body, request })
        .await
        .unwrap();
}

/// Records a run of `digest` that starts after 2 s and ends after 3 s more.
async fn run(api: &Api, status: Status) {
    let run_id = api
        .store
        .trigger(api.clock.now(), Actor::AGENTCRON, TriggerRequest { name: "digest".to_owned(), input: None })
        .await
        .unwrap()
        .unwrap()
        .run
        .run_id;
    let later = |seconds| backoff::after(api.clock.now(), Duration::from_secs(seconds));
    let accept = RunChange::Accept {
        thread_id: ThreadId(run_id.0),
        backend_run_id: BackendRunId(run_id.0),
        at: later(2),
    };
    let run = crate::store::tests::hold(&api.store, run_id).await;
    for change in [RunChange::Send { at: later(0) }, accept] {
        api.store.step_run(Step::of(run, change)).await.unwrap();
    }
    let reason = (status == Status::Error).then(|| Reason::new(ReasonCode::GraphError, "boom".to_owned()));
    let outcome = Outcome {
        status,
        reason,
        error: None,
        values: None,
        interrupts: None,
        ended_at: later(5),
        learnt_at: later(5),
    };
    let ending = RunEnding::of(run, outcome);
    api.store.end_run(ending).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_text_keeps_to_its_format_and_counts_what_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let api = api(folder.path());
    add_cron(&api, "digest").await;
    let router = crate::api::router(api.clone());
    let before = scrape(&router).await;
    assert_eq!(before["agentcron_runs_total{status=\"success\",trigger=\"manual\"}"], 0.0);
    for status in [Status::Success, Status::Error, Status::Error] {
        run(&api, status).await;
        tokio::time::advance(Duration::from_secs(10)).await;
    }
    api.store
        .trigger(api.clock.now(), Actor::AGENTCRON, TriggerRequest { name: "digest".to_owned(), input: None })
        .await
        .unwrap();
    let after = scrape(&router).await;
    let expected = [
        ("agentcron_runs_total{status=\"success\",trigger=\"manual\"}", 1.0),
        ("agentcron_runs_total{status=\"error\",trigger=\"manual\"}", 2.0),
        ("agentcron_runs_total{status=\"error\",trigger=\"schedule\"}", 0.0),
        ("agentcron_run_reasons_total{status=\"error\",reason_code=\"graph_error\"}", 2.0),
        ("agentcron_run_start_delay_seconds_bucket{le=\"1\"}", 0.0),
        ("agentcron_run_start_delay_seconds_bucket{le=\"2.5\"}", 3.0),
        ("agentcron_run_start_delay_seconds_sum", 6.0),
        ("agentcron_run_duration_seconds_bucket{le=\"+Inf\"}", 3.0),
        ("agentcron_run_duration_seconds_sum", 9.0),
        ("agentcron_runs{phase=\"pending\"}", 1.0),
        ("agentcron_crons{state=\"active\"}", 1.0),
        ("agentcron_crons{state=\"paused\"}", 0.0),
        ("agentcron_cron_failures_in_a_row{cron=\"digest\"}", 2.0),
        ("agentcron_deliveries_waiting", 0.0),
        ("agentcron_backend_up", 1.0),
        ("agentcron_store_writable", 1.0),
        ("agentcron_store_readable", 1.0),
        ("agentcron_receivers_circuit_open", 0.0),
    ];
    for (series, value) in expected {
        assert_eq!(after.get(series), Some(&value), "{series}");
    }
    let reasons = after.keys().filter(|series| series.starts_with("agentcron_run_reasons_total"));
    assert_eq!(reasons.count(), 1, "only pairs that occurred are written");
    assert!(after["agentcron_store_commit_duration_seconds_count"] > 4.0);
    assert!(after["agentcron_store_size_bytes{file=\"database\"}"] > 0.0);
    assert_eq!(after["process_start_time_seconds"], 1_772_443_800.25);
}

#[tokio::test(start_paused = true)]
async fn occurrences_that_never_ran_are_counted_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut api = api(folder.path());
    api.clock = Clock::simulated(at("2026-03-02T03:00:00Z"));
    add_cron(&api, "digest").await;
    tokio::time::advance(Duration::from_secs(6 * 3600 + 60)).await;
    api.store.plan_due(api.clock.now()).await.unwrap();
    let counted = scrape(&crate::api::router(api.clone())).await;
    let missed = counted["agentcron_occurrences_missed_total"];
    let caught_up = counted["agentcron_runs{phase=\"pending\"}"];
    assert_eq!((missed, caught_up), (5.0, 1.0), "04:00 to 08:00, and 09:00");
    let by_reason = "agentcron_run_reasons_total{status=\"missed\",reason_code=\"catchup_latest\"}";
    assert_eq!(counted[by_reason], 5.0);
}

#[tokio::test(start_paused = true)]
async fn crons_of_clients_have_one_series_together() {
    let folder = tempfile::tempdir().unwrap();
    let api = api(folder.path());
    add_cron(&api, "from-a-file").await;
    for name in ["digest", "chosen-by-a-client", "another"] {
        add_api_cron(&api, name).await;
    }
    run(&api, Status::Error).await;
    let samples = scrape(&crate::api::router(api.clone())).await;
    let of_others = |series: &&String| series.contains("cron=") && !series.contains("cron=\"from-a-file\"");
    assert_eq!(samples.keys().find(of_others), None);
    assert_eq!(samples["agentcron_cron_failures_in_a_row{cron=\"from-a-file\"}"], 0.0);
    assert_eq!(samples["agentcron_api_cron_failures_in_a_row"], 1.0);
    assert_eq!(samples["agentcron_crons{state=\"active\"}"], 4.0);
}

/// Returns the crons that have a sample of this metric.
fn crons_of(samples: &BTreeMap<String, f64>, metric: &str) -> BTreeSet<String> {
    let of_metric = samples.keys().filter_map(|series| series.strip_prefix(metric)?.strip_prefix("{cron=\""));
    of_metric.map(|labels| labels.split('"').next().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn of_too_many_crons_from_files_those_have_series_that_were_first_and_those_that_fail() {
    let folder = tempfile::tempdir().unwrap();
    let api = api(folder.path());
    let names = (0..METRIC_CRONS_MAX + 1).map(|number| format!("cron-{number:04}"));
    let definitions = names.chain(["digest".to_owned()]).map(|name| definition(&name));
    api.store.sync_file_crons(api.clock.now(), definitions.collect()).await.unwrap();
    let router = crate::api::router(api.clone());
    let before = scrape(&router).await;
    let counted = crons_of(&before, "agentcron_cron_runs_total");
    assert_eq!(counted.len(), METRIC_CRONS_MAX);
    assert!(!counted.contains("digest"), "by name, it is the last");
    assert_eq!(crons_of(&before, "agentcron_cron_failures_in_a_row"), counted);
    assert_eq!(before["agentcron_crons_without_series"], 2.0);

    run(&api, Status::Error).await;
    tokio::time::advance(CACHED_FOR).await;
    let after = scrape(&router).await;
    assert_eq!(crons_of(&after, "agentcron_cron_runs_total"), counted, "counters neither come nor go");
    assert_eq!(after["agentcron_cron_failures_in_a_row{cron=\"digest\"}"], 1.0);
    assert_eq!(crons_of(&after, "agentcron_cron_failures_in_a_row").len(), METRIC_CRONS_MAX + 1);
    assert_eq!(after["agentcron_crons_without_series"], 1.0);
}

#[tokio::test(start_paused = true)]
async fn every_cron_from_a_file_has_its_own_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let mut api = api(folder.path());
    api.clock = Clock::simulated(at("2026-03-02T09:30:00Z"));
    let definitions = ["digest", "other"].map(definition).to_vec();
    api.store.sync_file_crons(api.clock.now(), definitions.clone()).await.unwrap();
    let router = crate::api::router(api.clone());
    let scraped = async |metric: &str| {
        tokio::time::advance(CACHED_FOR).await;
        let samples = scrape(&router).await;
        let lines = samples.into_iter().filter(|(series, _)| {
            series.starts_with(metric) && (series.contains("digest") || metric.contains("other"))
        });
        lines
            .map(|(series, value)| format!("{} {value}", &series[metric.len()..]))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let instant = |text: &str| at(text).as_second();
    assert_eq!(scraped("agentcron_cron_last_success_timestamp_seconds").await, "");
    let defined = scraped("agentcron_cron_defined_timestamp_seconds").await;
    assert_eq!(defined, format!("{{cron=\"digest\"}} {}", instant("2026-03-02T09:30:00Z")));

    // It starts 2 s after it is due, and runs for 3 s.
    run(&api, Status::Success).await;
    let ended_at = backoff::after(api.clock.now(), Duration::from_secs(5));
    tokio::time::advance(Duration::from_secs(10)).await;
    run(&api, Status::Error).await;
    let failed_at = backoff::after(api.clock.now(), Duration::from_secs(5));
    let of = |at: Timestamp| format!("{{cron=\"digest\"}} {}", at.as_second());
    assert_eq!(scraped("agentcron_cron_last_success_timestamp_seconds").await, of(ended_at));
    assert_eq!(scraped("agentcron_cron_last_run_timestamp_seconds").await, of(failed_at));
    assert_eq!(
        scraped("agentcron_cron_runs_total").await,
        "{cron=\"digest\",status=\"error\"} 1\n{cron=\"digest\",status=\"success\"} 1"
    );
    assert_eq!(
        scraped("agentcron_cron_run_duration_seconds_bucket").await,
        "{cron=\"digest\",le=\"+Inf\"} 2\n{cron=\"digest\",le=\"1\"} 0\n{cron=\"digest\",le=\"10\"} 2\n\
         {cron=\"digest\",le=\"3600\"} 2\n{cron=\"digest\",le=\"60\"} 2\n{cron=\"digest\",le=\"600\"} 2"
    );
    assert_eq!(scraped("agentcron_cron_start_delay_seconds_count").await, "{cron=\"digest\"} 2");
    assert_eq!(scraped("agentcron_cron_run_duration_seconds_sum{cron=\"other").await, "");

    // Occurrences that come due while nobody plans them are missed, all but the latest.
    tokio::time::advance(Duration::from_secs(3 * 3600)).await;
    api.store.plan_due(api.clock.now()).await.unwrap();
    let missed = "{cron=\"digest\",reason_code=\"catchup_latest\"} 2";
    assert_eq!(scraped("agentcron_cron_occurrences_missed_total").await, missed);
    let next = scraped("agentcron_cron_next_timestamp_seconds").await;
    assert_eq!(next, of(at("2026-03-02T13:00:00Z")));
    // A pause that ends by itself, one of all crons, and one that lasts.
    let change = async |until: Option<Timestamp>| {
        let pause = CronStateChange::Pause { note: None, until };
        let (now, name) = (api.clock.now(), "digest".to_owned());
        api.store.change_cron_state(now, Actor::AGENTCRON, name, pause).await.unwrap();
        api.store.plan_due(now).await.unwrap();
    };
    change(Some(backoff::after(api.clock.now(), Duration::from_secs(5)))).await;
    assert_eq!(scraped("agentcron_cron_paused").await, "{cron=\"digest\"} 1");
    tokio::time::advance(Duration::from_secs(10)).await;
    api.store.plan_due(api.clock.now()).await.unwrap();
    assert_eq!(scraped("agentcron_cron_paused").await, "{cron=\"digest\"} 0");
    let pause_all = PauseOfAllChange::Pause { note: None, until: None };
    for (all, paused) in
        [(pause_all, "{cron=\"digest\"} 1"), (PauseOfAllChange::Resume, "{cron=\"digest\"} 0")]
    {
        api.store.change_pause_of_all(api.clock.now(), Actor::AGENTCRON, all).await.unwrap();
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(scraped("agentcron_cron_paused").await, paused);
    }
    change(None).await;
    assert_eq!(scraped("agentcron_cron_paused").await, "{cron=\"digest\"} 1");
    assert_eq!(scraped("agentcron_cron_next_timestamp_seconds").await, "");

    // A cron that is removed takes its metrics with it; the store remembers when it succeeded.
    api.store.sync_file_crons(api.clock.now(), definitions[1..].to_vec()).await.unwrap();
    assert_eq!(scraped("agentcron_cron").await, "");
    api.store.sync_file_crons(api.clock.now(), definitions).await.unwrap();
    assert_eq!(scraped("agentcron_cron_last_success_timestamp_seconds").await, of(ended_at));
    let fresh = "{cron=\"digest\",status=\"error\"} 0\n{cron=\"digest\",status=\"success\"} 0";
    assert_eq!(scraped("agentcron_cron_runs_total").await, fresh);
}

#[tokio::test(start_paused = true)]
async fn outages_and_readings_of_the_files_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut api = api(folder.path());
    let router = crate::api::router(api.clone());
    assert!(!scrape(&router).await.contains_key("agentcron_config_last_reload_success_timestamp_seconds"));
    let now = api.clock.now();
    api.health.outages = crate::engine::outages::Outages::after(Vec::new(), now);
    api.health.outages.backend_away(now, "connection refused");
    tokio::time::advance(Duration::from_secs(20)).await;
    api.health.outages.backend_back(api.clock.now());
    api.health.outages.access_denied(api.clock.now(), "401");
    api.health.reloads.note(true, now);
    api.health.reloads.note(false, api.clock.now());
    tokio::time::advance(Duration::from_secs(5)).await;
    let samples = scrape(&crate::api::router(api.clone())).await;
    let of = |metric: &str, what: &str| samples[&format!("{metric}{{what=\"{what}\"}}")];
    let all = |what| {
        ["agentcron_outages", "agentcron_outages_total", "agentcron_outage_seconds_total"]
            .map(|metric| of(metric, what))
    };
    assert_eq!(all("backend"), [0.0, 1.0, 20.0]);
    assert_eq!(all("access"), [1.0, 1.0, 5.0]);
    assert_eq!(all("disk"), [0.0, 0.0, 0.0]);
    assert_eq!(samples["agentcron_config_last_reload_successful"], 0.0);
    let succeeded_at = samples["agentcron_config_last_reload_success_timestamp_seconds"];
    assert_eq!(succeeded_at, seconds_since_1970(now));
}

#[test]
fn names_of_crons_are_escaped() {
    let mut text = Exposition::default();
    text.gauge("agentcron_x", "X.").with(&[("cron", "a\"b\\c\nd")], 1.0);
    assert!(text.into_string().ends_with("agentcron_x{cron=\"a\\\"b\\\\c\\nd\"} 1\n"));
}
