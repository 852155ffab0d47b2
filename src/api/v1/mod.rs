//! Our own API, `/v1`: JSON in and out; an error says why in `detail`.

mod acts;
mod cron_actions;
mod crons;
mod deliveries;
mod events;
mod history;
mod listing;
mod log;
mod outages;
mod parse;
mod pauses;
mod report;
mod runs;
mod status;
#[cfg(test)]
pub(super) mod tests;
mod webhooks;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;

/// Returns the routes, each with its entry in the OpenAPI document.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(status::status))
        .routes(routes!(outages::outages))
        .routes(routes!(report::report))
        .routes(routes!(acts::acts))
        .routes(routes!(events::events))
        .routes(routes!(log::log))
        .routes(routes!(crons::crons))
        .routes(routes!(crons::cron))
        .routes(routes!(crons::explain))
        .routes(routes!(report::stats))
        .routes(routes!(cron_actions::trigger))
        .routes(routes!(cron_actions::pause))
        .routes(routes!(cron_actions::resume))
        .routes(routes!(cron_actions::skip_next))
        .routes(routes!(cron_actions::backfill))
        .routes(routes!(pauses::pause))
        .routes(routes!(pauses::resume))
        .routes(routes!(runs::runs))
        .routes(routes!(runs::run))
        .routes(routes!(runs::cancel))
        .routes(routes!(runs::retry))
        .routes(routes!(deliveries::deliveries))
        .routes(routes!(deliveries::delivery))
        .routes(routes!(history::prune, history::pruning))
        .routes(routes!(history::forget))
        .routes(routes!(webhooks::hold))
        .routes(routes!(webhooks::release))
        .routes(routes!(webhooks::replay))
        .routes(routes!(webhooks::resume))
}
