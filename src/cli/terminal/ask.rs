//! Sends a request to the daemon through its Unix socket.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use serde_json::Value;
use url::Url;

use super::{Failure, Session};
use crate::transport::{Transport, TransportError, read_body};

/// The daemon responds at once unless its disk is full.
const RESPONSE_WAIT: Duration = Duration::from_secs(30);
/// The response to a backfill of as many instants as are allowed is smaller.
const RESPONSE_BYTES_MAX: usize = 16 << 20;

/// Posts `body` to `/v1/…` and returns the daemon's response.
pub(in crate::cli) fn ask(session: &mut Session, path: &[&str], body: &Value) -> Result<Value, Failure> {
    let socket = session.socket_path()?;
    let request = request(path, body).map_err(|error| Failure::Failed(error.to_string()))?;
    let transport = Transport::unix_socket(&socket).map_err(|error| Failure::Failed(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exchange = async {
        let response = transport.send(request).await?;
        let status = response.status();
        let body = read_body(response.into_body(), RESPONSE_BYTES_MAX, RESPONSE_WAIT).await?;
        Ok::<_, TransportError>((status, body))
    };
    let responded = runtime.block_on(async { tokio::time::timeout(RESPONSE_WAIT, exchange).await });
    let (status, body) = match responded {
        Err(_) => return Err(no_daemon(&socket, "it took longer than 30 s")),
        Ok(Err(error)) => return Err(no_daemon(&socket, &error.to_string())),
        Ok(Ok(response)) => response,
    };
    let response: Value = serde_json::from_slice(&body).unwrap_or_default();
    if status.is_success() { Ok(response) } else { Err(refused(status, &response)) }
}

fn no_daemon(socket: &Path, detail: &str) -> Failure {
    let socket = socket.display();
    // The kind of the system's error is lost by now.
    Failure::Failed(match detail.contains("permission denied") {
        true => {
            format!("{socket}: permission denied; run this as root, or as the user that the daemon runs as")
        }
        false => format!("no daemon responds at {socket} ({detail}); is it running?"),
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

fn request(path: &[&str], body: &Value) -> anyhow::Result<Request<Bytes>> {
    let mut url = Url::parse("http://daemon/v1")?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.extend(path);
    }
    let body = Bytes::from(body.to_string());
    Ok(Request::post(url.as_str()).header("content-type", "application/json").body(body)?)
}
