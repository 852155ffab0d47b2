//! The crons: a listing, and one of them with its definition.

use axum::Json;
use axum::extract::State;
use jiff::tz::TimeZone;
use serde::Deserialize;
use utoipa::IntoParams;

use super::listing::{PageRequest, page};
use super::parse::{query_instant, unknown_cron, word};
use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::{PathParameter, StrictQuery};
use crate::api::viewer::Viewer;
use crate::api::wire::{self, Explanation, Page};
use crate::config::nearest;
use crate::domain::calendar::zone_named;
use crate::domain::plan::Decided;
use crate::store::{CronCursor, CronDetails, CronListing, DaemonState, ListedBy, Reader, StoreError};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct CronsQuery {
    /// Only crons that are defined in files, or only those created through the API.
    #[param(value_type = wire::CronSourceParameter, inline, required = false)]
    source: Option<String>,
    /// Only crons in this state; `failing`: their last run failed, whether or not they fire. Outages do not count.
    #[param(value_type = wire::CronStateParameter, inline, required = false)]
    state: Option<String>,
    /// Only crons with this text in their name.
    name: Option<String>,
    /// The order: by name if absent; `next`: by the next occurrence; `failures`: those that failed most often in a row first.
    #[param(value_type = wire::CronSortParameter, inline, required = false)]
    sort: Option<String>,
    /// The `next_cursor` of the previous page.
    #[param(max_length = 2000, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// The most items on a page; 100 if absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// List crons
#[utoipa::path(
    get, path = "/v1/crons", tag = "crons", params(CronsQuery),
    responses((status = 200, description = "A page of crons", body = Page<wire::Cron>), ErrorResponse)
)]
pub(in crate::api) async fn crons(
    viewer: Viewer,
    State(api): State<Api>,
    StrictQuery(query): StrictQuery<CronsQuery>,
) -> Result<Json<Page<wire::Cron>>, ErrorResponse> {
    let order = query.sort.map_or(Ok(ListedBy::Name), |text| word("sort", &text))?;
    let filter =
        CronListing { order, ..listing(query.source.as_deref(), query.state.as_deref(), query.name)? };
    let request: PageRequest<CronCursor> = PageRequest::parse(query.cursor.as_deref(), query.limit)?;
    let now = api.clock.now();
    let page = api.store.read(move |reader| {
        let rows = reader.crons_after(&filter, request.cursor.as_ref(), request.rows(), now)?;
        let decided = reader.decided(now)?;
        Ok(page(rows, request.limit, |row| wire::Cron::of(row, &decided, now)))
    });
    Ok(viewer.show(page.await?))
}

/// Returns the filter that these words mean.
pub(in crate::api) fn listing(
    source: Option<&str>,
    state: Option<&str>,
    name: Option<String>,
) -> Result<CronListing, ErrorResponse> {
    Ok(CronListing {
        source: source.map(|text| word("source", text)).transpose()?,
        state: state.map(|text| word("state", text)).transpose()?,
        name,
        order: ListedBy::Name,
    })
}

/// Returns the cron whose name, or whose name in a part, is nearest to this one.
pub(in crate::api) async fn nearest_to(api: &Api, name: &str) -> Result<Option<String>, ErrorResponse> {
    let names = api.store.cron_names().await?;
    if let Some(whole) = nearest(name, names.iter().map(String::as_str)) {
        return Ok(Some(whole.to_owned()));
    }
    let parts = names.iter().flat_map(|name| name.split(|char: char| !char.is_alphanumeric()));
    let part = nearest(name, parts.filter(|part| !part.is_empty()));
    Ok(part.and_then(|part| names.iter().find(|name| name.contains(part)).cloned()))
}

/// Returns a cron, also one that was removed, with what else is read of it at the same moment.
pub(in crate::api) async fn cron_and<T: Send + 'static>(
    viewer: Viewer,
    api: &Api,
    name: &str,
    read: impl FnOnce(&Reader, &CronDetails, &Decided) -> Result<T, StoreError> + Send + 'static,
) -> Result<(wire::CronDetails, T), ErrorResponse> {
    let (now, name_or_id) = (api.clock.now(), name.to_owned());
    let found = api.store.read(move |reader| {
        let decided = reader.decided(now)?;
        let Some(details) = reader.cron_details_of_any(&name_or_id, now)? else { return Ok(None) };
        let more = read(reader, &details, &decided)?;
        Ok(Some((wire::CronDetails::of(&details, &decided, now), more)))
    });
    match found.await? {
        Some((mut details, more)) => {
            viewer.hide(&mut details);
            Ok((details, more))
        }
        None => Err(unknown_cron(api, name).await),
    }
}

/// Get a cron: its state, its definition and its next occurrences
#[utoipa::path(
    get, path = "/v1/crons/{name}", tag = "crons",
    params(("name" = String, Path, description = "The name or id of the cron", example = "daily-digest")),
    responses((status = 200, description = "The cron", body = wire::CronDetails), ErrorResponse)
)]
pub(in crate::api) async fn cron(
    viewer: Viewer,
    State(api): State<Api>,
    PathParameter(name): PathParameter,
) -> Result<Json<wire::CronDetails>, ErrorResponse> {
    let (now, name_or_id) = (api.clock.now(), name.clone());
    let details = api.store.read(move |reader| {
        let decided = reader.decided(now)?;
        Ok(reader
            .cron_details(&name_or_id, now)?
            .map(|details| wire::CronDetails::of(&details, &decided, now)))
    });
    match details.await? {
        Some(details) => Ok(viewer.show(details)),
        None => Err(unknown_cron(&api, &name).await),
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct ExplainQuery {
    /// The instant; the last one of its schedule if absent.
    #[param(format = DateTime)]
    at: Option<String>,
    /// The time zone of the times in `detail`; UTC if absent.
    #[param(example = "Europe/Berlin")]
    timezone: Option<String>,
}

/// Explain why a cron did, did not, or will not fire at an instant
#[utoipa::path(
    get, path = "/v1/crons/{name}/explain", tag = "crons",
    params(("name" = String, Path, description = "The name or id of the cron", example = "daily-digest"), ExplainQuery),
    responses((status = 200, description = "The explanation", body = Explanation), ErrorResponse)
)]
pub(in crate::api) async fn explain(
    viewer: Viewer,
    State(api): State<Api>,
    PathParameter(name): PathParameter,
    StrictQuery(query): StrictQuery<ExplainQuery>,
) -> Result<Json<Explanation>, ErrorResponse> {
    let at = query_instant("at", query.at.as_deref())?;
    let zone = query.timezone.map_or(Ok(TimeZone::UTC), |name| zone_named(&name));
    let zone = zone.map_err(|error| ErrorResponse::not_found(format!("timezone: {error}")))?;
    let (now, name_or_id) = (api.clock.now(), name.clone());
    let explanation = api.store.read(move |reader| {
        let daemon = DaemonState::Running { pid: None };
        Explanation::read(reader, &daemon, (&name_or_id, at), &zone, now)
    });
    match explanation.await? {
        Some(Ok(explanation)) => Ok(viewer.show(explanation)),
        Some(Err(problem)) => Err(ErrorResponse::conflict(problem)),
        None => Err(unknown_cron(&api, &name).await),
    }
}
