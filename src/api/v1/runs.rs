//! The runs: a listing, one of them with everything that is known, and its cancellation.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::listing::{PageRequest, page, page_until};
use super::parse::{find, id, own_input, query_instant, unknown_cron, word_list};
use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::{JsonBody, PathParameter, StrictQuery};
use crate::api::viewer::Viewer;
use crate::api::wire::{self, EmptyRequest, Page};
use crate::domain::act::Actor;
use crate::domain::bounds::{GREP_CHARS_MAX, GREP_RUNS_PER_PAGE};
use crate::domain::ids::RunId;
use crate::domain::needle::Needle;
use crate::domain::run::{Phase, Status};
use crate::store::{
    CancelEffect, CancelledRun, PageCursor, Reader, RetryRequest, RunDetails, RunFilter, StoreError,
    TriggeredRun,
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct RunsQuery {
    /// Only runs of the cron with this name or id.
    cron: Option<String>,
    /// Only runs with one of these statuses or in one of these phases, separated by commas.
    #[param(style = Form, explode = false, value_type = Vec<wire::RunStatusParameter>, inline, min_items = 1, required = false)]
    status: Option<String>,
    /// Only runs that went wrong: `error`, `timeout`, `missed`, or skipped because of an outage or a denial. With `status`, one of the two
    /// is enough.
    failed: Option<bool>,
    /// Only runs with one of these reason codes, separated by commas.
    #[param(style = Form, explode = false, value_type = Vec<wire::ReasonCodeParameter>, inline, min_items = 1, required = false)]
    reason: Option<String>,
    /// Only runs with one of these triggers, separated by commas.
    #[param(style = Form, explode = false, value_type = Vec<wire::TriggerParameter>, inline, min_items = 1, required = false)]
    trigger: Option<String>,
    /// Only runs with this text, in any case, in their id, their error, their reason or the name of their cron; for holders of
    /// a key. A request looks through 20000 runs, so a page may have fewer items than `limit`, or none, and a next one.
    #[param(min_length = 1, max_length = 200)]
    grep: Option<String>,
    /// Only runs scheduled for this instant or later.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only runs scheduled before this instant.
    #[param(format = DateTime)]
    until: Option<String>,
    /// The `next_cursor` of the previous page.
    #[param(max_length = 2000, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// The most items on a page; 100 if absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// List runs, newest first
#[utoipa::path(
    get, path = "/v1/runs", tag = "runs", params(RunsQuery),
    responses((status = 200, description = "A page of runs", body = Page<wire::Run>), ErrorResponse)
)]
pub(in crate::api) async fn runs(
    viewer: Viewer,
    State(api): State<Api>,
    StrictQuery(query): StrictQuery<RunsQuery>,
) -> Result<Json<Page<wire::Run>>, ErrorResponse> {
    let (statuses, phases) = statuses_and_phases(query.status.as_deref())?;
    let mut filter = RunFilter {
        crons: None,
        statuses,
        phases,
        went_wrong: query.failed == Some(true),
        triggers: word_list("trigger", query.trigger.as_deref())?,
        reasons: word_list("reason", query.reason.as_deref())?,
        since: query_instant("since", query.since.as_deref())?,
        until: query_instant("until", query.until.as_deref())?,
    };
    let request: PageRequest<PageCursor> = PageRequest::parse(query.cursor.as_deref(), query.limit)?;
    let cron = query.cron.clone();
    let needle = query.grep.as_deref().map(|text| needle(text, viewer)).transpose()?;
    let page = api.store.read(move |reader| {
        if let Some(name) = cron {
            let crons = reader.crons_named_or_removed(&name)?;
            if crons.is_empty() {
                return Ok(None);
            }
            filter.crons = Some(crons);
        }
        let Some(needle) = needle else {
            let rows = reader.runs_before(&filter, request.cursor, request.rows())?;
            return Ok(Some(page(rows, request.limit, wire::Run::of)));
        };
        let most = GREP_RUNS_PER_PAGE;
        let found = reader.runs_that_mention(&needle, &filter, request.cursor, request.rows(), most)?;
        Ok(Some(page_until(found.runs, found.stopped_at, request.limit, wire::Run::of)))
    });
    match page.await? {
        Some(page) => Ok(viewer.show(page)),
        None => Err(unknown_cron(&api, query.cron.as_deref().unwrap_or_default()).await),
    }
}

/// Returns what is looked for. Errors and reasons may quote values, which must not be found out by trying.
fn needle(text: &str, viewer: Viewer) -> Result<Needle, ErrorResponse> {
    if viewer != Viewer::OfEverything {
        return Err(ErrorResponse::forbidden(
            "grep: only for holders of a key, and at the Unix socket".to_owned(),
        ));
    }
    if text.is_empty() || text.chars().count() > GREP_CHARS_MAX {
        return Err(ErrorResponse::invalid(format!("grep: expected 1 to {GREP_CHARS_MAX} characters")));
    }
    Ok(Needle::of(text))
}

