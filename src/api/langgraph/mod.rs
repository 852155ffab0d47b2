//! The agent server's own API, in front of it: requests for crons and for runs with a webhook are handled here, and all
//! other requests are forwarded.

mod agent_server;
mod below_prefix;
mod client_run_records;
mod crons;
mod forwarded_runs;
mod free_form;
mod gateway;
mod held_body;
mod hop_by_hop;
mod proxy;
mod raw_json;
mod run_body;
mod runs;
mod streamed_body;
mod tee;
mod webhook_urls;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::get;

use super::Api;
use super::error_response::ErrorResponse;

pub use agent_server::AgentServer;
pub use gateway::Gateway;
pub use held_body::HeldBodies;

/// Returns the routes of crons, which are always handled here and never by the agent server.
pub(super) fn crons() -> Router<Api> {
    crons::router()
}

/// Returns a router for all paths that nothing else handles.
pub(super) fn router(gateway: Gateway) -> Router {
    runs::router()
        .merge(free_form::router())
        .route("/agent-server/openapi.json", get(forward_without_prefix))
        .route("/agent-server/metrics", get(forward_without_prefix))
        .fallback(below_prefix::forward)
        .with_state(gateway)
}

/// Forwards a request for what the agent server has at a path where we have our own.
async fn forward_without_prefix(
    State(gateway): State<Gateway>,
    mut request: Request,
) -> Result<Response, ErrorResponse> {
    let path = request.uri().path_and_query().and_then(|path| path.as_str().strip_prefix("/agent-server"));
    if let Some(uri) = path.and_then(|path| path.parse::<Uri>().ok()) {
        *request.uri_mut() = uri;
    }
    proxy::forward(State(gateway), request).await
}
