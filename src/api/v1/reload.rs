//! Reading the configuration files again.

use axum::Json;
use axum::extract::State;

use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::JsonBody;
use crate::api::wire::{EmptyRequest, Reloaded};
use crate::domain::bounds::RELOAD_ANSWERED_WITHIN;

/// Reload the configuration files now, and say what is in force
///
/// The daemon does so by itself whenever they are saved; this is for whoever wants to know what came of it.
#[utoipa::path(
    post, path = "/v1/reload", tag = "daemon",
    request_body = Option<EmptyRequest>,
    responses((status = 200, description = "What came of it", body = Reloaded), ErrorResponse)
)]
pub(super) async fn reload(
    State(api): State<Api>,
    JsonBody(EmptyRequest {}): JsonBody<EmptyRequest>,
) -> Result<Json<Reloaded>, ErrorResponse> {
    match tokio::time::timeout(RELOAD_ANSWERED_WITHIN, api.health.reloads.request()).await {
        Ok(Some(outcome)) => Ok(Json(Reloaded::of(outcome))),
        Ok(None) => Err(ErrorResponse::conflict("this daemon does not read its files again")),
        Err(_) => Err(ErrorResponse::unavailable("the files are still being read; see `agentcron status`")),
    }
}
