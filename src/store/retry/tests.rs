//! Further runs of an occurrence, and the one webhook that it owes, as they are stored.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::config::CronDefinition;
use crate::domain::act::Actor;
use crate::domain::cron::{OnRunCompleted, Template};
use crate::domain::delivery::{DeliveryStatus, NewDelivery};
use crate::domain::ids::{BackendRunId, DeliveryId, ThreadId};
use crate::domain::reason::{Reason, ReasonCode};
use crate::domain::run::{Outcome, RunChange, Status};
use crate::domain::run_spec::ClientRunSpec;
use crate::store::TriggerRequest;
use crate::store::tests::{open_store, shell};
use crate::store::{ClaimLimits, ClaimedRun, CronStateChange, Execution, RunEnding, Step};

const LIMITS: ClaimLimits = ClaimLimits { starts: 10, in_flight: 0, running_max: 10, own_places: usize::MAX };

fn at(text: &str) -> Timestamp {
    format!("2026-03-02T{text}Z").parse().unwrap()
}

fn definition(more: &str) -> Arc<CronDefinition> {
    definition_with(more, r#""max":2,"backoff":"30s""#)
}

fn definition_with(more: &str, retry: &str) -> Arc<CronDefinition> {
    let body = format!(
        r#"{{"schedule":"* * * * *","assistant_id":"agent","webhook":"https://example.com/hook",
        "input":{{"n":1}},"retry":{{{retry}}}{more}}}"#
    );
    CronDefinition::of_body("digest", &body)
}

/// Returns a store whose cron has fired at 09:01, and the run, which the backend has.
async fn running(folder: &Path, more: &str) -> (Store, ClaimedRun) {
    let store = open_store(folder, Execution::Inline);
    store.sync_file_crons(at("09:00:00"), vec![definition(more)]).await.unwrap();
    store.plan_due(at("09:01:00")).await.unwrap();
    let run = start(&store, "09:01:00").await;
    (store, run)
}

/// Starts the one run that may be sent now.
async fn start(store: &Store, now: &str) -> ClaimedRun {
    let mut starts = store.claim_runs(at(now), LIMITS).await.unwrap().starts;
    assert_eq!(starts.len(), 1);
    let claimed = starts.remove(0);
    let (thread_id, backend_run_id) = (ThreadId(claimed.run.run_id.0), BackendRunId(claimed.run.run_id.0));
    let change = RunChange::Accept { thread_id, backend_run_id, at: at(now) };
    store.step_run(Step::of(claimed.held(), change)).await.unwrap();
    claimed
}

async fn end(store: &Store, claimed: &ClaimedRun, status: Status, code: ReasonCode, now: &str) {
    let run_id = claimed.run.run_id;
    let url = "https://example.com/hook".to_owned();
    let delivery = NewDelivery {
        delivery_id: DeliveryId::of_run(run_id, &url),
        run_id: Some(run_id),
        url,
        body: now.as_bytes().to_vec(),
        keeps_body: true,
        status: DeliveryStatus::Pending,
    };
    let outcome = Outcome::without_backend(status, Reason::bare(code), at(now));
    let failure_limit = None;
    let run = claimed.held();
    let ending = RunEnding { delivery: Some(delivery), failure_limit, ..RunEnding::of(run, outcome) };
    store.end_run(ending).await.unwrap();
}

async fn fail(store: &Store, claimed: &ClaimedRun, now: &str) {
    end(store, claimed, Status::Error, ReasonCode::GraphError, now).await;
}

fn lines(folder: &Path, sql: &str) -> Vec<String> {
    shell(folder).lines(sql, ())
}

/// Returns the number and the status or phase of each run of 09:01.
fn runs(folder: &Path) -> Vec<String> {
    let sql = "SELECT retry || ' ' || coalesce(status, phase) || ' ' || coalesce(reason_code, '') FROM runs \
               WHERE strftime('%H:%M', scheduled_for / 1000, 'unixepoch') = '09:01' ORDER BY retry";
    lines(folder, sql)
}

/// Returns what the webhooks say, which is when their run ended.
fn webhooks(folder: &Path) -> Vec<String> {
    lines(folder, "SELECT body FROM deliveries ORDER BY created_at")
}

fn owed(folder: &Path) -> Vec<String> {
    lines(folder, "SELECT body FROM owed_webhooks")
}

