//! The stub as an ordinary server: axum on all cores. It costs several times what the one on bare sockets does, which
//! leaves less to the contestants, as a real agent server would.

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_LOCATION, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::{delete, get, post};

use super::arrivals::{Shared, VALUES, run_json};
use super::stub::listen;

const JSON: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];

/// Serves until it is killed. The first line on stdout is the port.
pub(super) fn serve() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = axum::serve::ListenerExt::tap_io(listen()?, nodelay);
        Ok(axum::serve(listener, router(Shared::default())).await?)
    })
}

fn nodelay(stream: &mut tokio::net::TcpStream) {
    // Without it answers are late, which is seen.
    let _ = stream.set_nodelay(true);
}

fn router(shared: Shared) -> Router {
    let measured = Router::new()
        .route("/threads/{thread}/runs", post(start))
        .route("/threads/{thread}/runs/{run}/join", get(async || (JSON, VALUES)))
        .route("/threads/{thread}/runs/{run}", get(run))
        .route("/hooks/{cron}", post(webhook))
        .fallback(async || StatusCode::NOT_FOUND)
        .layer(from_fn_with_state(shared.clone(), count));
    Router::new()
        .route("/arrivals", get(async |State(shared): State<Shared>| shared.lines()))
        .route("/arrivals", delete(async |State(shared): State<Shared>| shared.forget()))
        .route("/arrivals/counts", get(async |State(shared): State<Shared>| shared.counts()))
        .merge(measured)
        .with_state(shared)
}

async fn count(State(shared): State<Shared>, request: Request, next: Next) -> impl IntoResponse {
    shared.requested();
    next.run(request).await
}

async fn start(State(shared): State<Shared>, Path(thread): Path<String>, body: Bytes) -> impl IntoResponse {
    let run = shared.started(&body);
    let location = [(CONTENT_LOCATION, format!("/threads/{thread}/runs/{run}"))];
    (location, JSON, run_json(&run, &thread, "pending"))
}

async fn run(Path((thread, run)): Path<(String, String)>) -> impl IntoResponse {
    (JSON, run_json(&run, &thread, "success"))
}

async fn webhook(State(shared): State<Shared>, Path(cron): Path<String>, _body: Bytes) -> StatusCode {
    shared.told(&cron);
    StatusCode::NO_CONTENT
}
