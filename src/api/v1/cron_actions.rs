//! Actions on a cron: trigger, pause, resume, skip the next occurrence, backfill.

use axum::Json;
use axum::extract::State;

use super::parse::{instant, note, own_input, pause_end, unknown_cron};
use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::{JsonBody, PathParameter};
use crate::api::wire::{
    BackfillRequest, Backfilled, CronState, CronStateChanged, EmptyRequest, PauseRequest, RunRequest,
    Triggered,
};
use crate::domain::act::Actor;
use crate::store::{BackfillOrder, ChangedCronState, CronStateChange, Purpose, TriggerRequest, TriggeredRun};

/// How many occurrences a backfill may run unless the request says otherwise.
const BACKFILL_LIMIT_DEFAULT: usize = 100;

/// Start a run of a cron now
#[utoipa::path(
    post, path = "/v1/crons/{name}/trigger", tag = "crons",
    params(("name" = String, Path, description = "The name of the cron", example = "daily-digest")),
    request_body = Option<RunRequest>,
    responses((status = 200, description = "The new run", body = Triggered), ErrorResponse)
)]
pub(in crate::api) async fn trigger(
    State(api): State<Api>,
    by: Actor,
    PathParameter(name): PathParameter,
    JsonBody(RunRequest { input }): JsonBody<RunRequest>,
) -> Result<Json<Triggered>, ErrorResponse> {
    let request = TriggerRequest { name: name.clone(), input: own_input(input)? };
    let Some(TriggeredRun { run, waits_for }) = api.store.trigger(api.clock.now(), by, request).await? else {
        return Err(unknown_cron(&api, &name).await);
    };
    api.wakes.runner.notify_one();
    tracing::info!(cron = name, run_id = %run.run_id, "run triggered on request");
    Ok(Json(Triggered::of(&run, waits_for.map(|run_id| run_id.to_string()))))
}

/// Pause a cron: skip its occurrences until it is resumed, or until `until`
///
/// Its runs that wait to be sent are skipped too, except those that somebody asked for.
#[utoipa::path(
    post, path = "/v1/crons/{name}/pause", tag = "crons",
    params(("name" = String, Path, description = "The name of the cron", example = "daily-digest")),
    request_body = Option<PauseRequest>,
    responses((status = 200, description = "The state before and after", body = CronStateChanged), ErrorResponse)
)]
pub(in crate::api) async fn pause(
    State(api): State<Api>,
    by: Actor,
    PathParameter(name): PathParameter,
    JsonBody(request): JsonBody<PauseRequest>,
) -> Result<Json<CronStateChanged>, ErrorResponse> {
    let until = pause_end(request.until.as_deref(), api.clock.now())?;
    change_state(&api, by, name, CronStateChange::Pause { note: note(request.note)?, until }).await
}

/// Resume a paused cron
#[utoipa::path(
    post, path = "/v1/crons/{name}/resume", tag = "crons",
    params(("name" = String, Path, description = "The name of the cron", example = "daily-digest")),
    request_body = Option<EmptyRequest>,
    responses((status = 200, description = "The state before and after", body = CronStateChanged), ErrorResponse)
)]
pub(in crate::api) async fn resume(
    State(api): State<Api>,
    by: Actor,
    PathParameter(name): PathParameter,
    JsonBody(EmptyRequest {}): JsonBody<EmptyRequest>,
) -> Result<Json<CronStateChanged>, ErrorResponse> {
    change_state(&api, by, name, CronStateChange::Resume).await
}

/// Skip the next occurrence of a cron, once
#[utoipa::path(
    post, path = "/v1/crons/{name}/skip-next", tag = "crons",
    params(("name" = String, Path, description = "The name of the cron", example = "daily-digest")),
    request_body = Option<EmptyRequest>,
    responses((status = 200, description = "The state before and after", body = CronStateChanged), ErrorResponse)
)]
pub(in crate::api) async fn skip_next(
    State(api): State<Api>,
    by: Actor,
    PathParameter(name): PathParameter,
    JsonBody(EmptyRequest {}): JsonBody<EmptyRequest>,
) -> Result<Json<CronStateChanged>, ErrorResponse> {
    change_state(&api, by, name, CronStateChange::SkipNext).await
}

async fn change_state(
    api: &Api,
    by: Actor,
    name: String,
    change: CronStateChange,
) -> Result<Json<CronStateChanged>, ErrorResponse> {
    let event = match change {
        CronStateChange::Pause { .. } => "cron paused on request",
        CronStateChange::Resume => "cron resumed on request",
        CronStateChange::SkipNext => "cron set to skip its next occurrence on request",
    };
    let changed = api.store.change_cron_state(api.clock.now(), by, name.clone(), change).await?;
    let Some(ChangedCronState { before, after, skipped }) = changed else {
        return Err(unknown_cron(api, &name).await);
    };
    // The change also planned what was due until now, and that may have to be started. The webhook of an occurrence whose
    // retry is dropped is due.
    api.wakes.runner.notify_one();
    api.wakes.courier.notify_one();
    tracing::info!(cron = name, skipped, "{event}");
    let (before, now) = (CronState::of(&before), CronState::of(&after));
    Ok(Json(CronStateChanged { cron_name: name, before, now, skipped }))
}

/// Run past occurrences of a cron
///
/// Occurrences that were missed, or skipped by a pause or an edit, are run. Those that have run already, or were skipped
/// for another reason, are left as they are. What lies before the beginning of the cron, when the daemon first knew it, is
/// run only with `before_beginning`.
#[utoipa::path(
    post, path = "/v1/crons/{name}/backfill", tag = "crons",
    params(("name" = String, Path, description = "The name of the cron", example = "daily-digest")),
    request_body = BackfillRequest,
    responses((status = 200, description = "What is done for each occurrence", body = Backfilled), ErrorResponse)
)]
pub(in crate::api) async fn backfill(
    State(api): State<Api>,
    by: Actor,
    PathParameter(name): PathParameter,
    JsonBody(request): JsonBody<BackfillRequest>,
) -> Result<Json<Backfilled>, ErrorResponse> {
    let now = api.clock.now();
    let from = request.from.as_deref().map(|from| instant("from", from)).transpose()?;
    let to = instant("to", &request.to)?;
    if let Some(from) = from.filter(|from| *from >= to) {
        return Err(ErrorResponse::invalid(format!("from {from} is not before to {to}")));
    }
    if to > now {
        return Err(ErrorResponse::invalid(format!(
            "to {to} is in the future; future occurrences are started by the schedule"
        )));
    }
    let purpose = request.purpose();
    let limit = request.limit.unwrap_or(BACKFILL_LIMIT_DEFAULT);
    let before_beginning = request.before_beginning;
    let order = BackfillOrder { name: name.clone(), from, before_beginning, to, limit, purpose };
    let Some(backfill) = api.store.backfill(now, by, order).await? else {
        return Err(unknown_cron(&api, &name).await);
    };
    let backfilled = Backfilled::of(name, purpose, &backfill);
    match purpose {
        Purpose::Act => {
            api.wakes.runner.notify_one();
            let Backfilled { cron_name, runs, .. } = &backfilled;
            tracing::info!(cron = cron_name, runs, from = %backfill.from, %to, "cron backfilled on request");
        }
        Purpose::DryRun => {}
    }
    Ok(Json(backfilled))
}
