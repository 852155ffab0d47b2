//! The agent server's own API, in front of it: what we do better is answered here, all the rest is passed on.

mod crons;
mod hop_by_hop;
mod proxy;
mod record;
mod run_body;
mod runs;
mod tee;
mod webhook_urls;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use axum::response::Response;
use axum::routing::get;

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::Api;
use super::error_response::ErrorResponse;
use crate::domain::bounds::HELD_BODIES_BYTES_MAX;

pub use proxy::AgentServer;

/// What it takes to answer in the agent server's name.
#[derive(Clone)]
pub struct Gateway {
    /// What we answer ourselves goes by it.
    pub api: Api,
    /// The agent server; without one, what would be passed on is refused.
    pub agent_server: Option<AgentServer>,
    /// How long the agent server may take for the head of an answer that does not wait for a run.
    pub request_timeout: Duration,
    /// Requests on their way that must be brought to an end, whether or not the client stays.
    forwarded_runs: TaskTracker,
    /// In bytes.
    held_bodies: Arc<Semaphore>,
}

impl Gateway {
    /// A gateway to this agent server, if there is one.
    pub fn new(api: Api, agent_server: Option<AgentServer>, request_timeout: Duration) -> Self {
        Self {
            api,
            agent_server,
            request_timeout,
            forwarded_runs: TaskTracker::new(),
            held_bodies: Arc::new(Semaphore::new(HELD_BODIES_BYTES_MAX)),
        }
    }

    /// Waits until what is on its way is at its end. Nothing new must come meanwhile.
    pub(super) async fn drain(&self) {
        self.forwarded_runs.close();
        self.forwarded_runs.wait().await;
    }

    fn agent_server(&self) -> Result<&AgentServer, ErrorResponse> {
        let words = || "there is no agent server that this could be passed on to".to_owned();
        self.agent_server.as_ref().ok_or_else(|| ErrorResponse::BadGateway(words()))
    }
}

/// The paths of crons, which are answered here, and never by the agent server.
pub(super) fn crons() -> Router<Api> {
    crons::router()
}

/// Its paths: all that nobody else answers.
pub(super) fn router(gateway: Gateway) -> Router {
    runs::router()
        .route("/agent-server/openapi.json", get(behind_ours))
        .route("/agent-server/metrics", get(behind_ours))
        .fallback(proxy::pass_on)
        .with_state(gateway)
}

/// What the agent server has at a path at which we have our own.
async fn behind_ours(
    State(gateway): State<Gateway>,
    mut request: Request,
) -> Result<Response, ErrorResponse> {
    let path = request.uri().path_and_query().and_then(|path| path.as_str().strip_prefix("/agent-server"));
    if let Some(uri) = path.and_then(|path| path.parse::<Uri>().ok()) {
        *request.uri_mut() = uri;
    }
    proxy::pass_on(State(gateway), request).await
}

/// The same path, written plainly: `/thread/…`, as the public guide prints it, is `/threads/…`, and a letter that is
/// needlessly escaped is that letter (RFC 3986 §6.2.2.2), so that no spelling gets past us to the agent server. None if
/// it is plain already.
pub(super) fn plain_path(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let is_singular = path.starts_with("/thread/");
    if !is_singular && !path.contains('%') {
        return None;
    }
    let unescaped = with_plain_slashes(unescaped(path));
    let path = match unescaped.strip_prefix("/thread/") {
        Some(rest) => format!("/threads/{rest}"),
        None => unescaped,
    };
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(parts).ok()
}

/// The agent server takes an escaped slash for a slash before it looks whose path it is. Below the paths of runs and
/// threads, whose parts are words and ids, it can be nothing else; elsewhere it may be part of a name.
fn with_plain_slashes(path: String) -> String {
    let slashed = path.replace("%2F", "/").replace("%2f", "/");
    let is_ours = ["/runs/", "/threads/", "/thread/"].iter().any(|ours| slashed.starts_with(ours));
    if is_ours { slashed } else { path }
}

/// Without escapes of characters that need none.
fn unescaped(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        let code = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code {
            Some(code) if code.is_ascii_alphanumeric() || b"-._~".contains(&code) => {
                plain.push(char::from(code));
                rest = &after[2..];
            }
            Some(_) | None => {
                plain.push('%');
                rest = after;
            }
        }
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_path_has_one_spelling() {
        for (written, plain) in [
            ("/threads/a/runs?x=%61", None),
            ("/thread/a/runs/wait?x=%61", Some("/threads/a/runs/wait?x=%61")),
            ("/threads/a/%72uns", Some("/threads/a/runs")),
            ("/%74hread/a", Some("/threads/a")),
            ("/store/items/a%2Fb%", Some("/store/items/a%2Fb%")),
            ("/runs/%+1%zz%7", Some("/runs/%+1%zz%7")),
            ("/runs%2Fcrons", Some("/runs/crons")),
            ("/%74hread%2fa%2Fruns", Some("/threads/a/runs")),
            ("/runs%252Fcrons", Some("/runs%252Fcrons")),
            ("/threading", None),
            ("/thread", None),
        ] {
            let found = plain_path(&Uri::try_from(written).unwrap());
            assert_eq!(found.map(|uri| uri.to_string()).as_deref(), plain, "{written}");
        }
    }
}