/// Parses the `status` parameter, which takes the statuses of ended runs and the phases of runs in progress.
fn statuses_and_phases(text: Option<&str>) -> Result<(Vec<Status>, Vec<Phase>), ErrorResponse> {
    let (mut statuses, mut phases) = (Vec::new(), Vec::new());
    for word in word_list::<String>("status", text)? {
        match (word.parse(), word.parse()) {
            (Ok(status), _) => statuses.push(status),
            (Err(_), Ok(Phase::Ended)) | (Err(_), Err(_)) => {
                let known = Status::ALL.iter().map(|status| status.as_str());
                let in_progress = Phase::ALL.iter().filter(|phase| **phase != Phase::Ended);
                let known = known.chain(in_progress.map(|phase| phase.as_str()));
                let known = known.collect::<Vec<_>>().join(", ");
                let word: String = word.chars().take(64).collect();
                return Err(ErrorResponse::invalid(format!("status: `{word}` is not one of {known}")));
            }
            (Err(_), Ok(phase)) => phases.push(phase),
        }
    }
    Ok((statuses, phases))
}

/// Get a run with its events, deliveries, values and error
#[utoipa::path(
    get, path = "/v1/runs/{run_id}", tag = "runs",
    params(("run_id" = String, Path, pattern = "^[0-9A-Fa-f-]{4,36}$", description = "The id of the run, or its beginning")),
    responses((status = 200, description = "The run", body = wire::RunDetails), ErrorResponse)
)]
pub(in crate::api) async fn run(
    viewer: Viewer,
    State(api): State<Api>,
    PathParameter(run_id): PathParameter,
) -> Result<Json<wire::RunDetails>, ErrorResponse> {
    details(viewer, &api, &run_id, Reader::run_details).await
}

/// Returns a run by its id or the beginning of it, as `read` finds it.
pub(in crate::api) async fn details(
    viewer: Viewer,
    api: &Api,
    run_id: &str,
    read: fn(&Reader, RunId) -> Result<Option<RunDetails>, StoreError>,
) -> Result<Json<wire::RunDetails>, ErrorResponse> {
    let run_id = find(api, "run", run_id, Reader::runs_with_prefix).await?;
    let details =
        api.store.read(move |reader| Ok(read(reader, run_id)?.map(|details| wire::RunDetails::of(&details))));
    details.await?.map(|details| viewer.show(details)).ok_or_else(|| not_found(run_id))
}

/// Cancel a run
///
/// A run that has not started will not start. A run that the agent server already has is cancelled there.
#[utoipa::path(
    post, path = "/v1/runs/{run_id}/cancel", tag = "runs",
    params(("run_id" = String, Path, format = Uuid, description = "The id of the run")),
    request_body = Option<EmptyRequest>,
    responses((status = 200, description = "What is done about the run", body = wire::Cancelled), ErrorResponse)
)]
pub(in crate::api) async fn cancel(
    State(api): State<Api>,
    by: Actor,
    PathParameter(run_id): PathParameter,
    JsonBody(EmptyRequest {}): JsonBody<EmptyRequest>,
) -> Result<Json<wire::Cancelled>, ErrorResponse> {
    let run_id: RunId = id("run", &run_id)?;
    let Some(CancelledRun { run, effect }) = api.store.cancel_run(api.clock.now(), by, run_id).await? else {
        return Err(not_found(run_id));
    };
    if effect == CancelEffect::AlreadyEnded {
        let detail = effect.message(&run);
        return Err(ErrorResponse::conflict(format!("run {run_id} of {}: {detail}", run.called())));
    }
    let cancelled = wire::Cancelled::of(&run, effect);
    api.wakes.runner.notify_one();
    tracing::info!(cron = run.called(), %run_id, detail = cancelled.detail, "run cancelled on request");
    Ok(Json(cancelled))
}

/// Run the occurrence of an ended run again
///
/// The new run starts now, by the present definition of the cron, even if the cron is paused or disabled. Its webhook
/// is sent when it ends.
#[utoipa::path(
    post, path = "/v1/runs/{run_id}/retry", tag = "runs",
    params(("run_id" = String, Path, format = Uuid, description = "The id of the run")),
    request_body = Option<wire::RunRequest>,
    responses((status = 200, description = "The new run", body = wire::Triggered), ErrorResponse)
)]
pub(in crate::api) async fn retry(
    State(api): State<Api>,
    by: Actor,
    PathParameter(run_id): PathParameter,
    JsonBody(wire::RunRequest { input }): JsonBody<wire::RunRequest>,
) -> Result<Json<wire::Triggered>, ErrorResponse> {
    let run_id: RunId = id("run", &run_id)?;
    let request = RetryRequest { run_id, input: own_input(input)? };
    let Some(TriggeredRun { run, waits_for }) = api.store.retry_run(api.clock.now(), by, request).await?
    else {
        return Err(not_found(run_id));
    };
    api.wakes.runner.notify_one();
    tracing::info!(cron = run.called(), %run_id, retried_as = %run.run_id, "run retried on request");
    Ok(Json(wire::Triggered::of(&run, waits_for.map(|run_id| run_id.to_string()))))
}

fn not_found(run_id: RunId) -> ErrorResponse {
    ErrorResponse::not_found(format!("there is no run {run_id}"))
}
