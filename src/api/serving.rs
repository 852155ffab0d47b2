//! Connections: accepted up to a limit, timed out when the client stalls, served over HTTP/1, and drained when the
//! daemon stops.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::{Instrument, Span};

use super::admission::{Admission, Verdict, intent_of};
use super::error_response::ErrorResponse;
use super::paths::plain_path;
use super::timeouts::TimedConnection;
use crate::domain::access::{Caller, Intent};
use crate::domain::bounds::{CLIENT_SILENCE, HTTP_HEAD_BYTES_MAX};

/// The address that a request came from; `None` over the Unix socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) Option<IpAddr>);

/// What one listener serves, and who may use it.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) admission: Admission,
    pub(super) router: Router,
    pub(super) connections_max: usize,
}

/// Serves connections until `stop` is cancelled, then finishes the requests in flight; the caller limits how long that
/// may take. Beyond `connections_max`, further connections wait in the accept queue.
pub(super) async fn serve<L: Listener>(
    mut listener: L,
    endpoint: Endpoint,
    on_accept: impl Fn(&L::Io, &L::Addr) -> Option<IpAddr>,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let has_capacity = connections.len() < endpoint.connections_max;
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            (stream, address) = listener.accept(), if has_capacity => {
                let peer = Peer(on_accept(&stream, &address));
                let connection = TimedConnection::new(stream);
                connections.spawn(serve_connection(connection, endpoint.clone(), peer, stop.clone()));
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve_connection<S>(
    connection: TimedConnection<S>,
    endpoint: Endpoint,
    peer: Peer,
    stop: CancellationToken,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request: Request<Incoming>| respond(&endpoint, peer, request));
    let mut builder = http1::Builder::new();
    // The timeout runs from the end of one response to the last byte of the next request's head.
    builder.timer(TokioTimer::new()).header_read_timeout(CLIENT_SILENCE).max_buf_size(HTTP_HEAD_BYTES_MAX);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(connection), service));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "connection failed");
    }
}

async fn respond(
    endpoint: &Endpoint,
    peer: Peer,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let (mut parts, body) = request.into_parts();
    let path = plain_path(&parts.uri);
    if let Ok(Some(plain)) = &path {
        parts.uri = plain.clone();
    }
    let (verdict, cors) = endpoint.admission.judge(&mut parts);
    let verdict = match (path, verdict) {
        (Err(error), Ok(Verdict::Admitted(_))) => Err(ErrorResponse::BadRequest(error.to_string())),
        (_, verdict) => verdict,
    };
    let caller = match verdict {
        Ok(Verdict::Admitted(caller)) => caller,
        Ok(Verdict::Answered(response)) => return Ok(response),
        Err(error) => {
            let mut response = error.into_response();
            cors.apply(&mut response);
            return Ok(response);
        }
    };
    let acting = acting_span(&caller, &parts);
    parts.extensions.insert(caller);
    parts.extensions.insert(peer);
    let request = Request::from_parts(parts, Body::new(body));
    let Ok(mut response) = endpoint.router.clone().oneshot(request).instrument(acting).await;
    cors.apply(&mut response);
    Ok(response)
}

/// Returns the span by which the log says who changed something.
fn acting_span(caller: &Caller, parts: &Parts) -> Span {
    match intent_of(&parts.method) {
        Intent::See => Span::none(),
        Intent::Act => tracing::info_span!("request", by = caller.name()),
    }
}
