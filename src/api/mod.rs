//! The daemon's HTTP server: `/v1`, by which the command line acts on it, metrics and health, and the agent server's own
//! API in front of that server; on a Unix socket that only its owner may use, and by TCP.

mod auth;
mod error_response;
mod extract;
mod health;
mod langgraph;
mod metrics;
mod openapi;
mod serving;
mod socket;
mod timeouts;
mod v1;
pub mod wire;

use std::net::SocketAddr;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::any;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

use crate::backend::AgentClient;
use crate::clock::Clock;
use crate::config::Secret;
use crate::domain::bounds::{API_BODY_BYTES_MAX, HTTP_CONNECTIONS_MAX, SOCKET_CONNECTIONS_MAX};
use crate::engine::{Health, Wakes};
use crate::store::{Store, StoreError};
use crate::webhook::LiveSettings;

pub use langgraph::{AgentServer, Gateway};
pub use socket::{Socket, SocketError};

use auth::Auth;
use error_response::ErrorResponse;
use serving::Entrance;

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
    pub health: Health,
    /// Who knows which assistants and threads there are.
    pub backend: AgentClient,
    /// Which settings of webhooks are in force: whether they are sent at all, and which URLs a client may name.
    pub webhooks: LiveSettings,
}

/// Where requests come in; a way that could not be opened is missing.
pub struct Listeners {
    /// The Unix socket.
    pub socket: Option<Socket>,
    /// TCP.
    pub network: Option<TcpListener>,
    /// Keys of which one is needed by TCP; without any, programs of this machine need none.
    pub api_keys: Vec<Secret>,
}

/// Answers requests until told to stop, then finishes those in flight.
pub async fn serve(
    listeners: Listeners,
    gateway: Gateway,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    let Listeners { socket, network, api_keys } = listeners;
    let router = router(gateway.api.clone()).fallback_service(langgraph::router(gateway.clone()));
    let by_socket = async {
        let Some(socket) = socket else { return };
        let auth = Auth::socket(&api_keys);
        let entrance = Entrance { auth, router: router.clone(), connections_max: SOCKET_CONNECTIONS_MAX };
        serving::serve(socket.listener, entrance, |_, _| None, stop.clone()).await;
        socket.file.remove();
    };
    let by_network = async {
        let Some(listener) = network else { return };
        let auth = Auth::network(&api_keys);
        let entrance = Entrance { auth, router: router.clone(), connections_max: HTTP_CONNECTIONS_MAX };
        let welcome = |line: &TcpStream, address: &SocketAddr| {
            // A delayed segment is a nuisance, a refused option is none.
            let _ = line.set_nodelay(true);
            Some(address.ip())
        };
        serving::serve(listener, entrance, welcome, stop.clone()).await;
    };
    tokio::join!(by_socket, by_network);
    gateway.drain().await;
    stop.cancelled().await;
    Ok(())
}

fn router(api: Api) -> Router {
    let documented = OpenApiRouter::with_openapi(openapi::document())
        .merge(v1::router())
        .merge(metrics::router(api.clock.now()))
        .merge(health::router());
    let (ours, document) = documented.split_for_parts();
    ours.merge(openapi::router(document))
        .route("/v1/{*rest}", any(async || ErrorResponse::NotFound("there is no such path".to_owned())))
        .method_not_allowed_fallback(async || ErrorResponse::NotAllowed)
        .layer(DefaultBodyLimit::max(API_BODY_BYTES_MAX))
        .merge(langgraph::crons())
        .with_state(api)
}
