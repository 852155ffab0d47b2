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
use crate::store::TriggerRequest;
use crate::store::{Execution, NewApiCron, RunEnding, Step, Store};

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
    let ending = RunEnding { run, outcome, delivery: None, discard: None, event: None, failure_limit: None };
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
    let by_cron: Vec<_> = samples.keys().filter(|series| series.contains("cron=")).collect();
    assert_eq!(by_cron, ["agentcron_cron_failures_in_a_row{cron=\"from-a-file\"}"]);
    assert_eq!(samples["agentcron_api_cron_failures_in_a_row"], 1.0);
    assert_eq!(samples["agentcron_crons{state=\"active\"}"], 4.0);
}

#[tokio::test(start_paused = true)]
async fn of_too_many_crons_from_files_those_that_fail_have_a_series() {
    let folder = tempfile::tempdir().unwrap();
    let api = api(folder.path());
    let names = (0..METRIC_CRONS_MAX + 1).map(|number| format!("cron-{number:04}"));
    let definitions = names.chain(["digest".to_owned()]).map(|name| definition(&name));
    api.store.sync_file_crons(api.clock.now(), definitions.collect()).await.unwrap();
    run(&api, Status::Error).await;
    let samples = scrape(&crate::api::router(api.clone())).await;
    assert_eq!(samples.keys().filter(|series| series.contains("cron=")).count(), METRIC_CRONS_MAX);
    assert_eq!(samples["agentcron_cron_failures_in_a_row{cron=\"digest\"}"], 1.0);
    assert_eq!(samples["agentcron_crons_without_series"], 2.0);
}

#[test]
fn names_of_crons_are_escaped() {
    let mut text = Exposition::default();
    text.gauge("agentcron_x", "X.").with(&[("cron", "a\"b\\c\nd")], 1.0);
    assert!(text.into_string().ends_with("agentcron_x{cron=\"a\\\"b\\\\c\\nd\"} 1\n"));
}
