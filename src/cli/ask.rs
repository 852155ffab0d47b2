//! Asking the daemon to do something, through its socket.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use serde_json::Value;
use url::Url;

use super::failure::Failure;
use super::session::Session;
use crate::transport::{Transport, TransportError, read_body};

/// The daemon answers at once unless its disk is full.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// A backfill of the most instants there may be, and more.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Posts `body` to `/v1/…` and answers what the daemon says to it.
pub(super) fn ask(session: &mut Session, path: &[&str], body: &Value) -> Result<Value, Failure> {
    let socket = session.socket_path()?;
    let nobody = |detail: &str| {
        Failure::Failed(format!("no daemon answers at {} ({detail}); is it running?", socket.display()))
    };
    if !socket.exists() {
        return Err(nobody("there is no such socket"));
    }
    let request = request(path, body).map_err(|error| Failure::Failed(error.to_string()))?;
    let transport = Transport::unix_socket(&socket).map_err(|error| Failure::Failed(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exchange = async {
        let response = transport.send(request).await?;
        let status = response.status();
        let body = read_body(response.into_body(), ANSWER_BYTES_MAX, ANSWER_WAIT).await?;
        Ok::<_, TransportError>((status, body))
    };
    let answered = runtime.block_on(async { tokio::time::timeout(ANSWER_WAIT, exchange).await });
    let (status, body) = match answered {
        Err(_) => return Err(nobody("it took longer than 30 s")),
        Ok(Err(error)) => return Err(nobody(&error.to_string())),
        Ok(Ok(answer)) => answer,
    };
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    if status.is_success() {
        return Ok(answer);
    }
    let detail =
        answer["detail"].as_str().map_or_else(|| format!("the daemon answered {status}"), str::to_owned);
    // What does not exist or makes no sense was typed wrongly.
    Err(if matches!(status.as_u16(), 404 | 422) { Failure::Usage(detail) } else { Failure::Failed(detail) })
}

fn request(path: &[&str], body: &Value) -> anyhow::Result<Request<Bytes>> {
    let mut url = Url::parse("http://daemon/v1")?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.extend(path);
    }
    let body = Bytes::from(body.to_string());
    Ok(Request::post(url.as_str()).header("content-type", "application/json").body(body)?)
}
