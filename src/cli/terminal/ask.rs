//! Sends a request to the daemon through its Unix socket.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::{Failure, Session};
use crate::domain::bounds::RESPONSE_WITHIN;
use crate::transport::{Transport, TransportError, read_body};

/// The daemon responds at once unless its disk is full.
const RESPONSE_WAIT: Duration = Duration::from_secs(30);
/// The response to a backfill of as many instants as are allowed is smaller.
const RESPONSE_BYTES_MAX: usize = 16 << 20;

/// Why nothing was got from a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum NoResponse {
    /// This user may not open the socket.
    NotAllowed,
    /// It is of another version.
    NotUnderstood,
    Silent(String),
}

/// Gets a path, such as `/v1/status`, from the daemon at this socket.
pub(in crate::cli) fn get<T: DeserializeOwned>(
    socket: &Path,
    path: &str,
    wait: Duration,
) -> Result<T, NoResponse> {
    let request = Request::get(format!("http://daemon{path}")).body(Bytes::new());
    let (status, body) = exchange(socket, request.map_err(|_| NoResponse::NotUnderstood)?, wait)?;
    match status {
        StatusCode::OK => serde_json::from_slice(&body).map_err(|_| NoResponse::NotUnderstood),
        _ => Err(NoResponse::Silent(format!("it returned HTTP {}", status.as_u16()))),
    }
}

/// Asks the daemon for what it has at once, also if it has thousands of crons or its disk is full.
pub(in crate::cli) fn is_alive(socket: &Path, now: Timestamp) -> Result<(), NoResponse> {
    get::<Value>(socket, &format!("/v1/outages?since={now}"), RESPONSE_WITHIN).map(drop)
}

/// Posts `body` to `/v1/…` and returns the daemon's response.
pub(in crate::cli) fn ask(session: &mut Session, path: &[&str], body: &Value) -> Result<Value, Failure> {
    let request = Request::post(url(path, &[])?.as_str()).header("content-type", "application/json");
    response(&session.socket_path()?, request.body(Bytes::from(body.to_string())))
}

/// Gets `/v1/…` with the parameters that are not empty.
pub(super) fn get_with<T: DeserializeOwned>(
    socket: &Path,
    path: &[&str],
    query: &[(&str, String)],
) -> Result<T, Failure> {
    response(socket, Request::get(url(path, query)?.as_str()).body(Bytes::new()))
}

fn response<T: DeserializeOwned>(socket: &Path, request: http::Result<Request<Bytes>>) -> Result<T, Failure> {
    let request = request.map_err(|error| Failure::Failed(error.to_string()))?;
    let (status, body) = exchange(socket, request, RESPONSE_WAIT).map_err(|none| no_daemon(socket, none))?;
    match status.is_success() {
        true => serde_json::from_slice(&body).map_err(|_| no_daemon(socket, NoResponse::NotUnderstood)),
        false => Err(refused(status, &serde_json::from_slice(&body).unwrap_or_default())),
    }
}

fn exchange(
    socket: &Path,
    request: Request<Bytes>,
    wait: Duration,
) -> Result<(StatusCode, Bytes), NoResponse> {
    // The kind of the system's error is lost by then.
    let failed = |error: &dyn std::fmt::Display| match error.to_string() {
        detail if detail.contains("permission denied") => NoResponse::NotAllowed,
        detail => NoResponse::Silent(detail),
    };
    let transport = Transport::unix_socket(socket).map_err(|error| failed(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let exchange = async {
        let response = transport.send(request).await?;
        let status = response.status();
        let body = read_body(response.into_body(), RESPONSE_BYTES_MAX, wait).await?;
        Ok::<_, TransportError>((status, body))
    };
    let runtime = runtime.map_err(|error| failed(&error))?;
    match runtime.block_on(async { tokio::time::timeout(wait, exchange).await }) {
        Err(_) => Err(NoResponse::Silent(format!("it took longer than {} s", wait.as_secs()))),
        Ok(result) => result.map_err(|error| failed(&error)),
    }
}

fn no_daemon(socket: &Path, none: NoResponse) -> Failure {
    let socket = socket.display();
    Failure::Failed(match none {
        NoResponse::NotAllowed => {
            format!("{socket}: permission denied; run this as root, or as the user that the daemon runs as")
        }
        NoResponse::NotUnderstood => format!("{socket}: a daemon of another version responds"),
        NoResponse::Silent(detail) => format!("no daemon responds at {socket} ({detail}); is it running?"),
    })
}

fn refused(status: StatusCode, response: &Value) -> Failure {
    let detail = response["detail"].as_str();
    let detail =
        detail.map_or_else(|| format!("the daemon returned HTTP {}", status.as_u16()), str::to_owned);
    match status {
        // Something that does not exist or makes no sense was typed.
        StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => Failure::Usage(detail),
        _ => Failure::Failed(detail),
    }
}

/// Returns words as a parameter that takes several.
pub(in crate::cli) fn joined<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(",")
}

fn url(path: &[&str], query: &[(&str, String)]) -> Result<Url, Failure> {
    let mut url = Url::parse("http://daemon/v1").map_err(|error| Failure::Failed(error.to_string()))?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.extend(path);
    }
    url.query_pairs_mut().extend_pairs(query.iter().filter(|(_, value)| !value.is_empty()));
    Ok(url)
}
