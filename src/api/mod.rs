//! The daemon's HTTP API: `/v1`, by which the command line acts on it, on a Unix socket that only its owner may use.

mod refusal;
mod socket;
mod v1;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::bounds::API_BODY_BYTES_MAX;
use crate::engine::Wakes;
use crate::store::{Store, StoreError};
use crate::webhook::InForce;

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
    /// Which settings of webhooks are in force: whether they are sent at all, and which URLs may be told.
    pub webhooks: InForce,
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
        .fallback(async || Refusal::NotFound("there is no such path".to_owned()))
        .layer(DefaultBodyLimit::max(API_BODY_BYTES_MAX))
        .with_state(api)
}
