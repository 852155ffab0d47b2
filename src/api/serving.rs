//! Connections: always accepted, dropped for others if their client shows nothing, timed out when it stalls, served over
//! HTTP/1, and drained when the daemon stops.

use std::convert::Infallible;
use std::pin::pin;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONNECTION;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::{Instrument, Span};

use super::admission::{Admission, Known, Verdict, intent_of};
use super::error_response::ErrorResponse;
use super::page;
use super::page_paths::is_of_page;
use super::paths::plain_path;
use super::peer::Peer;
use super::places::{Place, PlaceHandle, PlaceLimits, Places, RequestInProgress};
use super::sessions::Sessions;
use super::timeouts::{TimedConnection, bound_body};
use super::watched_body::body_that_keeps;
use crate::domain::access::{Caller, Intent};
use crate::domain::bounds::{CLIENT_SILENCE, HTTP_HEAD_BYTES_MAX, LOGIN_BYTES_MAX, STRANGER_WAIT};
use crate::pulse::Pulse;

/// What one listener serves, and who may use it.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) admission: Admission,
    pub(super) router: Router,
    pub(super) limits: PlaceLimits,
    pub(super) sessions: Sessions,
}

/// Serves connections until `stop` is cancelled, then finishes the requests that have arrived as a whole; the caller limits
/// how long that may take.
pub(super) async fn serve<L: Listener>(
    mut listener: L,
    endpoint: Endpoint,
    on_accept: impl Fn(&L::Io, &L::Addr) -> Peer,
    pulse: Pulse,
    stop: CancellationToken,
) {
    let places = Places::new(endpoint.limits);
    let mut connections = JoinSet::new();
    loop {
        // One more than there are places: a connection that lost its place may take a moment to end.
        let has_capacity = connections.len() <= endpoint.limits.total();
        pulse.idle();
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            (stream, address) = listener.accept(), if has_capacity => {
                pulse.busy();
                let peer = on_accept(&stream, &address);
                let place = places.enter(peer.address);
                connections.spawn(serve_connection(stream, endpoint.clone(), peer, place, stop.clone()));
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve_connection<S>(stream: S, endpoint: Endpoint, peer: Peer, place: Place, stop: CancellationToken)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let handle = place.handle();
    let service = service_fn(|request: Request<Incoming>| respond(&endpoint, peer, &handle, request));
    let mut builder = http1::Builder::new();
    // The timeout runs from the end of one response to the last byte of the next request's head.
    builder.timer(TokioTimer::new()).header_read_timeout(CLIENT_SILENCE).max_buf_size(HTTP_HEAD_BYTES_MAX);
    let io = TokioIo::new(TimedConnection::new(stream, place.handle()));
    let mut connection = pin!(builder.serve_connection(io, service));
    let served = tokio::select! {
        biased;
        served = connection.as_mut() => served,
        () = place.evicted() => return,
        () = no_request_in_time(&place) => return,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            if !place.has_whole_request() {
                return;
            }
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "connection failed");
    }
}

/// Returns once it has taken too long until a first request was accepted.
async fn no_request_in_time(place: &Place) {
    tokio::time::sleep(STRANGER_WAIT).await;
    if !place.is_stranger() {
        std::future::pending().await
    }
}

async fn respond(
    endpoint: &Endpoint,
    peer: Peer,
    place: &PlaceHandle,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let (mut parts, body) = request.into_parts();
    let path = plain_path(&parts.uri);
    if let Ok(Some(plain)) = &path {
        parts.uri = plain.clone();
    }
    let is_of_page = is_of_page(parts.uri.path());
    let session = if is_of_page { endpoint.sessions.holder(&parts.headers).await } else { None };
    let (verdict, cors) = endpoint.admission.judge(&mut parts, Known { uid: peer.uid, session });
    let asked = parts.uri.path().to_owned();
    let refused = |error: ErrorResponse| match is_of_page {
        true => page::refused(error, &asked),
        false => error.into_response(),
    };
    let caller = match (verdict, path) {
        (Ok(Verdict::Answered(response)), _) => return Ok(response),
        (Ok(Verdict::MustLogIn), _) => return Ok(page::to_login(&parts.uri)),
        (Ok(Verdict::Admitted(caller)), Ok(_)) => caller,
        (Ok(Verdict::Admitted(_)), Err(error)) => {
            return Ok(cors.response(refused(ErrorResponse::bad_request(error.to_string()))));
        }
        (Err(error), _) => return Ok(cors.response(refused(error))),
    };
    if caller == Caller::Stranger {
        parts.extensions.insert(caller);
        parts.extensions.insert(peer);
        let response = of_stranger(&endpoint.router, parts, body).await;
        return Ok(cors.response(response.unwrap_or_else(refused)));
    }
    let Ok(in_progress) = place.accept() else {
        let message = "too many requests are in progress; try again later".to_owned();
        return Ok(cors.response(ErrorResponse::unavailable(message)));
    };
    let acting = acting_span(&caller, &parts);
    parts.extensions.insert(caller);
    parts.extensions.insert(peer);
    let request = Request::from_parts(parts, Body::new(body));
    let response = route(&endpoint.router, request, &in_progress).instrument(acting).await;
    place.act();
    Ok(cors.response(response).map(|body| body_that_keeps(body, in_progress)))
}

/// Returns the span by which the log says who changed something.
fn acting_span(caller: &Caller, parts: &Parts) -> Span {
    match intent_of(&parts.method) {
        Intent::See => Span::none(),
        Intent::Act => tracing::info_span!("request", by = caller.name()),
    }
}

/// Returns the router's response to a stranger: to a probe, or at the entrance of the web page. Of its body as much is read as a
/// login has. The connection remains one of a stranger, so it takes no place of a client with a key, has as little time, and ends.
async fn of_stranger(router: &Router, parts: Parts, body: Incoming) -> Result<Response, ErrorResponse> {
    let body = match Limited::new(body, LOGIN_BYTES_MAX).collect().await {
        Ok(body) => Body::from(body.to_bytes()),
        Err(_) => return Err(ErrorResponse::too_large("the body is too large, or did not arrive")),
    };
    match router.clone().oneshot(Request::from_parts(parts, body)).await {
        Ok(mut response) => {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            Ok(response)
        }
        Err(never) => match never {},
    }
}

/// Returns the router's response to an accepted request.
async fn route(
    router: &Router,
    request: Request<Body>,
    in_progress: &RequestInProgress,
) -> Result<Response, ErrorResponse> {
    let (parts, body) = request.into_parts();
    let body = bound_body(body, in_progress.place().clone()).await?;
    match router.clone().oneshot(Request::from_parts(parts, body)).await {
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}
