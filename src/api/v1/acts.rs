//! The acts: a listing.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::listing::{PageRequest, page};
use super::parse::{query_instant, unknown_cron};
use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::StrictQuery;
use crate::api::wire::{self, Page};
use crate::store::{ActFilter, PageCursor};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct ActsQuery {
    /// Only acts on the cron with this name or id, on its runs and on their webhooks.
    cron: Option<String>,
    /// Only acts at this instant or later.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only acts before this instant.
    #[param(format = DateTime)]
    until: Option<String>,
    /// The `next_cursor` of the previous page.
    #[param(max_length = 2000, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// The most items on a page; 100 if absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// List who did what, latest first
///
/// Each act of a person, of a client or of agentcron itself that changed something: pauses, triggers, cancellations,
/// control of webhooks, and what clients did to their crons. The last 100 000 are kept.
#[utoipa::path(
    get, path = "/v1/acts", tag = "daemon", params(ActsQuery),
    responses((status = 200, description = "A page of acts", body = Page<wire::Act>), ErrorResponse)
)]
pub(in crate::api) async fn acts(
    State(api): State<Api>,
    StrictQuery(query): StrictQuery<ActsQuery>,
) -> Result<Json<Page<wire::Act>>, ErrorResponse> {
    let since = query_instant("since", query.since.as_deref())?;
    let until = query_instant("until", query.until.as_deref())?;
    let request: PageRequest<PageCursor> = PageRequest::parse(query.cursor.as_deref(), query.limit)?;
    let cron = query.cron.clone();
    let page = api.store.read(move |reader| {
        let crons = match &cron {
            Some(name) => match reader.crons_named_or_removed(name)? {
                crons if crons.is_empty() => return Ok(None),
                crons => Some(crons),
            },
            None => None,
        };
        let rows = reader.acts_before(&ActFilter { crons, since, until }, request.cursor, request.rows())?;
        Ok(Some(page(rows, request.limit, wire::Act::of)))
    });
    match page.await? {
        Some(page) => Ok(Json(page)),
        None => Err(unknown_cron(&api, &query.cron.unwrap_or_default()).await),
    }
}
