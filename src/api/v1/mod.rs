//! Our own API, `/v1`: JSON in and out; what is refused says why in `detail`.

mod acts;
mod crons;
mod deliveries;
mod listing;
mod runs;
mod status;
#[cfg(test)]
pub(super) mod tests;
mod webhooks;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;

/// Its paths, each with its entry in the OpenAPI document.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(status::status))
        .routes(routes!(crons::crons))
        .routes(routes!(crons::cron))
        .routes(routes!(acts::trigger))
        .routes(routes!(acts::pause))
        .routes(routes!(acts::resume))
        .routes(routes!(acts::skip_next))
        .routes(routes!(acts::backfill))
        .routes(routes!(runs::runs))
        .routes(routes!(runs::run))
        .routes(routes!(runs::cancel))
        .routes(routes!(deliveries::deliveries))
        .routes(routes!(deliveries::delivery))
        .routes(routes!(webhooks::hold))
        .routes(routes!(webhooks::release))
        .routes(routes!(webhooks::replay))
        .routes(routes!(webhooks::resume))
}
