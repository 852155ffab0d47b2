//! The outages: a listing.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;

use super::parse::query_instant;
use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::StrictQuery;
use crate::api::wire::{self, Page};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct OutagesQuery {
    /// Only outages that had not ended by this instant.
    #[param(format = DateTime)]
    since: Option<String>,
}

/// List outages, latest first
///
/// Of the agent server, of receivers, of the disk, and of the daemon itself. The last 10 000 are kept; all that match
/// are on one page.
#[utoipa::path(
    get, path = "/v1/outages", tag = "daemon", params(OutagesQuery),
    responses((status = 200, description = "The outages", body = Page<wire::Outage>), ErrorResponse)
)]
pub(in crate::api) async fn outages(
    State(api): State<Api>,
    StrictQuery(query): StrictQuery<OutagesQuery>,
) -> Result<Json<Page<wire::Outage>>, ErrorResponse> {
    let since = query_instant("since", query.since.as_deref())?.unwrap_or(Timestamp::MIN);
    let outages = api.outages_since(since).await?;
    Ok(Json(Page { items: outages.iter().map(wire::Outage::of).collect(), next_cursor: None }))
}
