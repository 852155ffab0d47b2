//! Our own API, `/v1`: JSON in and out; an error says why in `detail`.

pub(super) mod acts;
pub(super) mod cron_actions;
pub(super) mod crons;
mod daemons;
pub(super) mod deliveries;
pub(super) mod events;
mod history;
mod listing;
mod log;
pub(super) mod outages;
mod page_links;
pub(super) mod parse;
pub(super) mod pauses;
mod reload;
pub(super) mod report;
pub(super) mod runs;
pub(super) mod status;
#[cfg(test)]
pub(super) mod tests;
pub(super) mod webhooks;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;

/// Returns the routes, each with its entry in the OpenAPI document.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(status::status))
        .routes(routes!(daemons::daemons))
        .routes(routes!(outages::outages))
        .routes(routes!(report::report))
        .routes(routes!(acts::acts))
        .routes(routes!(events::events))
        .routes(routes!(log::log))
        .routes(routes!(page_links::make))
        .routes(routes!(reload::reload))
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
