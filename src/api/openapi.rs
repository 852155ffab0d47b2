//! The OpenAPI document of our own endpoints, generated from the types that they take and answer.

use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use utoipa::OpenApi;

use super::wire::Refused;

const DESCRIPTION: &str = "What agentcron keeps, and what may be asked of it. The agent server's own API has its own \
     document. Times are RFC 3339 in UTC. Whatever is refused says why in `detail`. Listings are paged: `next_cursor` \
     of one page is `cursor` of the next, and nothing that was there at the beginning is left out or told twice, \
     whatever is added meanwhile.";

#[derive(OpenApi)]
#[openapi(
    info(title = "agentcron", description = DESCRIPTION),
    components(schemas(Refused)),
    tags(
        (name = "crons", description = "What is to be fired, and when"),
        (name = "runs", description = "What was fired, and how it ended"),
        (name = "deliveries", description = "Who was told about it"),
        (name = "daemon", description = "How the daemon is"),
    )
)]
struct Document;

/// The document, still without its paths.
pub(super) fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// Where it is to be had.
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
