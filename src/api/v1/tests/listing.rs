//! Listings and single items: filters, pages, and the same names as the commands print.

use axum::http::Method;

use super::*;
use crate::domain::act::Actor;
use crate::domain::delivery::{DeliveryStatus, NewDelivery};
use crate::domain::ids::{DeliveryId, RunId};
use crate::domain::reason::{Reason, ReasonCode};
use crate::domain::run::{Outcome, Status};
use crate::store::TriggerRequest;
use crate::store::{NewNotice, NoticeKind, RunEnding};

const SECRET: &str = "http://hooks.example/agent?token=s3cret";

async fn request(api: &Api, method: Method, path: &str) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    send(api, request).await
}

async fn get(api: &Api, path: &str) -> Value {
    let (status, response) = request(api, Method::GET, path).await;
    assert_eq!(status, StatusCode::OK, "{path}: {response}");
    response
}

/// An API with three runs of `digest` (one failed, one cancelled, one pending) and a pending one of `triage`. The first
/// two have a suppressed webhook.
async fn api_with_runs(folder: &Path) -> Api {
    let api = api(folder).await;
    for name in ["digest", "digest", "digest", "triage"] {
        api.store
            .trigger(api.clock.now(), Actor::AGENTCRON, TriggerRequest { name: name.to_owned(), input: None })
            .await
            .unwrap()
            .unwrap();
    }
    let rows = api.store.read(|reader| reader.runs_before(&Default::default(), None, 10)).await.unwrap();
    let digests: Vec<RunId> = rows
        .iter()
        .rev()
        .map(|(_, row)| &row.run)
        .filter(|run| run.cron_name() == Some("digest"))
        .map(|run| run.run_id)
        .collect();
    let ends = [(Status::Error, ReasonCode::GraphError), (Status::Cancelled, ReasonCode::CancelRequest)];
    for (run_id, (status, code)) in digests.into_iter().zip(ends) {
        let delivery = NewDelivery {
            delivery_id: DeliveryId::of_run(run_id, SECRET),
            run_id: Some(run_id),
            url: SECRET.to_owned(),
            body: b"{}".to_vec(),
            keeps_body: true,
            status: DeliveryStatus::Suppressed,
        };
        let ended_at = api.clock.now();
        let reason = Some(Reason::new(code, "why"));
        let outcome = Outcome {
            status,
            reason,
            error: None,
            values: None,
            interrupts: None,
            ended_at,
            learnt_at: ended_at,
        };
        let delivery = Some(delivery);
        let run = crate::store::tests::hold(&api.store, run_id).await;
        let ending = RunEnding { delivery, ..RunEnding::of(run, outcome) };
        api.store.end_run(ending).await.unwrap();
    }
    api
}

