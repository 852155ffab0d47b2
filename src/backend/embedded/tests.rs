//! Compares the embedded server's responses with those of the real one, and tests its behaviour over time.

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;

const THREAD: &str = "22222222-2222-4222-8222-222222222222";
const OTHER: &str = "55555555-5555-4555-8555-555555555555";

struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| events(&self.text))
    }
}

/// Parses the events of a stream into `[name, data]`, so that the order of keys within the data does not
/// matter.
fn events(text: &str) -> Value {
    let event = |event: &str| -> Value {
        event
            .split("\r\n")
            .filter_map(|line| line.split_once(": "))
            .map(|(_, text)| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)))
            .collect()
    };
    text.split_terminator("\r\n\r\n").map(event).collect()
}

fn server() -> EmbeddedServer {
    let (epoch, start) = (Timestamp::from_second(1_795_432_608).unwrap(), Instant::now());
    EmbeddedServer::new(move || epoch + start.elapsed())
}

async fn ask(server: &EmbeddedServer, method: &str, path: &str, body: Value) -> Answer {
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(path)
        .body(body)
        .unwrap();
    let response = server.router().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Answer { status: parts.status.as_u16(), headers: parts.headers, text }
}

async fn get(server: &EmbeddedServer, path: &str) -> Value {
    ask(server, "GET", path, Value::Null).await.json()
}

async fn start(server: &EmbeddedServer, thread: &str, mut body: Value, said: &str) -> String {
    body["assistant_id"] = json!("agent");
    body["if_not_exists"] = json!("create");
    body["input"] = json!({"messages": [{"role": "user", "content": said}]});
    let answer = ask(server, "POST", &format!("/threads/{thread}/runs"), body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["run_id"].as_str().unwrap().to_owned()
}

async fn status(server: &EmbeddedServer, thread: &str, run_id: &str) -> String {
    get(server, &format!("/threads/{thread}/runs/{run_id}")).await["status"]
        .as_str()
        .unwrap_or("absent")
        .to_owned()
}

/// Replaces the parts that differ from one session to the next: ids and times.
fn masked(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::from(masked_text(text)),
        Value::Array(items) => items.iter().map(masked).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| match name.as_str() {
                "__request_start_time_ms__" => (name.clone(), json!(value.is_u64())),
                _ => (masked_text(name), masked(value)),
            })
            .collect(),
        other => other.clone(),
    }
}

fn masked_text(text: &str) -> String {
    if text.len() == 32 && Uuid::try_parse(text).is_ok() {
        return "<interrupt>".to_owned();
    }
    if text.ends_with("+00:00") && text.parse::<Timestamp>().is_ok() {
        return "<time>".to_owned();
    }
    let mut masked = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_id = rest.get(..36).is_some_and(|start| Uuid::try_parse(start).is_ok());
        masked.push_str(if is_id { "<id>" } else { &rest[..first.len_utf8()] });
        rest = &rest[if is_id { 36 } else { first.len_utf8() }..];
    }
    masked
}

