//! What happened in a stretch of time: of all crons, and of one of them by day.

use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;

use super::parse::{query_instant, unknown_cron};
use super::status;
use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::{PathParameter, StrictQuery};
use crate::api::viewer::Viewer;
use crate::api::wire::{CronStats, Report};
use crate::domain::bounds::{REPORT_PERIOD, STATS_PERIOD};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct ReportQuery {
    /// The beginning; 12 hours ago if absent.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Whether all crons are listed, and not only the 40 that need somebody first.
    #[serde(default)]
    all: bool,
}

/// Get what happened in a stretch of time
///
/// Counted by hour or, if it began more than 72 hours ago, by day in UTC. The counts are kept when runs are deleted.
#[utoipa::path(
    get, path = "/v1/report", tag = "daemon", params(ReportQuery),
    responses((status = 200, description = "The report", body = Report), ErrorResponse)
)]
pub(in crate::api) async fn report(
    viewer: Viewer,
    State(api): State<Api>,
    StrictQuery(query): StrictQuery<ReportQuery>,
) -> Result<Json<Report>, ErrorResponse> {
    let since = query_instant("since", query.since.as_deref())?;
    let attention = status::report(&api, viewer).await?.attention;
    let now = api.clock.now();
    let since = since.unwrap_or_else(|| before(now, REPORT_PERIOD));
    let report = api.store.read(move |reader| Report::read(reader, attention, since, query.all, now));
    Ok(Json(report.await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct StatsQuery {
    /// The first day; that of 30 days ago if absent.
    #[param(format = DateTime)]
    since: Option<String>,
}

/// Get the statistics of a cron by day
///
/// They are kept when runs are deleted.
#[utoipa::path(
    get, path = "/v1/crons/{name}/stats", tag = "crons",
    params(("name" = String, Path, description = "The name or id of the cron", example = "daily-digest"), StatsQuery),
    responses((status = 200, description = "The statistics", body = CronStats), ErrorResponse)
)]
pub(in crate::api) async fn stats(
    State(api): State<Api>,
    PathParameter(name): PathParameter,
    StrictQuery(query): StrictQuery<StatsQuery>,
) -> Result<Json<CronStats>, ErrorResponse> {
    let now = api.clock.now();
    let since = query_instant("since", query.since.as_deref())?.unwrap_or_else(|| before(now, STATS_PERIOD));
    let name_or_id = name.clone();
    match api.store.read(move |reader| CronStats::read(reader, &name_or_id, since, now)).await? {
        Some(stats) => Ok(Json(stats)),
        None => Err(unknown_cron(&api, &name).await),
    }
}

fn before(now: Timestamp, period: std::time::Duration) -> Timestamp {
    now.saturating_sub(SignedDuration::try_from(period).unwrap_or_default()).unwrap_or(Timestamp::MIN)
}
