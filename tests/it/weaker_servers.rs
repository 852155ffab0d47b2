//! Servers with fewer features, such as Aegra: no `Content-Location`, no metadata, no `join`, no `reject`, no delayed runs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::loopback_server::{LoopbackServer, serve_router};
use super::support::proxy::{Fault, ProxiedRequest, Proxy};
use super::support::receiver::Receiver;
use super::support::span::Span;

const PATIENCE: Duration = Duration::from_secs(60);
/// How long a run takes on the server.
const RUN_TAKES: Duration = Duration::from_millis(300);

#[derive(Clone)]
struct Run {
    run_id: String,
    thread_id: String,
    request: Value,
    ends_at: Instant,
}

#[derive(Clone, Default)]
struct WeakServer {
    runs: Arc<Mutex<Vec<Run>>>,
}

impl WeakServer {
    fn serve(&self) -> LoopbackServer {
        let router = Router::new()
            .route("/threads/{thread_id}", get(show_thread).delete(delete_thread))
            .route("/threads/{thread_id}/runs", get(list).post(create))
            .route("/threads/{thread_id}/runs/{run_id}", get(show).delete(delete_run))
            .with_state(self.clone());
        LoopbackServer::start(0, |listener| serve_router(listener, router))
    }

    /// Returns the `agentcron_run_id` of every run that was ever started there, except those without one.
    fn started(&self) -> Vec<String> {
        let runs = self.runs.lock().unwrap();
        let ours = runs.iter().filter_map(|run| run.request["metadata"]["agentcron_run_id"].as_str());
        ours.map(str::to_owned).collect()
    }
}

impl Run {
    /// Returns what the server reports about a run: its input, but no metadata.
    fn to_json(&self) -> Value {
        let has_ended = self.ends_at <= Instant::now();
        let input = &self.request["input"];
        let output = if has_ended { json!({"messages": []}) } else { Value::Null };
        let status = match (has_ended, input.is_null()) {
            (false, _) => "running",
            (true, true) => "error",
            (true, false) => "success",
        };
        json!({
            "run_id": self.run_id, "thread_id": self.thread_id, "assistant_id": "agent", "status": status,
            "user_id": "anonymous", "input": input, "output": output, "error_message": null,
        })
    }
}

async fn create(
    State(server): State<WeakServer>,
    Path(thread_id): Path<String>,
    Json(request): Json<Value>,
) -> Json<Value> {
    let run =
        Run { run_id: Uuid::new_v4().to_string(), thread_id, request, ends_at: Instant::now() + RUN_TAKES };
    let answer = run.to_json();
    server.runs.lock().unwrap().push(run);
    Json(answer)
}

async fn list(State(server): State<WeakServer>, Path(thread_id): Path<String>) -> Json<Value> {
    let runs = server.runs.lock().unwrap();
    Json(runs.iter().rev().filter(|run| run.thread_id == thread_id).map(Run::to_json).collect())
}

async fn show(
    State(server): State<WeakServer>,
    Path((_, run_id)): Path<(String, String)>,
) -> Result<Json<Value>, StatusCode> {
    let runs = server.runs.lock().unwrap();
    runs.iter().find(|run| run.run_id == run_id).map(|run| Json(run.to_json())).ok_or(StatusCode::NOT_FOUND)
}

async fn show_thread(Path(thread_id): Path<String>) -> Json<Value> {
    Json(json!({"thread_id": thread_id, "status": "idle", "metadata": {}}))
}

async fn delete_thread() -> StatusCode {
    StatusCode::OK
}

async fn delete_run() -> StatusCode {
    StatusCode::METHOD_NOT_ALLOWED
}

fn configuration(url: &str, cron: Cron) -> Configuration {
    // After an unclear start the daemon waits twice this long before it sends the request again.
    Configuration::new(url).backend("request_timeout = \"1s\"").cron(cron)
}

fn starts_our_run(request: &ProxiedRequest) -> bool {
    request.starts_run() && request.json()["metadata"].get("agentcron_run_id").is_some()
}

