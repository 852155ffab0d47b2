//! One exchange with the daemon through its Unix socket.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::domain::bounds::RESPONSE_WITHIN;
use crate::transport::{Transport, TransportError, read_body};

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

pub(super) fn exchange(
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
