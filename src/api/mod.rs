//! The daemon's own HTTP API, by which the command line acts on it: `/v1`, on a Unix socket that only its owner may
//! use. JSON in and out; what is refused says why in `detail`.

mod crons;
mod refusal;
mod runs;
mod socket;

use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::bounds::API_BODY_BYTES_MAX;
use crate::engine::Wakes;
use crate::store::{Store, StoreError};

pub use socket::{Socket, SocketError};

use refusal::Refusal;

/// What the API acts on.
#[derive(Clone)]
pub struct Api {
    /// Where everything is kept.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Who is to look after something was changed.
    pub wakes: Wakes,
}

/// Answers requests until told to stop, then finishes those in flight.
pub async fn serve(socket: Socket, api: Api, stop: CancellationToken) -> Result<(), StoreError> {
    let listener: UnixListener = socket.listener;
    let served = axum::serve(listener, router(api)).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the socket cannot be served any more");
    }
    socket.place.remove();
    Ok(())
}

fn router(api: Api) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/crons/{name}/trigger", post(crons::trigger))
        .route("/v1/crons/{name}/pause", post(crons::pause))
        .route("/v1/crons/{name}/resume", post(crons::resume))
        .route("/v1/crons/{name}/skip-next", post(crons::skip_next))
        .route("/v1/crons/{name}/backfill", post(crons::backfill))
        .route("/v1/runs/{run_id}/cancel", post(runs::cancel))
        .fallback(async || Refusal::NotFound("there is no such path".to_owned()))
        .layer(DefaultBodyLimit::max(API_BODY_BYTES_MAX))
        .with_state(api)
}

async fn status(State(api): State<Api>) -> Result<Json<Value>, Refusal> {
    let names = api.store.cron_names().await?;
    Ok(Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "now": api.clock.now().to_string(),
        "crons": names.len(),
        "trouble": api.store.trouble(),
    })))
}

#[cfg(test)]
mod tests;