#[tokio::test]
async fn a_weaker_server_runs_and_its_ends_are_told() {
    let server = WeakServer::default();
    let serving = server.serve();
    let receiver = Receiver::start();
    let span = Span::soon(1, 3);
    let crons = [Cron::new("stateless", &span), Cron::new("thread", &span).with("thread = \"talk\"")];
    let crons = crons.map(|cron| cron.runs_every_occurrence().webhook(&receiver.url("/hook")));
    let url = format!("http://{}", serving.address());
    let daemon = Daemon::start(&Configuration::new(&url).crons(crons));
    let runs = daemon.wait_until_finished_within(PATIENCE, 6).await;
    assert!(runs.iter().all(|run| run.status == "success"), "{runs:#?}");
    let (mut started, mut on_record) =
        (server.started(), runs.iter().map(|run| run.run_id.clone()).collect::<Vec<_>>());
    started.sort();
    on_record.sort();
    assert_eq!(started, on_record);
    for request in receiver.wait_for(6).await {
        let body = request.json();
        assert!(body["metadata"]["agentcron_run_id"].is_string() && body["kwargs"].is_object(), "{body}");
    }
}

#[tokio::test]
async fn after_an_unclear_answer_a_weaker_server_is_given_time_and_not_asked_twice() {
    let server = WeakServer::default();
    let serving = server.serve();
    let proxy = Proxy::start(serving.address());
    let span = Span::soon(5, 4);
    // In turns, the request is lost and must be sent again, and the request arrives and must not be sent again.
    proxy.inject(1, starts_our_run, Fault::LoseRequest);
    let cron = Cron::new("stateless", &span).runs_every_occurrence();
    let mut daemon = Daemon::start(&configuration(&proxy.url(), cron));
    daemon.wait_until_finished_within(PATIENCE, 1).await;
    assert_once(&daemon, &server, 1);
    proxy.inject(1, starts_our_run, Fault::LoseReply);
    daemon.wait_until_finished_within(PATIENCE, 2).await;
    assert_once(&daemon, &server, 2);
    proxy.inject(1, starts_our_run, Fault::ForwardLater(Duration::from_millis(800)));
    daemon.wait_until_finished_within(PATIENCE, 3).await;
    assert_once(&daemon, &server, 3);
    // After a restart the daemon does not know yet what the server lacks.
    daemon.kill9();
    proxy.inject(1, starts_our_run, Fault::LoseReply);
    daemon.start_again();
    daemon.wait_until_finished_within(PATIENCE, 4).await;
    assert_once(&daemon, &server, 4);
}

#[tokio::test]
async fn on_a_thread_that_others_know_a_run_without_metadata_is_not_taken_for_ours() {
    let server = WeakServer::default();
    let serving = server.serve();
    let proxy = Proxy::start(serving.address());
    proxy.inject(1, starts_our_run, Fault::LoseReply);
    let cron = Cron::new("thread", &Span::once()).with("thread = \"talk\"").runs_every_occurrence();
    let daemon = Daemon::start(&configuration(&proxy.url(), cron));
    let runs = daemon.wait_until_finished_within(PATIENCE, 1).await;
    assert_eq!(runs[0].status, "success", "{runs:#?}");
    assert_eq!(server.started(), [runs[0].run_id.clone(), runs[0].run_id.clone()]);
    let timeline = format!("{:?}", daemon.events());
    assert!(timeline.contains("so none was taken for this one"), "{timeline}");
}

fn assert_once(daemon: &Daemon, server: &WeakServer, count: usize) {
    let runs = daemon.history();
    assert!(runs.iter().all(|run| run.status == "success"), "{runs:#?}\n{:#?}", daemon.events());
    let mut started = server.started();
    started.sort();
    started.dedup();
    assert_eq!(started.len(), server.started().len(), "started twice; {:#?}", daemon.events());
    assert_eq!(started.len(), count);
}