fn column(page: &Value, name: &str) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item[name].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn listings_take_filters() {
    let folder = tempfile::tempdir().unwrap();
    let api = api_with_runs(folder.path()).await;
    let cases = [
        ("/v1/crons", "cron_name", "digest hooked triage"),
        ("/v1/crons?name=riag", "cron_name", "triage"),
        ("/v1/crons?source=api", "cron_name", ""),
        ("/v1/crons?source=file&state=active", "cron_name", "digest triage"),
        ("/v1/crons?state=paused", "cron_name", ""),
        ("/v1/crons?state=disabled", "cron_name", "hooked"),
        ("/v1/runs", "status", "pending cancelled pending error"),
        ("/v1/runs?cron=digest", "status", "pending cancelled error"),
        ("/v1/runs?status=error,pending", "status", "pending pending error"),
        ("/v1/runs?status=success", "status", ""),
        ("/v1/runs?reason=graph_error", "status", "error"),
        ("/v1/runs?reason=graph_error,cancel_request", "status", "cancelled error"),
        ("/v1/runs?reason=graph_error,overlap&status=cancelled", "status", ""),
        ("/v1/runs?reason=graph_error,cancel_request", "reason_code", "cancel_request graph_error"),
        ("/v1/runs?trigger=schedule,catchup", "status", ""),
        ("/v1/runs?trigger=manual&cron=triage", "status", "pending"),
        ("/v1/runs?since=2026-03-02T09:30:00.253Z", "status", ""),
        ("/v1/runs?until=2026-03-02T10:30:00.251%2B01:00", "status", "pending error"),
        ("/v1/runs?cron=triage&since=0106-02-07T11:07:21Z&until=9999-12-01T00:00:00Z", "status", "pending"),
        ("/v1/deliveries", "status", "suppressed suppressed"),
        ("/v1/deliveries?status=pending,sending", "status", ""),
        ("/v1/deliveries?cron=digest&url=hooks.example", "status", "suppressed suppressed"),
        ("/v1/deliveries?url=s3cret", "status", ""),
        ("/v1/deliveries?since=2026-03-02T09:31:00Z", "status", ""),
    ];
    for (path, name, expected) in cases {
        assert_eq!(column(&get(&api, path).await, name).join(" "), expected, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn pages_together_are_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let api = api_with_runs(folder.path()).await;
    for (path, id) in [("/v1/crons", "cron_id"), ("/v1/runs", "run_id"), ("/v1/deliveries", "delivery_id")] {
        let whole = get(&api, path).await;
        assert_eq!(whole["next_cursor"], Value::Null);
        let mut pages = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = get(&api, &format!("{path}?limit=1{cursor}")).await;
            pages.extend(column(&page, id));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(pages, column(&whole, id), "{path}");
        assert!(pages.len() > 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cron_a_run_and_a_delivery_are_shown_in_full_and_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let api = api_with_runs(folder.path()).await;
    let run_id = column(&get(&api, "/v1/runs?status=error").await, "run_id").remove(0);
    let run = get(&api, &format!("/v1/runs/{run_id}")).await;
    assert_eq!(run["deliveries"][0]["url"], "http://hooks.example/agent?…");
    let delivery_id = run["webhook"]["delivery_id"].as_str().unwrap();
    let delivery = get(&api, &format!("/v1/deliveries/{delivery_id}")).await;
    assert_eq!((&delivery["run_id"], &delivery["attempts"]), (&json!(run_id), &json!([])));
    let by_run = get(&api, &format!("/v1/deliveries?run={run_id}")).await;
    assert_eq!(column(&by_run, "delivery_id"), [delivery_id]);

    let cron = get(&api, "/v1/crons/hooked").await;
    assert_eq!(
        cron["definition"],
        json!({
            "schedule": "0 9 * * *", "assistant_id": "agent", "enabled": false,
            "webhook": "https://hooks.example/?…", "metadata": { "key": "${{ env.KEY }}" },
        })
    );
    assert_eq!((&cron["enabled"], &cron["upcoming"]), (&json!(false), &json!([])));
    assert_eq!(get(&api, &format!("/v1/crons/{}", cron["cron_id"].as_str().unwrap())).await, cron);
    let digest = get(&api, "/v1/crons/digest").await;
    assert_eq!(digest["upcoming"].as_array().unwrap().len(), 10);
    assert_eq!(digest["upcoming"][0], json!({ "at": digest["next_at"], "excluded": false }));
    assert!(!format!("{cron}{run}{delivery}").contains("s3cret"));
}

#[tokio::test(start_paused = true)]
async fn the_status_has_the_keys_of_the_command_and_a_few_more() {
    let folder = tempfile::tempdir().unwrap();
    let api = api_with_runs(folder.path()).await;
    let status = get(&api, "/v1/status").await;
    let names: Vec<&String> = status.as_object().unwrap().keys().collect();
    let of_command = [
        "attention",
        "daemon",
        "daemons",
        "now",
        "store",
        "configuration",
        "all_paused",
        "crons",
        "crons_by_state",
        "next",
        "ended_24h",
        "in_progress",
        "deliveries_24h",
        "deliveries_waiting",
        "backend_heard_at",
        "denied",
        "outages",
        "notices",
        "suppressed",
        "backed_up_at",
    ];
    assert_eq!(*names, of_command);
    assert_eq!(status["ended_24h"], json!({ "error": 1, "cancelled": 1 }));
    assert_eq!(status["in_progress"], json!({ "pending": 2 }));
    assert_eq!(status["configuration"], json!({ "state": "same" }));
}

#[tokio::test(start_paused = true)]
async fn an_invalid_listing_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let api = api_with_runs(folder.path()).await;
    let nobody = "3f0c9a52-6f0e-4c5b-9f53-0a8a5a0d7f11";
    let cases = [
        ("GET", "/v1/runs?grep=".to_owned(), "422 grep: expected 1 to 200 characters"),
        ("GET", "/v1/crons/digets".to_owned(), "404 there is no cron `digets`; did you mean `digest`?"),
        ("GET", "/v1/crons/%ff".to_owned(), "422 path: Invalid UTF-8 in `name`"),
        ("GET", "/v1/runs?cron=digets".to_owned(), "404 there is no cron `digets`; did you mean `digest`?"),
        ("GET", format!("/v1/runs/{nobody}"), "404 there is no run 3f0c9a52-6f0e-4c5b-9f53-0a8a5a0d7f11"),
        (
            "GET",
            "/v1/runs/7".to_owned(),
            "422 got `7`, expected a run id, or at least its first 4 characters",
        ),
        (
            "GET",
            format!("/v1/deliveries/{nobody}"),
            "404 there is no delivery 3f0c9a52-6f0e-4c5b-9f53-0a8a5a0d7f11",
        ),
        ("GET", "/v1/runs?limit=0".to_owned(), "422 limit: 0 is not between 1 and 1000"),
        ("GET", "/v1/crons?limit=1001".to_owned(), "422 limit: 1001 is not between 1 and 1000"),
        ("GET", "/v1/runs?limit=many".to_owned(), "422 query: limit: invalid digit found in string"),
        (
            "GET",
            "/v1/runs?cursor=abc".to_owned(),
            "404 cursor: there is no such page; pass the `next_cursor` of the previous page",
        ),
        (
            "GET",
            "/v1/runs?since=yesterday".to_owned(),
            "422 since: got `yesterday`, expected a time such as 2026-03-02T09:00:00Z",
        ),
        (
            "GET",
            "/v1/runs?status=ended".to_owned(),
            "422 status: `ended` is not one of success, error, timeout, interrupted, cancelled, skipped, missed, \
             pending, sending, unconfirmed, running",
        ),
        (
            "GET",
            "/v1/runs?state=error".to_owned(),
            "422 query: state: unknown field `state`, expected one of `cron`, `status`, `failed`, `reason`, `trigger`, `grep`, `since`, `until`, \
             `cursor`, `limit`",
        ),
        ("DELETE", "/v1/runs".to_owned(), "405 Method Not Allowed"),
    ];
    for (method, path, expected) in cases {
        let (status, response) = request(&api, method.parse().unwrap(), &path).await;
        let detail = response["detail"].as_str().unwrap();
        assert_eq!(format!("{} {detail}", status.as_u16()), expected, "{path}");
    }
    let (status, response) = request(&api, Method::GET, "/v1/runs?reason=graph_error,bogus").await;
    let detail = response["detail"].as_str().unwrap();
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(detail.starts_with("reason: `bogus` is not one of backend_unreachable, "), "{detail}");
}

#[tokio::test(start_paused = true)]
async fn health_and_readiness_give_no_details() {
    let folder = tempfile::tempdir().unwrap();
    let api = api(folder.path()).await;
    assert_eq!(get(&api, "/healthz").await, json!({ "status": "ok" }));
    assert_eq!(get(&api, "/readyz").await, json!({ "ready": true, "reasons": [], "warnings": [] }));
    let detail = "crons.toml:1:1: key = s3cret\n  expected a table\ncrons.toml:2:1: unknown key".to_owned();
    let mistakes = NewNotice { detail, count: 2 };
    api.store.notice(api.clock.now(), NoticeKind::Configuration, Some(mistakes)).await.unwrap();
    let warned = get(&api, "/readyz").await;
    let warning =
        "the configuration has mistakes; what is understood is in force, and the rest is as it last was";
    assert_eq!(warned, json!({ "ready": true, "reasons": [], "warnings": [warning] }));
    let status = get(&api, "/v1/status").await;
    assert_eq!(status["configuration"], json!({ "state": "mistakes", "mistakes": 2 }));
}

#[tokio::test(start_paused = true)]
async fn the_document_describes_every_path_and_its_responses() {
    let folder = tempfile::tempdir().unwrap();
    let api = api(folder.path()).await;
    let document = get(&api, "/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.contains_key("/v1/runs/{run_id}/cancel") && paths.contains_key("/v1/crons"), "{paths:?}");
    let parameters = document["paths"]["/v1/runs"]["get"]["parameters"].as_array().unwrap();
    let reason = parameters.iter().find(|parameter| parameter["name"] == "reason").unwrap();
    let codes = reason["schema"]["items"]["enum"].as_array().unwrap();
    assert_eq!(codes.len(), ReasonCode::ALL.len());
    assert!(codes.contains(&json!("graph_error")) && reason["explode"] == false, "{reason}");
    for schema in ["Run", "Delivery", "RunDelivery"] {
        let code = &document["components"]["schemas"][schema]["properties"]["reason_code"];
        assert_eq!(code["type"], json!(["string", "null"]), "{schema}: {code}");
        assert!(code["enum"].as_array().unwrap().contains(&Value::Null), "{schema}: {code}");
    }
    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is referenced but not defined");
    }
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap() {
            let summary = operation["summary"].as_str();
            assert!(summary.is_some_and(|summary| !summary.is_empty()), "{method} {path} has no summary");
        }
    }
}
