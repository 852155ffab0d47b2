//! The daemon's HTTP API: `/v1`, by which the command line acts on it, and the agent server's own API for crons, on a
//! Unix socket that only its owner may use.

mod langgraph;
mod refusal;
mod socket;
mod v1;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use crate::backend::AgentClient;
use crate::clock::Clock;
use crate::domain::bounds::API_BODY_BYTES_MAX;
use crate::domain::url_policy::UrlPolicy;
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
    /// Who knows which assistants and threads there are.
    pub backend: AgentClient,
    /// Which URLs a client may name as webhooks.
    pub webhook_policy: UrlPolicy,
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
        .merge(v1::router())
        .merge(langgraph::router())
        .fallback(async || Refusal::NotFound("there is no such path".to_owned()))
        .layer(DefaultBodyLimit::max(API_BODY_BYTES_MAX))
        .with_state(api)
}
