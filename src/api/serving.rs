//! Connections: accepted, bounded in number and in patience, served over HTTP/1, and let go when the daemon stops.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::auth::Auth;
use super::langgraph::plain_path;
use super::timeouts::TimedConnection;
use crate::domain::bounds::{CLIENT_SILENCE, HTTP_HEAD_BYTES_MAX};

/// Where a request came from; none over the Unix socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) Option<IpAddr>);

/// What is served, and to whom.
#[derive(Clone)]
pub(super) struct Entrance {
    pub(super) auth: Auth,
    pub(super) router: Router,
    pub(super) connections_max: usize,
}

/// Serves whoever comes until told to stop, then finishes the requests in flight; how long that may take is for the
/// caller to say. Beyond `connections_max` people wait outside.
pub(super) async fn serve<L: Listener>(
    mut listener: L,
    entrance: Entrance,
    welcome: impl Fn(&L::Io, &L::Addr) -> Option<IpAddr>,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let has_place = connections.len() < entrance.connections_max;
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            (line, address) = listener.accept(), if has_place => {
                let peer = Peer(welcome(&line, &address));
                connections.spawn(serve_connection(TimedConnection::new(line), entrance.clone(), peer, stop.clone()));
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve_connection<S>(
    line: TimedConnection<S>,
    entrance: Entrance,
    peer: Peer,
    stop: CancellationToken,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request: Request<Incoming>| answer(&entrance, peer, request));
    let mut builder = http1::Builder::new();
    // From the end of one answer to the last byte of the next head.
    builder.timer(TokioTimer::new()).header_read_timeout(CLIENT_SILENCE).max_buf_size(HTTP_HEAD_BYTES_MAX);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(line), service));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection has ended badly");
    }
}

async fn answer(entrance: &Entrance, peer: Peer, request: Request<Incoming>) -> Result<Response, Infallible> {
    let (mut parts, body) = request.into_parts();
    let entered = match entrance.auth.judge(&parts.uri, &mut parts.headers) {
        Ok(entered) => entered,
        Err(refusal) => return Ok(refusal.into_response()),
    };
    if let Some(plain) = plain_path(&parts.uri) {
        parts.uri = plain;
    }
    parts.extensions.insert(entered);
    parts.extensions.insert(peer);
    let request = Request::from_parts(parts, Body::new(body));
    entrance.router.clone().oneshot(request).await
}
