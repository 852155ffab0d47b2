//! Our own API, `/v1`: JSON in and out; what is refused says why in `detail`.

mod crons;
mod runs;
#[cfg(test)]
mod tests;
mod webhooks;

use axum::extract::State;
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::Api;
use super::refusal::Refusal;

/// Its paths.
pub(super) fn router() -> Router<Api> {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/crons/{name}/trigger", post(crons::trigger))
        .route("/v1/crons/{name}/pause", post(crons::pause))
        .route("/v1/crons/{name}/resume", post(crons::resume))
        .route("/v1/crons/{name}/skip-next", post(crons::skip_next))
        .route("/v1/crons/{name}/backfill", post(crons::backfill))
        .route("/v1/runs/{run_id}/cancel", post(runs::cancel))
        .route("/v1/webhooks/hold", post(webhooks::hold))
        .route("/v1/webhooks/release", post(webhooks::release))
        .route("/v1/webhooks/replay", post(webhooks::replay))
        .route("/v1/webhooks/arm", post(webhooks::arm))
        .route("/v1/{*rest}", any(async || Refusal::NotFound("there is no such path".to_owned())))
}

async fn status(State(api): State<Api>) -> Result<Json<Value>, Refusal> {
    let names = api.store.cron_names().await?;
    Ok(Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "now": api.clock.now().to_string(),
        "crons": names.len(),
        "trouble": api.store.trouble(),
    })))
}
