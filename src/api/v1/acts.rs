//! What is asked of a cron: a run now, a pause and its end, to leave one out, runs of past instants.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;

use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::{Body, PathName};
use crate::api::wire::{
    BackfillBody, Backfilled, CronState, CronStateChanged, Nothing, PauseBody, Triggered,
};
use crate::domain::bounds::NOTE_CHARS_MAX;
use crate::store::{BackfillOrder, ChangedCronState, CronStateChange, Purpose, TriggeredRun};

/// Instants in one backfill, unless more are asked for.
const BACKFILL_LIMIT_DEFAULT: usize = 100;

/// Start a run of it now.
#[utoipa::path(
    post, path = "/v1/crons/{name}/trigger", tag = "crons",
    params(("name" = String, Path, description = "The cron's name", example = "daily-digest")),
    request_body = Option<Nothing>,
    responses((status = 200, description = "The run", body = Triggered), ErrorResponse)
)]
pub(super) async fn trigger(
    State(api): State<Api>,
    PathName(name): PathName,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Json<Triggered>, ErrorResponse> {
    let Some(TriggeredRun { run, waits_for }) = api.store.trigger(api.clock.now(), name.clone()).await?
    else {
        return Err(ErrorResponse::unknown_cron(&api, &name).await);
    };
    api.wakes.runner.notify_one();
    tracing::info!(cron = name, run_id = %run.run_id, "triggered on request");
    Ok(Json(Triggered::of(&run, waits_for.map(|run_id| run_id.to_string()))))
}

/// Skip its occurrences until it is resumed.
#[utoipa::path(
    post, path = "/v1/crons/{name}/pause", tag = "crons",
    params(("name" = String, Path, description = "The cron's name", example = "daily-digest")),
    request_body = Option<PauseBody>,
    responses((status = 200, description = "How it stood and stands", body = CronStateChanged), ErrorResponse)
)]
pub(super) async fn pause(
    State(api): State<Api>,
    PathName(name): PathName,
    Body(PauseBody { note }): Body<PauseBody>,
) -> Result<Json<CronStateChanged>, ErrorResponse> {
    let note = checked_note(note)?;
    change(&api, name, CronStateChange::Pause(note)).await
}

/// End its pause.
#[utoipa::path(
    post, path = "/v1/crons/{name}/resume", tag = "crons",
    params(("name" = String, Path, description = "The cron's name", example = "daily-digest")),
    request_body = Option<Nothing>,
    responses((status = 200, description = "How it stood and stands", body = CronStateChanged), ErrorResponse)
)]
pub(super) async fn resume(
    State(api): State<Api>,
    PathName(name): PathName,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Json<CronStateChanged>, ErrorResponse> {
    change(&api, name, CronStateChange::Resume).await
}

/// Skip its next occurrence, once.
#[utoipa::path(
    post, path = "/v1/crons/{name}/skip-next", tag = "crons",
    params(("name" = String, Path, description = "The cron's name", example = "daily-digest")),
    request_body = Option<Nothing>,
    responses((status = 200, description = "How it stood and stands", body = CronStateChanged), ErrorResponse)
)]
pub(super) async fn skip_next(
    State(api): State<Api>,
    PathName(name): PathName,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Json<CronStateChanged>, ErrorResponse> {
    change(&api, name, CronStateChange::SkipNext).await
}

/// The note without blanks around it; one that is too long is refused.
pub(super) fn checked_note(note: Option<String>) -> Result<Option<String>, ErrorResponse> {
    if note.as_ref().is_some_and(|note| note.chars().count() > NOTE_CHARS_MAX) {
        return Err(ErrorResponse::Invalid(format!("note: longer than {NOTE_CHARS_MAX} characters")));
    }
    Ok(note.map(|note| note.trim().to_owned()).filter(|note| !note.is_empty()))
}

async fn change(
    api: &Api,
    name: String,
    change: CronStateChange,
) -> Result<Json<CronStateChanged>, ErrorResponse> {
    let asked = match change {
        CronStateChange::Pause(_) => "paused",
        CronStateChange::Resume => "resumed",
        CronStateChange::SkipNext => "skips its next occurrence",
    };
    let changed = api.store.change_cron_state(api.clock.now(), name.clone(), change).await?;
    let Some(ChangedCronState { before, after }) = changed else {
        return Err(ErrorResponse::unknown_cron(api, &name).await);
    };
    // What was due until now was planned with it, and may have to be started.
    api.wakes.runner.notify_one();
    tracing::info!(cron = name, "{asked} on request");
    Ok(Json(CronStateChanged { cron_name: name, before: CronState::of(&before), now: CronState::of(&after) }))
}

/// Run past instants that its calendar names and that have no record of a run.
#[utoipa::path(
    post, path = "/v1/crons/{name}/backfill", tag = "crons",
    params(("name" = String, Path, description = "The cron's name", example = "daily-digest")),
    request_body = BackfillBody,
    responses((status = 200, description = "What becomes of every instant", body = Backfilled), ErrorResponse)
)]
pub(super) async fn backfill(
    State(api): State<Api>,
    PathName(name): PathName,
    Body(body): Body<BackfillBody>,
) -> Result<Json<Backfilled>, ErrorResponse> {
    let now = api.clock.now();
    let (from, to) = (instant("from", &body.from)?, instant("to", &body.to)?);
    if from >= to {
        return Err(ErrorResponse::Invalid(format!("from {from} is not before to {to}")));
    }
    if to > now {
        return Err(ErrorResponse::Invalid(format!(
            "to {to} is in the future; what is to come is fired by the schedule"
        )));
    }
    let purpose = if body.dry_run { Purpose::DryRun } else { Purpose::Act };
    let limit = body.limit.unwrap_or(BACKFILL_LIMIT_DEFAULT);
    let order = BackfillOrder { name: name.clone(), from, to, limit, purpose };
    let Some(lines) = api.store.backfill(now, order).await? else {
        return Err(ErrorResponse::unknown_cron(&api, &name).await);
    };
    let backfilled = Backfilled::of(name, body.dry_run, &lines);
    if purpose == Purpose::Act {
        api.wakes.runner.notify_one();
        let Backfilled { cron_name, runs, .. } = &backfilled;
        tracing::info!(cron = cron_name, runs, %from, %to, "backfilled on request");
    }
    Ok(Json(backfilled))
}

/// An instant in a body.
pub(super) fn instant(field: &str, text: &str) -> Result<Timestamp, ErrorResponse> {
    text.parse().map_err(|_| ErrorResponse::Invalid(format!("{field}: `{text}` is no RFC 3339 time")))
}
