//! A LangGraph-compatible agent server in memory, for `agentcron demo`, tests, simulation and benchmarks: nobody needs
//! Python to see agentcron work, and a simulation can call it in-process under tokio's paused time.
//!
//! It was written from the observed behaviour of the real server (`tests/fixtures/langgraph/`), statuses and texts
//! included. It has no sockets, threads or background tasks: see `world.rs`.

mod follow;
mod graph;
mod life;
mod request;
mod runs;
mod state;
#[cfg(test)]
mod tests;
mod threads;
mod wire;
mod world;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use uuid::Uuid;

pub use request::MultitaskStrategy;
pub use state::RunStatus;

use request::RequestError;
use state::Moment;
use world::World;

/// A request body over this is refused with 413; no test or demo comes near it.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A handle on one embedded server; clones share it.
#[derive(Clone)]
pub struct AgentServer {
    shared: Arc<Shared>,
}

struct Shared {
    now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    world: Mutex<World>,
}

/// One run that the server was asked for, whatever became of it and its thread.
#[derive(Clone, Debug)]
pub struct LedgerEntry {
    /// The server's id of the run.
    pub run_id: Uuid,
    /// The thread that it ran on.
    pub thread_id: Uuid,
    /// The assistant's id.
    pub assistant_id: Uuid,
    /// The assistant's graph: `agent` or `asker`.
    pub graph_id: &'static str,
    /// The run's metadata, with what it inherited from its thread.
    pub metadata: Map<String, Value>,
    /// What was to be done if the thread was busy.
    pub multitask_strategy: MultitaskStrategy,
    /// The delay asked for, in seconds; 0 if none.
    pub after_seconds: f64,
    /// When the request came, plus the delay.
    pub created_at: Timestamp,
    /// The last status that the run had.
    pub status: RunStatus,
    /// The input as it was sent; null if it was absent.
    pub input: Value,
}

impl AgentServer {
    /// A server that keeps every run, for tests. `now` gives the timestamps; durations are measured by tokio's clock.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self::keeping(usize::MAX, now)
    }

    /// A server that forgets the oldest ended runs beyond `runs_max`, and threads that are left without a run.
    pub fn keeping(runs_max: usize, now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let world = Mutex::new(World::new(now(), runs_max));
        Self { shared: Arc::new(Shared { now: Box::new(now), world }) }
    }

    /// The HTTP surface; may be called any number of times, all routers serve the same threads and runs.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/ok", get(async || Json(json!({"ok": true, "services": {}}))))
            .route("/info", get(async || Json(info())))
            .route("/threads", post(threads::create))
            .route("/threads/search", post(threads::search))
            .route("/threads/{thread_id}", get(threads::show).delete(threads::delete))
            .route("/threads/{thread_id}/state", get(threads::show_state))
            .route("/threads/{thread_id}/runs", post(runs::create).get(runs::list))
            .route("/threads/{thread_id}/runs/wait", post(follow::create_and_wait))
            .route("/threads/{thread_id}/runs/stream", post(follow::create_and_stream))
            .route("/threads/{thread_id}/runs/{run_id}", get(runs::show).delete(runs::delete))
            .route("/threads/{thread_id}/runs/{run_id}/join", get(follow::join))
            .route("/threads/{thread_id}/runs/{run_id}/cancel", post(runs::cancel))
            .route("/runs", post(runs::create_stateless))
            .route("/runs/wait", post(follow::create_stateless_and_wait))
            .route("/runs/stream", post(follow::create_stateless_and_stream))
            .fallback(async || RequestError::new(StatusCode::NOT_FOUND, "Not Found"))
            .method_not_allowed_fallback(async || {
                RequestError::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
            })
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .with_state(self.clone())
    }

    /// Every run ever accepted, in order, even if its thread was deleted since.
    pub fn ledger(&self) -> Vec<LedgerEntry> {
        let (_, world) = self.world();
        let entries = world.ledger.iter().map(|(accepted, status)| LedgerEntry {
            run_id: accepted.run_id,
            thread_id: accepted.thread_id,
            assistant_id: accepted.request.assistant.id(),
            graph_id: accepted.request.assistant.graph_id(),
            metadata: accepted.metadata.clone(),
            multitask_strategy: accepted.request.strategy,
            after_seconds: accepted.request.after_seconds.as_f64().unwrap_or_default(),
            created_at: accepted.created_at,
            status: *status,
            input: accepted.request.input.clone(),
        });
        entries.collect()
    }

    /// The world, brought up to the present. Never held over an await.
    fn world(&self) -> (Moment, MutexGuard<'_, World>) {
        let mut world = self.shared.world.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Moment { instant: Instant::now(), wall: (self.shared.now)() };
        world.advance(now);
        (now, world)
    }
}

fn info() -> Value {
    json!({
        "version": wire::API_VERSION,
        "langgraph_py_version": wire::GRAPH_VERSION,
        // No crons and no webhooks: those are what agentcron is for.
        "flags": {
            "assistants": true, "crons": false, "langsmith": false,
            "langsmith_tracing_replicas": true, "langsmith_tracing_session_on_runs": true,
        },
        "host": {"kind": "self-hosted", "project_id": null, "host_revision_id": null, "revision_id": null, "tenant_id": null},
    })
}

fn parse_id(text: &str, what: &str) -> Result<Uuid, RequestError> {
    Uuid::try_parse(text).map_err(|_| RequestError::invalid(format!("Invalid {what} ID: must be a UUID")))
}
