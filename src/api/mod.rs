//! The daemon's HTTP API: `/v1`, by which the command line acts on it, metrics and health, on a Unix socket that only
//! its owner may use.

mod asked;
mod health;
mod metrics;
mod openapi;
mod refusal;
mod socket;
mod v1;
pub mod wire;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

use crate::clock::Clock;
use crate::domain::bounds::API_BODY_BYTES_MAX;
use crate::engine::{Signs, Wakes};
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
    /// How the loops are.
    pub signs: Signs,
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
    let documented = OpenApiRouter::with_openapi(openapi::document())
        .merge(v1::router())
        .merge(metrics::router(api.clock.now()))
        .merge(health::router());
    let (ours, document) = documented.split_for_parts();
    ours.merge(openapi::router(document))
        .fallback(async || Refusal::NotFound("there is no such path".to_owned()))
        .method_not_allowed_fallback(async || {
            Refusal::NotAllowed("this path takes another method; `Allow` says which".to_owned())
        })
        .layer(DefaultBodyLimit::max(API_BODY_BYTES_MAX))
        .with_state(api)
}