/// Sends a recorded request and expects the recorded response: status, headers and body, except for ids and
/// times.
async fn check(server: &EmbeddedServer, name: &str, run_id: Option<&str>) -> Value {
    let path = format!("{}/tests/fixtures/langgraph/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let sample: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let asked = sample["request"]["path"].as_str().unwrap();
    let asked = match (run_id, asked.split_once("/runs/")) {
        (Some(run_id), Some((thread, rest))) => format!("{thread}/runs/{run_id}{}", &rest[36..]),
        _ => asked.to_owned(),
    };
    let method = sample["request"]["method"].as_str().unwrap();
    let answer = ask(server, method, &asked, sample["request"]["body"].clone()).await;
    assert_eq!(json!(answer.status), sample["status"], "{name}: {}", answer.text);
    for (header, expected) in sample["headers"].as_object().unwrap() {
        let got = answer.headers.get(header).map(|value| masked_text(value.to_str().unwrap()));
        assert_eq!(got, Some(masked_text(expected.as_str().unwrap())), "{name}: {header}");
    }
    let expected = sample["body"].as_str().map_or_else(|| sample["body"].clone(), events);
    assert_eq!(masked(&answer.json()), masked(&expected), "{name}");
    answer.json()
}

#[tokio::test(start_paused = true)]
async fn a_recorded_session_is_reproduced_key_by_key() {
    let server = server();
    check(&server, "ok", None).await;
    check(&server, "run_create_unknown_thread", None).await;
    let run = check(&server, "run_create_thread", None).await;
    let run_id = run["run_id"].as_str();
    check(&server, "run_create_unknown_assistant", None).await;
    check(&server, "run_join", run_id).await;
    check(&server, "run_get", run_id).await;
    check(&server, "runs_list", None).await;
    check(&server, "thread_get", None).await;
    check(&server, "run_wait_thread", None).await;
    check(&server, "run_stream_thread", None).await;
    check(&server, "run_wait_error", None).await;
    // The recorded session had a second "boom" before the next request.
    start(&server, THREAD, json!({}), "boom").await;
    check(&server, "thread_get_error", None).await;
    check(&server, "run_wait_interrupted", None).await;
    check(&server, "thread_get_interrupted", None).await;
    start(&server, THREAD, json!({}), "sleep 5").await;
    check(&server, "run_create_reject_busy", None).await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_stream_ends_with_an_error_event() {
    let server = server();
    for said in ["hi", "hi", "hi", "boom"] {
        start(&server, THREAD, json!({}), said).await;
    }
    check(&server, "run_stream_error", None).await;
}

#[tokio::test(start_paused = true)]
async fn a_fence_occupies_its_thread_and_runs_nothing() {
    let server = server();
    let fence = json!({"multitask_strategy": "reject", "after_seconds": 315_360_000, "interrupt_before": "*",
        "metadata": {"agentcron_fence": "1"}});
    let run_id = start(&server, OTHER, fence.clone(), "x").await;
    let run = get(&server, &format!("/threads/{OTHER}/runs/{run_id}")).await;
    assert_eq!(run["status"], "pending");
    assert_eq!(run["created_at"], "2036-11-20T11:16:48.000000+00:00");
    for verb in ["", "/wait", "/stream"] {
        let body = json!({"assistant_id": "agent", "multitask_strategy": "reject"});
        assert_eq!(ask(&server, "POST", &format!("/threads/{OTHER}/runs{verb}"), body).await.status, 409);
    }
    // An ordinary run goes before the fence and has the fence's mark, which it inherits from the thread.
    let inner = start(&server, OTHER, json!({}), "hi").await;
    let runs = get(&server, &format!("/threads/{OTHER}/runs?select=run_id&select=metadata&limit=5")).await;
    assert_eq!(runs[0]["run_id"], run_id.as_str(), "the delayed run counts as the newest");
    assert_eq!(runs[1]["run_id"], inner.as_str());
    assert_eq!(runs[1]["metadata"]["agentcron_fence"], "1");
    let cancelled =
        ask(&server, "POST", &format!("/threads/{OTHER}/runs/{run_id}/cancel?wait=true"), Value::Null).await;
    assert_eq!((cancelled.status, cancelled.text.as_str()), (200, "{}"));
    assert_eq!(status(&server, OTHER, &run_id).await, "interrupted");
}

#[tokio::test(start_paused = true)]
async fn interrupt_before_stops_before_the_node_until_a_run_without_input() {
    let server = server();
    let run_id = start(&server, THREAD, json!({"interrupt_before": "*"}), "x").await;
    assert_eq!(status(&server, THREAD, &run_id).await, "success");
    let thread = get(&server, &format!("/threads/{THREAD}")).await;
    assert_eq!((&thread["status"], &thread["interrupts"]), (&json!("interrupted"), &json!({})));
    let history = format!("/threads/{THREAD}/history");
    let next = async || ask(&server, "POST", &history, json!({})).await.json()[0]["next"].clone();
    assert_eq!(next().await, json!(["echo"]));
    let path = format!("/threads/{THREAD}/runs/wait");
    let resumed = ask(&server, "POST", &path, json!({"assistant_id": "agent"})).await.json();
    assert_eq!(resumed["messages"][1]["content"], "echo: x");
    assert_eq!(next().await, json!([]));
}

#[tokio::test(start_paused = true)]
async fn runs_of_one_thread_go_one_after_another() {
    let server = server();
    let first = start(&server, THREAD, json!({}), "sleep 10").await;
    let second = start(&server, THREAD, json!({}), "second").await;
    let elsewhere = start(&server, OTHER, json!({}), "at once").await;
    assert_eq!(status(&server, THREAD, &first).await, "running");
    assert_eq!(status(&server, THREAD, &second).await, "pending");
    assert_eq!(status(&server, OTHER, &elsewhere).await, "success");
    let began = Instant::now();
    let joined = ask(&server, "GET", &format!("/threads/{THREAD}/runs/{second}/join"), Value::Null).await;
    assert_eq!(began.elapsed().as_secs(), 10);
    assert!(joined.text.starts_with('\n'), "kept alive while it waited: {:?}", joined.text);
    assert_eq!(joined.json()["messages"].as_array().unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_makes_room_and_its_follower_is_notified() {
    let server = server();
    let long = start(&server, THREAD, json!({}), "sleep 1000").await;
    let next = start(&server, THREAD, json!({}), "sleep 3").await;
    let began = Instant::now();
    let (long_path, next_path) =
        (format!("/threads/{THREAD}/runs/{long}"), format!("/threads/{THREAD}/runs/{next}"));
    let cancel = async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        ask(&server, "POST", &format!("{long_path}/cancel"), Value::Null).await.status
    };
    let (long_join, next_join) = (format!("{long_path}/join"), format!("{next_path}/join"));
    let (cancelled, ended, followed) =
        tokio::join!(cancel, get(&server, &long_join), get(&server, &next_join));
    assert_eq!(cancelled, 202);
    assert_eq!(ended["messages"][0]["content"], "sleep 1000");
    assert_eq!(followed["messages"][2]["content"], "echo: sleep 3");
    assert_eq!(began.elapsed().as_secs(), 4);
    assert_eq!(status(&server, THREAD, &long).await, "interrupted");
    assert_eq!(ask(&server, "POST", &format!("{long_path}/cancel"), Value::Null).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_run_makes_room() {
    let server = server();
    let long = start(&server, THREAD, json!({}), "sleep 1000").await;
    let next = start(&server, THREAD, json!({}), "next").await;
    let deleted = ask(&server, "DELETE", &format!("/threads/{THREAD}/runs/{long}"), Value::Null).await;
    assert_eq!(deleted.status, 204);
    assert_eq!(status(&server, THREAD, &next).await, "success");
}

#[tokio::test(start_paused = true)]
async fn disconnecting_does_not_cancel_the_run() {
    let server = server();
    let body = json!({"assistant_id": "agent", "if_not_exists": "create",
        "input": {"messages": [{"role": "user", "content": "sleep 10"}]}});
    let request =
        Request::post(format!("/threads/{THREAD}/runs/wait")).body(Body::from(body.to_string())).unwrap();
    let response = server.router().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200, "the headers come at once");
    drop(response);
    tokio::time::sleep(std::time::Duration::from_secs(11)).await;
    assert_eq!(server.ledger()[0].status, RunStatus::Success);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_run_is_reported_as_by_the_real_server() {
    let server = server();
    let run_id = start(&server, THREAD, json!({}), "sleep 10").await;
    let path = format!("/threads/{THREAD}/runs/{run_id}/join");
    let delete = format!("/threads/{THREAD}");
    let (joined, deleted) = tokio::join!(get(&server, &path), ask(&server, "DELETE", &delete, Value::Null));
    assert_eq!(deleted.status, 204);
    let not_found = json!({"__error__": {"error": "HTTPException", "message": "404: Run not found"}});
    assert_eq!(joined, not_found);
    assert_eq!(get(&server, &path).await, not_found);
    assert_eq!(get(&server, &delete).await["detail"], format!("Thread with ID {THREAD} not found"));
    assert_eq!(server.ledger().len(), 1, "the ledger remembers");
}

#[tokio::test(start_paused = true)]
async fn invalid_requests_are_refused_with_the_same_messages() {
    let server = server();
    start(&server, THREAD, json!({}), "hi").await;
    let runs = format!("/threads/{THREAD}/runs");
    let refused = async |method: &str, path: &str, body: Value, status: u16, detail: &str| {
        let answer = ask(&server, method, path, body).await;
        assert_eq!(
            (answer.status, answer.json()["detail"].as_str()),
            (status, Some(detail)),
            "{method} {path}"
        );
    };
    refused("GET", "/threads/nope", Value::Null, 422, "Invalid thread ID: must be a UUID").await;
    refused("GET", &format!("{runs}/nope"), Value::Null, 422, "Invalid run ID: must be a UUID").await;
    refused("GET", &format!("{runs}/{OTHER}"), Value::Null, 404, "Not Found").await;
    refused(
        "GET",
        &format!("{runs}?limit=abc"),
        Value::Null,
        400,
        "invalid literal for int() with base 10: 'abc'",
    )
    .await;
    refused("POST", &runs, Value::Null, 422, "Invalid JSON in request body").await;
    refused("POST", "/threads/nope/runs", json!({"assistant_id": "agent"}), 422, "Invalid thread ID").await;
    refused("POST", &runs, json!({"assistant_id": OTHER}), 404, "Thread or assistant not found.").await;
    refused("DELETE", &format!("{runs}/{OTHER}"), Value::Null, 404, "Run not found").await;
    refused("POST", &format!("{runs}/{OTHER}/cancel"), Value::Null, 404, "No runs found to cancel.").await;
    refused("GET", "/nothing", Value::Null, 404, "Not Found").await;
    refused("PUT", "/threads/search", json!({}), 405, "Method Not Allowed").await;
    let bogus = json!({"assistant_id": "agent", "after_seconds": "x"});
    let detail = "\"x\" is not of type \"number\"\n\nFailed validating \"type\" in schema[\"properties\"][\"after_seconds\"]\n\nOn instance[\"after_seconds\"]:\n    \"x\"";
    refused("POST", &runs, bogus, 422, detail).await;
}

#[tokio::test(start_paused = true)]
async fn a_bounded_server_forgets_the_oldest_runs_and_their_threads() {
    let server = EmbeddedServer::keeping(100, || Timestamp::UNIX_EPOCH);
    for n in 0..1_000_u32 {
        let thread = Uuid::new_v5(&Uuid::NAMESPACE_OID, &n.to_be_bytes());
        start(&server, &thread.to_string(), json!({"metadata": {"n": n}}), "hi").await;
    }
    let ledger = server.ledger();
    assert_eq!((ledger.len(), &ledger[99].metadata["n"]), (100, &json!(999)));
    let (_, state) = server.state();
    assert_eq!((state.runs.len(), state.threads.len()), (100, 100));
}
