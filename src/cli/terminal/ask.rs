//! Asks the daemon for what a command was told to do or to show.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::socket::{NoResponse, exchange};
use super::{Failure, Session};

/// The daemon responds at once unless its disk is full.
const RESPONSE_WAIT: Duration = Duration::from_secs(30);

/// Posts `body` to `/v1/…` and returns the daemon's response.
pub(in crate::cli) fn ask(session: &mut Session, path: &[&str], body: &Value) -> Result<Value, Failure> {
    ask_patiently(session, path, body, RESPONSE_WAIT)
}

/// Does the same for something that takes long.
pub(in crate::cli) fn ask_patiently(
    session: &mut Session,
    path: &[&str],
    body: &Value,
    wait: Duration,
) -> Result<Value, Failure> {
    ask_at(&session.socket_path()?, path, body, wait)
}

/// Does the same at a socket that is known.
pub(in crate::cli) fn ask_at<T: DeserializeOwned>(
    socket: &Path,
    path: &[&str],
    body: &Value,
    wait: Duration,
) -> Result<T, Failure> {
    let request = Request::post(url(path, &[])?.as_str()).header("content-type", "application/json");
    response(socket, request.body(Bytes::from(body.to_string())), wait)
}

/// Gets `/v1/…` from the daemon.
pub(in crate::cli) fn ask_again<T: DeserializeOwned>(
    session: &mut Session,
    path: &[&str],
) -> Result<T, Failure> {
    get_with(&session.socket_path()?, path, &[])
}

/// Gets `/v1/…` with the parameters that are not empty.
pub(super) fn get_with<T: DeserializeOwned>(
    socket: &Path,
    path: &[&str],
    query: &[(&str, String)],
) -> Result<T, Failure> {
    response(socket, Request::get(url(path, query)?.as_str()).body(Bytes::new()), RESPONSE_WAIT)
}

fn response<T: DeserializeOwned>(
    socket: &Path,
    request: http::Result<Request<Bytes>>,
    wait: Duration,
) -> Result<T, Failure> {
    let request = request.map_err(|error| Failure::Failed(error.to_string()))?;
    let (status, body) = exchange(socket, request, wait).map_err(|none| no_daemon(socket, none))?;
    match status.is_success() {
        true => serde_json::from_slice(&body).map_err(|_| no_daemon(socket, NoResponse::NotUnderstood)),
        false => Err(refused(status, &serde_json::from_slice(&body).unwrap_or_default())),
    }
}

fn no_daemon(socket: &Path, none: NoResponse) -> Failure {
    let socket = socket.display();
    Failure::Failed(match none {
        NoResponse::NotAllowed => format!(
            "{socket}: permission denied; run this as root, as the user that the daemon runs as, or as a member of the group \
             of http.socket_group"
        ),
        NoResponse::NotUnderstood => format!("{socket}: a daemon of another version responds"),
        NoResponse::Silent(detail) => format!(
            "no daemon responds at {socket} ({detail}); is it running? `systemctl start agentcron`, or `agentcron run`"
        ),
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
