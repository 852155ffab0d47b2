//! What is asked of a cron: a run now, a pause and its end, to leave one out, runs of past instants.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::api::refusal::{Refusal, parsed};
use crate::domain::bounds::NOTE_CHARS_MAX;
use crate::domain::run::Trigger;
use crate::domain::standing::{Pause, Standing};
use crate::store::{BackfillFate, BackfillLine, BackfillOrder, Purpose, StandingChange};

/// Instants in one backfill, unless more are asked for.
const BACKFILL_LIMIT_DEFAULT: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PauseBody {
    note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BackfillBody {
    from: String,
    to: String,
    #[serde(default)]
    dry_run: bool,
    limit: Option<usize>,
}

pub(super) async fn trigger(
    State(api): State<Api>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    parsed::<Nothing>(&body)?;
    let Some(run) = api.store.trigger(api.clock.now(), name.clone()).await? else {
        return Err(Refusal::unknown_cron(&api, &name).await);
    };
    api.wakes.runner.notify_one();
    tracing::info!(cron = name, run_id = %run.run_id, "triggered on request");
    let waits_for = api.store.in_the_way_of(run.clone()).await?.filter(|going| *going != run.run_id);
    Ok(Json(json!({
        "run_id": run.run_id.to_string(),
        "cron_id": run.cron_id().map(|cron_id| cron_id.to_string()),
        "cron_name": run.cron_name(),
        "trigger": run.trigger.as_str(),
        "scheduled_for": run.scheduled_for.to_string(),
        "status": run.state.phase().as_str(),
        "waits_for": waits_for.map(|run_id| run_id.to_string()),
    })))
}

pub(super) async fn pause(
    State(api): State<Api>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let PauseBody { note } = parsed(&body)?;
    let note = note.map(|note| note.trim().to_owned()).filter(|note| !note.is_empty());
    if note.as_ref().is_some_and(|note| note.chars().count() > NOTE_CHARS_MAX) {
        return Err(Refusal::Invalid(format!("note: longer than {NOTE_CHARS_MAX} characters")));
    }
    change(&api, name, StandingChange::Pause(note)).await
}

pub(super) async fn resume(
    State(api): State<Api>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    parsed::<Nothing>(&body)?;
    change(&api, name, StandingChange::Resume).await
}

pub(super) async fn skip_next(
    State(api): State<Api>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    parsed::<Nothing>(&body)?;
    change(&api, name, StandingChange::SkipNext).await
}

async fn change(api: &Api, name: String, change: StandingChange) -> Result<Json<Value>, Refusal> {
    let asked = match change {
        StandingChange::Pause(_) => "paused",
        StandingChange::Resume => "resumed",
        StandingChange::SkipNext => "skips its next occurrence",
    };
    let changed = api.store.change_standing(api.clock.now(), name.clone(), change).await?;
    let Some((before, after)) = changed else { return Err(Refusal::unknown_cron(api, &name).await) };
    // What was due until now was planned with it, and may have to be started.
    api.wakes.runner.notify_one();
    tracing::info!(cron = name, "{asked} on request");
    Ok(Json(json!({
        "cron_name": name,
        "before": standing_json(&before),
        "now": standing_json(&after),
    })))
}

fn standing_json(standing: &Standing) -> Value {
    let pause = |pause: &Pause| {
        json!({
            "since": pause.since.to_string(),
            "cause": pause.cause.as_str(),
            "note": pause.note,
        })
    };
    json!({
        "paused": standing.paused.as_ref().map(pause),
        "skip_next": standing.skip_next,
        "failures_in_a_row": standing.failures,
    })
}

pub(super) async fn backfill(
    State(api): State<Api>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let body: BackfillBody = parsed(&body)?;
    let now = api.clock.now();
    let (from, to) = (instant("from", &body.from)?, instant("to", &body.to)?);
    if from >= to {
        return Err(Refusal::Invalid(format!("from {from} is not before to {to}")));
    }
    if to > now {
        return Err(Refusal::Invalid(format!(
            "to {to} is in the future; what is to come is fired by the schedule"
        )));
    }
    let purpose = if body.dry_run { Purpose::Tell } else { Purpose::Act };
    let limit = body.limit.unwrap_or(BACKFILL_LIMIT_DEFAULT);
    let order = BackfillOrder { name: name.clone(), from, to, limit, purpose };
    let Some(lines) = api.store.backfill(now, order).await? else {
        return Err(Refusal::unknown_cron(&api, &name).await);
    };
    let runs = lines.iter().filter(|line| line.fate == BackfillFate::Run).count();
    if purpose == Purpose::Act {
        api.wakes.runner.notify_one();
        tracing::info!(cron = name, runs, %from, %to, "backfilled on request");
    }
    Ok(Json(json!({
        "cron_name": name,
        "trigger": Trigger::Backfill.as_str(),
        "dry_run": body.dry_run,
        "runs": runs,
        "instants": lines.iter().map(line_json).collect::<Vec<_>>(),
    })))
}

fn instant(field: &str, text: &str) -> Result<Timestamp, Refusal> {
    text.parse().map_err(|_| Refusal::Invalid(format!("{field}: `{text}` is no RFC 3339 time")))
}

fn line_json(line: &BackfillLine) -> Value {
    let (fate, status) = match &line.fate {
        BackfillFate::Run => ("run", None),
        BackfillFate::Exists(status) => ("exists", Some(status)),
        BackfillFate::Excluded => ("excluded", None),
    };
    json!({
        "scheduled_for": line.scheduled_for.to_string(),
        "run_id": line.run_id.to_string(),
        "fate": fate,
        "status": status,
    })
}
