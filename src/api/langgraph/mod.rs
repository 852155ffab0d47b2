//! The agent server's own API, as far as we answer it ourselves.

mod crons;

use axum::Router;

use super::Api;

/// Its paths.
pub(super) fn router() -> Router<Api> {
    crons::router()
}
