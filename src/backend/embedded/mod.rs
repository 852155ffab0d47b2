//! A LangGraph-compatible agent server in memory, for `agentcron demo`, tests, simulation and benchmarks. It
//! lets people see agentcron work without Python, and the simulation call it in this process under tokio's
//! paused time.
//!
//! It was written from the observed behaviour of the real server (`tests/fixtures/langgraph/`), including
//! statuses and texts, and has as much of it as those need. It has no sockets, threads or background tasks: see
//! `state.rs`.

mod assistant;
mod follow;
mod graph;
mod life;
mod records;
mod request;
mod runs;
mod state;
#[cfg(test)]
mod tests;
mod threads;
mod wire;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use uuid::Uuid;

pub use records::RunStatus;

use records::Present;
use request::RequestError;
use state::ServerState;

/// Larger request bodies are refused with 413. No test or demo comes near this size.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A handle on one embedded server. Clones share the server.
#[derive(Clone)]
pub struct EmbeddedServer {
    shared: Arc<Shared>,
}

struct Shared {
    now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    state: Mutex<ServerState>,
}

/// One run that the server accepted, even if the run or its thread was deleted since.
#[derive(Clone, Debug)]
pub struct LedgerEntry {
    pub run_id: Uuid,
    pub thread_id: Uuid,
    /// The run's metadata, including what it inherited from its thread.
    pub metadata: Map<String, Value>,
    /// The requested delay in seconds; 0 if there was none.
    pub after_seconds: f64,
    /// When the request came, plus the delay.
    pub created_at: Timestamp,
    /// The last status of the run.
    pub status: RunStatus,
    /// When it got that status.
    pub updated_at: Timestamp,
    /// The input as it was sent; null if it was absent.
    pub input: Value,
}

impl EmbeddedServer {
    /// Returns a server that keeps every run, for tests. `now` gives the timestamps; tokio's clock measures
    /// durations.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self::keeping(usize::MAX, now)
    }

    /// Returns a server that forgets the oldest ended runs beyond `runs_max`, and the threads that have no
    /// run left.
    pub fn keeping(runs_max: usize, now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let state = Mutex::new(ServerState::new(now(), runs_max));
        Self { shared: Arc::new(Shared { now: Box::new(now), state }) }
    }

    /// Returns a router for the HTTP API. All routers of a server serve the same threads and runs.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/ok", get(async || Json(json!({"ok": true, "services": {}}))))
            .route("/threads/search", post(threads::search))
            .route("/threads/{thread_id}", get(threads::show).delete(threads::delete))
            .route("/threads/{thread_id}/history", post(threads::show_history))
            .route("/threads/{thread_id}/runs", post(runs::create).get(runs::list))
            .route("/threads/{thread_id}/runs/wait", post(follow::create_and_wait))
            .route("/threads/{thread_id}/runs/stream", post(follow::create_and_stream))
            .route("/threads/{thread_id}/runs/{run_id}", get(runs::show).delete(runs::delete))
            .route("/threads/{thread_id}/runs/{run_id}/join", get(follow::join))
            .route("/threads/{thread_id}/runs/{run_id}/cancel", post(runs::cancel))
            .fallback(async || RequestError::new(StatusCode::NOT_FOUND, "Not Found"))
            .method_not_allowed_fallback(async || {
                RequestError::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
            })
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .with_state(self.clone())
    }

    /// Returns every accepted run in order, even if its thread was deleted since.
    pub fn ledger(&self) -> Vec<LedgerEntry> {
        let (_, state) = self.state();
        let entries = state.ledger.iter().map(|(accepted, status, updated_at)| LedgerEntry {
            run_id: accepted.run_id,
            thread_id: accepted.thread_id,
            metadata: accepted.metadata.clone(),
            after_seconds: accepted.request.after_seconds.as_f64().unwrap_or_default(),
            created_at: accepted.created_at,
            status: *status,
            updated_at: *updated_at,
            input: accepted.request.input.clone(),
        });
        entries.collect()
    }

    /// Locks the state and brings it up to the present. The lock is never held over an await.
    fn state(&self) -> (Present, MutexGuard<'_, ServerState>) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Present { instant: Instant::now(), wall: (self.shared.now)() };
        state.advance(now);
        (now, state)
    }
}

fn parse_id(text: &str, kind: &str) -> Result<Uuid, RequestError> {
    Uuid::try_parse(text).map_err(|_| RequestError::invalid(format!("Invalid {kind} ID: must be a UUID")))
}
