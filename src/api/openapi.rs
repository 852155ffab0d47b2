//! The OpenAPI document of our own endpoints, generated from the types that they take and return.

use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use utoipa::OpenApi;

use super::wire::ErrorBody;

const DESCRIPTION: &str = "Read and control agentcron. The agent server's own API, which agentcron serves on the same \
     address, has its own document. Times are RFC 3339 in UTC. Every error response gives the reason in `detail`. \
     Listings are paged: pass the `next_cursor` of one page as `cursor` to get the next one. Entries that existed when \
     you fetched the first page appear exactly once, even if entries are added while you page, unless they are deleted \
     meanwhile.";

#[derive(OpenApi)]
#[openapi(
    info(title = "agentcron", description = DESCRIPTION),
    components(schemas(ErrorBody)),
    tags(
        (name = "crons", description = "The schedules, and what they start"),
        (name = "runs", description = "What was started, and how it ended"),
        (name = "deliveries", description = "The webhooks about ended runs"),
        (name = "history", description = "How long it is kept, and what is forgotten"),
        (name = "daemon", description = "The state of the daemon"),
    )
)]
struct Document;

/// Returns the document without its paths.
pub(super) fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// Returns the route that serves the finished document.
pub(super) fn router<S: Clone + Send + Sync + 'static>(document: utoipa::openapi::OpenApi) -> Router<S> {
    let text: Arc<str> = document.to_json().unwrap_or_default().into();
    Router::new().route(
        "/openapi.json",
        get(move || {
            let text = Arc::clone(&text);
            async move { ([(CONTENT_TYPE, "application/json")], text.to_string()) }
        }),
    )
}