#[tokio::test]
async fn a_failed_run_is_followed_by_another_and_the_last_one_has_the_webhook() {
    let folder = tempfile::tempdir().unwrap();
    let (store, first) = running(folder.path(), "").await;
    fail(&store, &first, "09:01:10").await;
    assert_eq!(runs(folder.path()), ["0 error graph_error", "1 pending "]);
    assert_eq!((webhooks(folder.path()), owed(folder.path())), (vec![], vec!["09:01:10".to_owned()]));
    assert!(store.claim_runs(at("09:01:39"), LIMITS).await.unwrap().starts.is_empty());
    let second = start(&store, "09:01:50").await;
    assert_eq!(second.run.first_started_at, Some(at("09:01:00")));
    fail(&store, &second, "09:02:00").await;
    assert_eq!((webhooks(folder.path()), owed(folder.path())), (vec![], vec!["09:02:00".to_owned()]));
    let third = start(&store, "09:04:00").await;
    fail(&store, &third, "09:04:10").await;
    assert_eq!(runs(folder.path()), ["0 error graph_error", "1 error graph_error", "2 error graph_error"]);
    assert_eq!((webhooks(folder.path()), owed(folder.path())), (vec!["09:04:10".to_owned()], vec![]));
    let failures = lines(folder.path(), "SELECT '' || failures FROM crons");
    assert_eq!(failures, ["1"], "an occurrence is one failure");
    let events = lines(folder.path(), "SELECT event FROM run_events ORDER BY at");
    assert_eq!(events, ["retried", "retried", "not_retried"]);
}

#[tokio::test]
async fn each_run_has_a_webhook_if_that_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let (store, first) = running(folder.path(), "").await;
    end(&store, &first, Status::Success, ReasonCode::Adopted, "09:01:10").await;
    let each = definition_with("", r#""max":2,"backoff":"30s","webhook_each":true"#);
    store.sync_file_crons(at("09:01:20"), vec![each]).await.unwrap();
    store.plan_due(at("09:02:00")).await.unwrap();
    let run = start(&store, "09:02:00").await;
    fail(&store, &run, "09:02:10").await;
    let retry = start(&store, "09:02:50").await;
    end(&store, &retry, Status::Success, ReasonCode::Adopted, "09:02:55").await;
    assert_eq!(webhooks(folder.path()), ["09:01:10", "09:02:10", "09:02:55"]);
}

#[tokio::test]
async fn between_two_runs_the_occurrence_is_in_progress() {
    let folder = tempfile::tempdir().unwrap();
    let (store, first) = running(folder.path(), "").await;
    fail(&store, &first, "09:01:50").await;
    let triggered = store
        .trigger(
            at("09:01:55.5"),
            Actor::AGENTCRON,
            TriggerRequest { name: "digest".to_owned(), input: None },
        )
        .await
        .unwrap()
        .unwrap();
    let waiting = RunId::of_occurrence(first.run.cron_id().unwrap(), first.run.scheduled_for, 1);
    assert_eq!(triggered.waits_for, Some(waiting));
    store.plan_due(at("09:02:00")).await.unwrap();
    let skipped = lines(folder.path(), "SELECT reason_code FROM runs WHERE status = 'skipped'");
    assert_eq!(skipped, ["overlap"]);
    assert!(store.claim_runs(at("09:02:10"), LIMITS).await.unwrap().starts.is_empty());
    // The retry is due later than the triggered run, and goes first.
    assert_eq!(start(&store, "09:02:40").await.run.run_id, waiting);
}

