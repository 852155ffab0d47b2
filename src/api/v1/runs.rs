//! The runs, one of them with everything that is known, and its end on request.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::listing;
use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::{ApiQuery, Body, PathName};
use crate::api::wire::{self, Nothing, Page};
use crate::domain::ids::{CronId, RunId};
use crate::domain::run::{Phase, Status};
use crate::store::{CancelEffect, CancelledRun, PageCursor, RunFilter};

/// Which runs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RunsQuery {
    /// Only of the cron of this name or id.
    cron: Option<String>,
    /// Only with one of these.
    #[param(style = Form, explode = false, value_type = Vec<wire::RunWord>, inline, min_items = 1, required = false)]
    status: Option<String>,
    /// Only for one of these reasons.
    #[param(style = Form, explode = false, value_type = Vec<wire::ReasonWord>, inline, min_items = 1, required = false)]
    reason: Option<String>,
    /// Only made by one of these.
    #[param(style = Form, explode = false, value_type = Vec<wire::TriggerWord>, inline, min_items = 1, required = false)]
    trigger: Option<String>,
    /// Only scheduled for this instant or later.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only scheduled before this instant.
    #[param(format = DateTime)]
    until: Option<String>,
    /// The `next_cursor` of the page before.
    #[param(max_length = 2000, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// Items on the page; 100 if it is not given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// List runs, newest first.
#[utoipa::path(
    get, path = "/v1/runs", tag = "runs", params(RunsQuery),
    responses((status = 200, description = "A page of runs", body = Page<wire::Run>), ErrorResponse)
)]
pub(super) async fn runs(
    State(api): State<Api>,
    ApiQuery(query): ApiQuery<RunsQuery>,
) -> Result<Json<Page<wire::Run>>, ErrorResponse> {
    let (statuses, phases) = states(query.status.as_deref())?;
    let mut filter = RunFilter {
        crons: None,
        statuses,
        phases,
        triggers: listing::words("trigger", query.trigger.as_deref())?,
        reasons: listing::words("reason", query.reason.as_deref())?,
        since: listing::instant("since", query.since.as_deref())?,
        until: listing::instant("until", query.until.as_deref())?,
    };
    let limit = listing::limit(query.limit)?;
    let cursor: Option<PageCursor> = listing::cursor(query.cursor.as_deref())?;
    let cron = query.cron.clone();
    let page = api.store.read(move |reader| {
        if let Some(name) = cron {
            let mut crons = reader.crons_named(&name)?;
            if crons.is_empty() {
                let Ok(cron_id) = name.parse::<CronId>() else { return Ok(None) };
                crons.push(cron_id);
            }
            filter.crons = Some(crons);
        }
        let rows = reader.runs_before(&filter, cursor, limit + 1)?;
        Ok(Some(listing::page(rows, limit, wire::Run::of)))
    });
    match page.await? {
        Some(page) => Ok(Json(page)),
        None => Err(ErrorResponse::unknown_cron(&api, query.cron.as_deref().unwrap_or_default()).await),
    }
}

/// Statuses of what is over, and phases of what is not.
fn states(text: Option<&str>) -> Result<(Vec<Status>, Vec<Phase>), ErrorResponse> {
    let (mut statuses, mut phases) = (Vec::new(), Vec::new());
    for word in listing::words::<String>("status", text)? {
        match (word.parse(), word.parse()) {
            (Ok(status), _) => statuses.push(status),
            (Err(_), Ok(Phase::Ended)) | (Err(_), Err(_)) => {
                let known = Status::ALL.iter().map(|status| status.as_str());
                let known =
                    known.chain(Phase::ALL.iter().filter(|p| **p != Phase::Ended).map(|p| p.as_str()));
                let known = known.collect::<Vec<_>>().join(", ");
                let word: String = word.chars().take(64).collect();
                return Err(ErrorResponse::Invalid(format!("status: `{word}` is not one of {known}")));
            }
            (Err(_), Ok(phase)) => phases.push(phase),
        }
    }
    Ok((statuses, phases))
}

/// Show everything about a run: its events, deliveries, values and error.
#[utoipa::path(
    get, path = "/v1/runs/{run_id}", tag = "runs",
    params(("run_id" = String, Path, format = Uuid, description = "The run's id")),
    responses((status = 200, description = "The run", body = wire::RunDetails), ErrorResponse)
)]
pub(super) async fn run(
    State(api): State<Api>,
    PathName(run_id): PathName,
) -> Result<Json<wire::RunDetails>, ErrorResponse> {
    let id = id(&run_id)?;
    let details = api
        .store
        .read(move |reader| Ok(reader.run_details(id)?.map(|details| wire::RunDetails::of(&details))));
    details.await?.map(Json).ok_or_else(|| ErrorResponse::NotFound(format!("there is no run {id}")))
}

/// End a run before its time.
#[utoipa::path(
    post, path = "/v1/runs/{run_id}/cancel", tag = "runs",
    params(("run_id" = String, Path, format = Uuid, description = "The run's id")),
    request_body = Option<Nothing>,
    responses((status = 200, description = "What is done about it", body = wire::Cancelled), ErrorResponse)
)]
pub(super) async fn cancel(
    State(api): State<Api>,
    PathName(run_id): PathName,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Json<wire::Cancelled>, ErrorResponse> {
    let id = id(&run_id)?;
    let Some(CancelledRun { run, effect }) = api.store.cancel_run(api.clock.now(), id).await? else {
        return Err(ErrorResponse::NotFound(format!("there is no run {id}")));
    };
    if effect == CancelEffect::AlreadyEnded {
        let detail = effect.message(&run);
        return Err(ErrorResponse::Conflict(format!("run {id} of {}: {detail}", run.called())));
    }
    let cancelled = wire::Cancelled::of(&run, effect);
    api.wakes.runner.notify_one();
    tracing::info!(cron = run.called(), run_id = %id, detail = cancelled.detail, "to be cancelled on request");
    Ok(Json(cancelled))
}

fn id(text: &str) -> Result<RunId, ErrorResponse> {
    text.parse().map_err(|_| ErrorResponse::Invalid(format!("`{text}` is no run id (a UUID)")))
}
