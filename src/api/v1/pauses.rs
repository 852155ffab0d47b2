//! The pause of all crons: nothing of any calendar is started while it is in force.

use axum::Json;
use axum::extract::State;

use super::parse::{note, pause_end};
use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::JsonBody;
use crate::api::wire::{AllPausedChanged, EmptyRequest, PauseRequest};
use crate::domain::act::Actor;
use crate::store::{ChangedPauseOfAll, PauseOfAllChange};

/// Pause all crons: skip their occurrences until they are resumed, or until `until`
///
/// Crons that are made later are paused too. Runs that wait to be sent are skipped, except those that somebody asked for,
/// which can still be started. Pauses of single crons stay as they are.
#[utoipa::path(
    post, path = "/v1/pause", tag = "crons",
    request_body = Option<PauseRequest>,
    responses((status = 200, description = "The pause before and after", body = AllPausedChanged), ErrorResponse)
)]
pub(in crate::api) async fn pause(
    State(api): State<Api>,
    by: Actor,
    JsonBody(request): JsonBody<PauseRequest>,
) -> Result<Json<AllPausedChanged>, ErrorResponse> {
    let until = pause_end(request.until.as_deref(), api.clock.now())?;
    change(&api, by, PauseOfAllChange::Pause { note: note(request.note)?, until }).await
}

/// End the pause of all crons
///
/// Crons that are paused by themselves stay paused.
#[utoipa::path(
    post, path = "/v1/resume", tag = "crons",
    request_body = Option<EmptyRequest>,
    responses((status = 200, description = "The pause before and after", body = AllPausedChanged), ErrorResponse)
)]
pub(in crate::api) async fn resume(
    State(api): State<Api>,
    by: Actor,
    JsonBody(EmptyRequest {}): JsonBody<EmptyRequest>,
) -> Result<Json<AllPausedChanged>, ErrorResponse> {
    change(&api, by, PauseOfAllChange::Resume).await
}

async fn change(
    api: &Api,
    by: Actor,
    change: PauseOfAllChange,
) -> Result<Json<AllPausedChanged>, ErrorResponse> {
    let changed = api.store.change_pause_of_all(api.clock.now(), by, change).await?;
    // Its end may come before anything else is due. The webhook of an occurrence whose retry is dropped is due.
    api.wakes.runner.notify_one();
    api.wakes.courier.notify_one();
    let ChangedPauseOfAll { before, after, skipped } = &changed;
    match (before, after) {
        (_, Some(pause)) => {
            let until = pause.until.map(tracing::field::display);
            tracing::warn!(note = pause.note, until, skipped, "all crons paused on request");
        }
        (Some(_), None) => tracing::info!("all crons resumed on request"),
        (None, None) => {}
    }
    Ok(Json(AllPausedChanged::of(&changed)))
}
