//! The crons, and one of them with its definition.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::listing;
use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::{ApiQuery, PathName};
use crate::api::wire::{self, Page};
use crate::store::{CronCursor, CronListing};

/// Which crons.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CronsQuery {
    /// Only those whose definition lives there.
    #[param(value_type = wire::SourceWord, inline, required = false)]
    source: Option<String>,
    /// Only those that stand like this.
    #[param(value_type = wire::StateWord, inline, required = false)]
    state: Option<String>,
    /// Only those with this in their name.
    name: Option<String>,
    /// The `next_cursor` of the page before.
    #[param(max_length = 2000, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// Items on the page; 100 if it is not given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// List the crons, by name.
#[utoipa::path(
    get, path = "/v1/crons", tag = "crons", params(CronsQuery),
    responses((status = 200, description = "A page of crons", body = Page<wire::Cron>), ErrorResponse)
)]
pub(super) async fn crons(
    State(api): State<Api>,
    ApiQuery(query): ApiQuery<CronsQuery>,
) -> Result<Json<Page<wire::Cron>>, ErrorResponse> {
    let filter = CronListing {
        source: query.source.map(|word| listing::one("source", &word)).transpose()?,
        state: query.state.map(|word| listing::one("state", &word)).transpose()?,
        name: query.name,
    };
    let limit = listing::limit(query.limit)?;
    let cursor: Option<CronCursor> = listing::cursor(query.cursor.as_deref())?;
    let now = api.clock.now();
    let page = api.store.read(move |reader| {
        let rows = reader.crons_after(&filter, cursor.as_ref(), limit + 1)?;
        let rows = rows.into_iter().map(|row| (CronCursor::after(&row), row)).collect();
        Ok(listing::page(rows, limit, |row| wire::Cron::of(row, now)))
    });
    Ok(Json(page.await?))
}

/// Show a cron: how it stands, its definition, its next times.
#[utoipa::path(
    get, path = "/v1/crons/{name}", tag = "crons",
    params(("name" = String, Path, description = "The cron's name or id", example = "daily-digest")),
    responses((status = 200, description = "The cron", body = wire::CronDetails), ErrorResponse)
)]
pub(super) async fn cron(
    State(api): State<Api>,
    PathName(name): PathName,
) -> Result<Json<wire::CronDetails>, ErrorResponse> {
    let (now, asked) = (api.clock.now(), name.clone());
    let details = api.store.read(move |reader| {
        Ok(reader.cron_details(&asked)?.map(|details| wire::CronDetails::of(&details, now)))
    });
    match details.await? {
        Some(details) => Ok(Json(details)),
        None => Err(ErrorResponse::unknown_cron(&api, &name).await),
    }
}