#[tokio::test]
async fn what_waits_for_an_occurrence_waits_for_its_last_run() {
    let folder = tempfile::tempdir().unwrap();
    let (store, first) = running(folder.path(), r#","overlap":"queue""#).await;
    fail(&store, &first, "09:01:50").await;
    store.plan_due(at("09:02:00")).await.unwrap();
    let retry = start(&store, "09:02:40").await;
    assert_eq!(retry.run.retry, 1);
    let claim = store.claim_runs(at("09:04:00"), LIMITS).await.unwrap();
    assert_eq!((claim.expired.len(), claim.starts.len()), (0, 0));
    end(&store, &retry, Status::Success, ReasonCode::Adopted, "09:05:00").await;
    let next = start(&store, "09:05:30").await.run;
    assert_eq!((next.scheduled_for, next.start_before), (at("09:02:00"), at("09:06:00")));
}

#[tokio::test]
async fn a_waiting_retry_is_cancelled_by_the_next_occurrence_if_that_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let (store, first) = running(folder.path(), r#","overlap":"cancel""#).await;
    fail(&store, &first, "09:01:50").await;
    store.plan_due(at("09:02:00")).await.unwrap();
    let claim = store.claim_runs(at("09:02:00"), LIMITS).await.unwrap();
    assert_eq!((claim.cancelled.len(), claim.starts.len()), (1, 0));
    end(&store, &claim.cancelled[0], Status::Cancelled, ReasonCode::CancelOverlap, "09:02:01").await;
    assert_eq!(runs(folder.path()), ["0 error graph_error", "1 cancelled cancel_overlap"]);
    assert_eq!((webhooks(folder.path()), owed(folder.path())), (vec!["09:01:50".to_owned()], vec![]));
    start(&store, "09:02:02").await;
}

#[tokio::test]
async fn what_drops_a_waiting_retry_makes_the_webhook_of_the_failure_due() {
    let none = definition_with("", "\"max\":0");
    for (name, expected) in [
        ("paused", "1 skipped paused"),
        ("removed", "1 skipped removed"),
        ("disabled", "1 skipped disabled"),
        ("without retries", "1 skipped edited"),
        ("kept", "1 pending "),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (store, first) = running(folder.path(), "").await;
        fail(&store, &first, "09:01:10").await;
        if name == "paused" {
            let pause = CronStateChange::Pause { note: None, until: None };
            store
                .change_cron_state(at("09:01:20"), Actor::AGENTCRON, "digest".to_owned(), pause)
                .await
                .unwrap();
        } else {
            let definitions = match name {
                "removed" => vec![],
                "disabled" => vec![definition(r#","enabled":false"#)],
                "without retries" => vec![none.clone()],
                _ => vec![definition(r#","timeout":"1h""#)],
            };
            store.sync_file_crons(at("09:01:20"), definitions).await.unwrap();
        }
        assert_eq!(runs(folder.path())[1], expected, "{name}");
        let due = if name == "kept" { vec![] } else { vec!["09:01:10".to_owned()] };
        assert_eq!(webhooks(folder.path()), due, "{name}");
        assert_eq!(owed(folder.path()).len(), usize::from(name == "kept"), "{name}");
    }
}

#[tokio::test]
async fn a_run_that_fails_while_its_cron_is_paused_is_not_retried() {
    let folder = tempfile::tempdir().unwrap();
    let (store, first) = running(folder.path(), "").await;
    let pause = CronStateChange::Pause { note: None, until: None };
    store.change_cron_state(at("09:01:05"), Actor::AGENTCRON, "digest".to_owned(), pause).await.unwrap();
    fail(&store, &first, "09:01:10").await;
    assert_eq!(runs(folder.path()), ["0 error graph_error", "1 skipped paused"]);
    assert_eq!((webhooks(folder.path()), owed(folder.path())), (vec!["09:01:10".to_owned()], vec![]));
}

#[tokio::test]
async fn a_run_is_retried_on_request_with_an_input_that_no_edit_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (store, first) = running(folder.path(), "").await;
    let request = |input| RetryRequest { run_id: first.run.run_id, input };
    let refused =
        store.retry_run(at("09:01:05"), Actor::AGENTCRON, request(None)).await.unwrap_err().to_string();
    assert!(refused.contains("of the same occurrence has not ended"), "{refused}");
    end(&store, &first, Status::Success, ReasonCode::Adopted, "09:01:10").await;
    let run = store
        .retry_run(at("09:01:20"), Actor::AGENTCRON, request(Some(json!({ "n": 2 }))))
        .await
        .unwrap()
        .unwrap()
        .run;
    assert_eq!((run.retry, run.trigger, run.scheduled_for), (1, Trigger::Manual, first.run.scheduled_for));
    store.sync_file_crons(at("09:01:25"), vec![definition(r#","timeout":"1h""#)]).await.unwrap();
    let pause = CronStateChange::Pause { note: None, until: None };
    store.change_cron_state(at("09:01:26"), Actor::AGENTCRON, "digest".to_owned(), pause).await.unwrap();
    let retry = start(&store, "09:01:30").await;
    assert_eq!(retry.spec.request().payload["input"], json!({ "n": 2 }));
    end(&store, &retry, Status::Success, ReasonCode::Adopted, "09:01:40").await;
    let again = store.retry_run(at("09:01:50"), Actor::AGENTCRON, request(None)).await.unwrap().unwrap().run;
    assert_eq!(again.retry, 2);
    let retry = start(&store, "09:01:50").await;
    assert_eq!(retry.spec.request().payload["input"], json!({ "n": 1 }));
    end(&store, &retry, Status::Success, ReasonCode::Adopted, "09:01:55").await;
    assert_eq!(webhooks(folder.path()), ["09:01:10", "09:01:40", "09:01:55"]);
    let unknown = RetryRequest { run_id: RunId::default(), input: None };
    assert!(store.retry_run(at("09:02:00"), Actor::AGENTCRON, unknown).await.unwrap().is_none());
    store.sync_file_crons(at("09:02:30"), vec![]).await.unwrap();
    let refused =
        store.retry_run(at("09:02:40"), Actor::AGENTCRON, request(None)).await.unwrap_err().to_string();
    assert!(refused.contains("its cron digest was removed"), "{refused}");
    let of_client = RunId(uuid::Uuid::from_u128(7));
    let hook = Template("https://example.com/hook".to_owned());
    let spec = ClientRunSpec::new("agent".to_owned(), None, OnRunCompleted::Keep, hook);
    store.insert_client_runs(at("09:03:00"), vec![(of_client, spec)]).await.unwrap();
    let of_client = RetryRequest { run_id: of_client, input: None };
    let refused = store.retry_run(at("09:03:01"), Actor::AGENTCRON, of_client).await.unwrap_err().to_string();
    assert!(refused.contains("only the client can start it again"), "{refused}");
}
