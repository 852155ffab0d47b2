//! Crons over HTTP, without a socket: the same responses as the server's, and the errors that only we return.

mod odd;
mod samples;
mod searching;

use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use axum::routing::{get, post};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::api::{AccessRules, Api};
use crate::backend::AgentClient;
use crate::clock::Clock;
use crate::config::{self, Config, Credentials, Environment};
use crate::domain::access::Caller;
use crate::engine::Wakes;
use crate::store::{Execution, Store};
use crate::transport::Transport;
use crate::webhook::WebhookSettings;

/// The id of the assistant that the server creates for the graph `agent`.
const AGENT: &str = "fe096781-5601-53d2-b2f6-0d3403f7e9ca";
/// The one thread that the agent server has.
const THREAD: &str = "22222222-2222-4222-8222-222222222222";

/// An API over a store of its own.
struct World {
    api: Api,
    folder: TempDir,
}

#[derive(Debug)]
struct TestResponse {
    status: u16,
    headers: axum::http::HeaderMap,
    body: Value,
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let api = api(folder.path(), agent_server());
        Self { api, folder }
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> TestResponse {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        self.send_raw(method, path, text).await
    }

    async fn send_raw(&self, method: &str, path: &str, body: impl Into<Body>) -> TestResponse {
        self.send_as(Caller::Local, method, path, body).await
    }

    async fn send_as(&self, caller: Caller, method: &str, path: &str, body: impl Into<Body>) -> TestResponse {
        let request = Request::builder().method(Method::try_from(method).unwrap()).uri(path);
        let request = request.extension(caller).body(body.into()).unwrap();
        let response = crate::api::router(self.api.clone()).oneshot(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body = if bytes.is_empty() { json!("") } else { serde_json::from_slice(&bytes).unwrap() };
        TestResponse { status, headers, body }
    }

    /// Creates a cron; `more` adds to its request.
    async fn create(&self, more: Value) -> Value {
        let mut body = json!({ "assistant_id": "agent", "schedule": "0 9 * * *" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let response = self.send("POST", "/runs/crons", &body).await;
        assert_eq!(response.status, 200, "{response:?}");
        response.body
    }

    /// Returns the first column of every row.
    fn rows(&self, sql: &str) -> Vec<String> {
        let connection = rusqlite::Connection::open(self.folder.path().join("agentcron.db")).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }
}

impl TestResponse {
    fn status_and_body(&self) -> String {
        format!("{} {}", self.status, self.body)
    }
}

fn configuration(folder: &Path, text: &str) -> Config {
    let file = folder.join("agentcron.toml");
    std::fs::write(&file, text).unwrap();
    config::load(&file, &Environment::of_map([])).unwrap()
}

fn api(folder: &Path, backend: Transport) -> Api {
    let config = configuration(folder, "[webhooks.url]\ndisable_loopback = false\n");
    let store = Store::open(
        &folder.join("agentcron.db"),
        Execution::Inline,
        crate::domain::ids::InstallationId::default(),
        crate::clock::Clock::system(),
    )
    .unwrap();
    let clock = Clock::simulated(at("2026-11-23T11:17:17.562Z"));
    let access = config::live(AccessRules::of_config(&config.http)).1;
    let sessions = crate::api::Sessions::new(store.clone(), clock.clone(), access.clone(), None);
    Api {
        health: crate::engine::Health::default(),
        store,
        clock,
        wakes: Wakes::default(),
        backend: AgentClient::new(
            backend,
            "http://backend".parse().unwrap(),
            Credentials::default(),
            Duration::from_secs(5),
        ),
        webhooks: config::live(WebhookSettings::of_config(&config)).1,
        access,
        to_finish: Default::default(),
        feeds: crate::api::Feeds::until(Default::default()),
        sessions,
        kept: crate::api::Kept::default(),
        held_bodies: Default::default(),
    }
}

/// An agent server with one assistant, that of its graph, and one thread.
fn agent_server() -> Transport {
    let one = |existing: &'static str, missing: &'static str| {
        get(async move |axum::extract::Path(id): axum::extract::Path<String>| match id == existing {
            true => (StatusCode::OK, axum::Json(json!({ "assistant_id": existing, "status": "idle" }))),
            false => (StatusCode::NOT_FOUND, axum::Json(json!({ "detail": missing }))),
        })
    };
    let search = post(async || (StatusCode::NOT_FOUND, axum::Json(json!({ "detail": "Graph not found." }))));
    let router = Router::new()
        .route("/assistants/{id}", one(AGENT, "Not Found"))
        .route("/assistants/search", search)
        .route("/threads/{id}", one(THREAD, "Thread not found"));
    Transport::router(router)
}
