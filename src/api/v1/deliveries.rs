//! The deliveries: a listing, and one of them attempt by attempt.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::listing::{PageRequest, page};
use super::parse::{find, query_instant, word_list};
use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::{PathParameter, StrictQuery};
use crate::api::viewer::Viewer;
use crate::api::wire::{self, Page};
use crate::store::{DeliveryFilter, PageCursor, Reader};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct DeliveriesQuery {
    /// Only deliveries with one of these statuses, separated by commas.
    #[param(style = Form, explode = false, value_type = Vec<wire::DeliveryStatusParameter>, inline, min_items = 1, required = false)]
    status: Option<String>,
    /// Only deliveries about runs of crons with this name.
    cron: Option<String>,
    /// Only deliveries about the run with this id, or with the only one that begins so.
    #[param(pattern = "^[0-9A-Fa-f-]{4,36}$")]
    run: Option<String>,
    /// Only deliveries with this text in their URL; the query of the URL is not searched.
    url: Option<String>,
    /// Only deliveries created at this instant or later. A delivery is created when its run ends.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only deliveries created before this instant.
    #[param(format = DateTime)]
    until: Option<String>,
    /// The `next_cursor` of the previous page.
    #[param(max_length = 2000, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// The most items on a page; 100 if absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// List deliveries, newest first
#[utoipa::path(
    get, path = "/v1/deliveries", tag = "deliveries", params(DeliveriesQuery),
    responses((status = 200, description = "A page of deliveries", body = Page<wire::Delivery>), ErrorResponse)
)]
pub(in crate::api) async fn deliveries(
    viewer: Viewer,
    State(api): State<Api>,
    StrictQuery(query): StrictQuery<DeliveriesQuery>,
) -> Result<Json<Page<wire::Delivery>>, ErrorResponse> {
    let filter = DeliveryFilter {
        statuses: word_list("status", query.status.as_deref())?,
        cron: query.cron,
        run_id: match &query.run {
            Some(text) => Some(find(&api, "run", text, Reader::runs_with_prefix).await?),
            None => None,
        },
        url: query.url,
        since: query_instant("since", query.since.as_deref())?,
        until: query_instant("until", query.until.as_deref())?,
        with_body: false,
    };
    let request: PageRequest<PageCursor> = PageRequest::parse(query.cursor.as_deref(), query.limit)?;
    let now = api.clock.now();
    let page = api.store.read(move |reader| {
        let rows = reader.webhooks_before(&filter, request.cursor, request.rows())?;
        let queue = reader.webhook_queue()?;
        Ok(page(rows, request.limit, |row| wire::Delivery::of(row, &queue, now)))
    });
    Ok(viewer.show(page.await?))
}

/// Get a delivery with all its attempts
///
/// Each attempt says how long its phases took and what the receiver responded.
#[utoipa::path(
    get, path = "/v1/deliveries/{delivery_id}", tag = "deliveries",
    params(("delivery_id" = String, Path, pattern = "^[0-9A-Fa-f-]{4,36}$", description = "The id of the delivery or of its run, or its beginning")),
    responses((status = 200, description = "The delivery", body = wire::DeliveryDetails), ErrorResponse)
)]
pub(in crate::api) async fn delivery(
    viewer: Viewer,
    State(api): State<Api>,
    PathParameter(delivery_id): PathParameter,
) -> Result<Json<wire::DeliveryDetails>, ErrorResponse> {
    let delivery_id = find(&api, "delivery", &delivery_id, Reader::webhooks_with_prefix).await?;
    let now = api.clock.now();
    let details = api.store.read(move |reader| {
        let queue = reader.webhook_queue()?;
        Ok(reader
            .webhook_details(delivery_id)?
            .map(|details| wire::DeliveryDetails::of(&details, &queue, now)))
    });
    let not_found = || ErrorResponse::not_found(format!("there is no delivery {delivery_id}"));
    details.await?.map(|details| viewer.show(details)).ok_or_else(not_found)
}
