//! The daemon's HTTP server, on a Unix socket that only its owner may open, and on TCP.
//!
//! It serves `/v1` (our own API, which the commands use as well), metrics, health, and the agent server's own API in
//! front of that server.

mod admission;
mod error_response;
mod extract;
mod feeds;
mod health;
mod langgraph;
mod metrics;
mod openapi;
mod page;
mod page_paths;
mod parsing;
mod paths;
mod peer;
mod places;
mod serving;
mod sessions;
mod socket;
mod timeouts;
mod v1;
mod viewer;
mod watched_body;
pub mod wire;

use std::net::SocketAddr;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::any;
use jiff::{SignedDuration, Timestamp};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa_axum::router::OpenApiRouter;

use crate::backend::AgentClient;
use crate::clock::Clock;
use crate::config::Live;
use crate::domain::bounds::{
    API_BODY_BYTES_MAX, HTTP_CONNECTIONS_MAX, HTTP_STRANGERS_MAX, SOCKET_CONNECTIONS_MAX,
};
use crate::domain::outage::{self, Outage};
use crate::engine::{Health, Wakes};
use crate::store::{Store, StoreError};
use crate::webhook::LiveSettings;

pub use admission::AccessRules;
pub use feeds::Feeds;
pub use langgraph::{AgentServer, Gateway, HeldBodies};
pub use page::Kept;
pub use sessions::Sessions;
pub use socket::{Socket, SocketError};

use admission::Admission;
use error_response::ErrorResponse;
use peer::Peer;
use places::PlaceLimits;
use serving::Endpoint;

/// What the handlers read and act on.
#[derive(Clone)]
pub struct Api {
    pub store: Store,
    pub clock: Clock,
    /// The loops to wake after a change.
    pub wakes: Wakes,
    /// How the loops are doing.
    pub health: Health,
    /// Knows which assistants and threads exist.
    pub backend: AgentClient,
    /// The webhook settings in force: whether webhooks are sent at all, and which URLs a client may name.
    pub webhooks: LiveSettings,
    /// Who may call.
    pub access: Live<AccessRules>,
    /// What must be finished, whether or not the client stays.
    pub to_finish: TaskTracker,
    /// Those who follow what changes.
    pub feeds: Feeds,
    /// Who is logged in to the web page.
    pub sessions: Sessions,
    /// What its pages share.
    pub kept: Kept,
    /// The bodies of requests in memory.
    pub held_bodies: HeldBodies,
}

impl Api {
    /// Returns the outages that last, also if they cannot be stored.
    fn lasting_outages(&self) -> Vec<Outage> {
        let what = self.store.place().away();
        let store = self.store.trouble().map(|(since, why)| Outage::new(what, since, None, why));
        let own = |outage| Outage { seen_by: self.store.daemon_name(), ..outage };
        self.health.outages.lasting().into_iter().chain(store).map(own).collect()
    }

    /// Returns the loops that are stuck, each with since when.
    fn stuck_loops(&self) -> Vec<(&'static str, Timestamp)> {
        let since =
            |elapsed| self.clock.now().saturating_sub(SignedDuration::try_from(elapsed).unwrap_or_default());
        let stuck = self.health.pulses.stuck();
        stuck.iter().map(|stuck| (stuck.name, since(stuck.since.elapsed()).unwrap_or_default())).collect()
    }

    /// Returns the outages that had not ended before `since`, the latest first.
    async fn outages_since(&self, since: Timestamp) -> Result<Vec<Outage>, StoreError> {
        let lasting = self.lasting_outages();
        let mut outages = self.store.read(move |reader| reader.outages(since)).await?;
        outage::merge(&mut outages, lasting);
        Ok(outages)
    }
}

/// The sockets that requests come in on; one that could not be opened is `None`.
pub struct Listeners {
    pub socket: Option<Socket>,
    pub network: Option<TcpListener>,
}

/// Serves requests until `stop` is cancelled, then finishes those in flight.
pub async fn serve(
    listeners: Listeners,
    gateway: Gateway,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    let Listeners { socket, network } = listeners;
    let rules = &gateway.api.access;
    let (pulses, sessions) = (&gateway.api.health.pulses, &gateway.api.sessions);
    let router = router(gateway.api.clone()).fallback_service(langgraph::router(gateway.clone()));
    let on_socket = async {
        let Some(socket) = socket else { return };
        let admission = Admission::unix_socket(rules.clone());
        let limits = PlaceLimits { strangers: SOCKET_CONNECTIONS_MAX, known: SOCKET_CONNECTIONS_MAX };
        let endpoint = Endpoint { admission, router: router.clone(), limits, sessions: sessions.clone() };
        let on_accept = |stream: &UnixStream, _: &_| {
            let uid = stream.peer_cred().ok().map(|credentials| credentials.uid());
            Peer { address: None, uid }
        };
        serving::serve(socket.listener, endpoint, on_accept, pulses.of_loop("http server"), stop.clone())
            .await;
        socket.file.remove();
    };
    let on_network = async {
        let Some(listener) = network else { return };
        let admission = Admission::tcp(rules.clone());
        let limits = PlaceLimits { strangers: HTTP_STRANGERS_MAX, known: HTTP_CONNECTIONS_MAX };
        let endpoint = Endpoint { admission, router: router.clone(), limits, sessions: sessions.clone() };
        let on_accept = |stream: &TcpStream, address: &SocketAddr| {
            // A failure here means delayed segments, which is no reason to refuse the connection.
            let _ = stream.set_nodelay(true);
            Peer { address: Some(address.ip()), uid: None }
        };
        serving::serve(listener, endpoint, on_accept, pulses.of_loop("http server"), stop.clone()).await;
    };
    tokio::join!(on_socket, on_network);
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
        .route("/v1", any(async || ErrorResponse::not_found("there is no such path")))
        .route("/v1/", any(async || ErrorResponse::not_found("there is no such path")))
        .route("/v1/{*rest}", any(async || ErrorResponse::not_found("there is no such path")))
        .method_not_allowed_fallback(async || ErrorResponse::not_allowed("Method Not Allowed"))
        .merge(page::router())
        .layer(DefaultBodyLimit::max(API_BODY_BYTES_MAX))
        .merge(langgraph::crons())
        .with_state(api)
}
