//! The deliveries, and one of them attempt by attempt.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::listing;
use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::{ApiQuery, PathName};
use crate::api::wire::{self, Page};
use crate::domain::ids::DeliveryId;
use crate::store::{DeliveryFilter, PageCursor};

/// Which deliveries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeliveriesQuery {
    /// Only with one of these.
    #[param(style = Form, explode = false, value_type = Vec<wire::DeliveryWord>, inline, min_items = 1, required = false)]
    status: Option<String>,
    /// Only of runs of crons by this name.
    cron: Option<String>,
    /// Only about this run.
    #[param(format = Uuid)]
    run: Option<String>,
    /// Only with this in the URL, before its query.
    url: Option<String>,
    /// Only made at this instant or later: when the run ended.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only made before this instant.
    #[param(format = DateTime)]
    until: Option<String>,
    /// The `next_cursor` of the page before.
    #[param(max_length = 2000, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// Items on the page; 100 if it is not given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// List deliveries, newest first.
#[utoipa::path(
    get, path = "/v1/deliveries", tag = "deliveries", params(DeliveriesQuery),
    responses((status = 200, description = "A page of deliveries", body = Page<wire::Delivery>), ErrorResponse)
)]
pub(super) async fn deliveries(
    State(api): State<Api>,
    ApiQuery(query): ApiQuery<DeliveriesQuery>,
) -> Result<Json<Page<wire::Delivery>>, ErrorResponse> {
    let run_id = |text: &String| {
        text.parse().map_err(|_| ErrorResponse::Invalid(format!("run: `{text}` is no run id (a UUID)")))
    };
    let filter = DeliveryFilter {
        statuses: listing::words("status", query.status.as_deref())?,
        cron: query.cron,
        run_id: query.run.as_ref().map(run_id).transpose()?,
        url: query.url,
        since: listing::instant("since", query.since.as_deref())?,
        until: listing::instant("until", query.until.as_deref())?,
    };
    let limit = listing::limit(query.limit)?;
    let cursor: Option<PageCursor> = listing::cursor(query.cursor.as_deref())?;
    let page = api.store.read(move |reader| {
        let rows = reader.webhooks_before(&filter, cursor, limit + 1)?;
        let mode = reader.webhook_queue()?.mode;
        Ok(listing::page(rows, limit, |row| wire::Delivery::of(row, &mode)))
    });
    Ok(Json(page.await?))
}

/// Show everything about a delivery: every attempt, what its time went into, what the receiver said.
#[utoipa::path(
    get, path = "/v1/deliveries/{delivery_id}", tag = "deliveries",
    params(("delivery_id" = String, Path, format = Uuid, description = "The delivery's id")),
    responses((status = 200, description = "The delivery", body = wire::DeliveryDetails), ErrorResponse)
)]
pub(super) async fn delivery(
    State(api): State<Api>,
    PathName(delivery_id): PathName,
) -> Result<Json<wire::DeliveryDetails>, ErrorResponse> {
    let id: DeliveryId = delivery_id
        .parse()
        .map_err(|_| ErrorResponse::Invalid(format!("`{delivery_id}` is no delivery id (a UUID)")))?;
    let details = api.store.read(move |reader| {
        let mode = reader.webhook_queue()?.mode;
        Ok(reader.webhook_details(id)?.map(|details| wire::DeliveryDetails::of(&details, &mode)))
    });
    details.await?.map(Json).ok_or_else(|| ErrorResponse::NotFound(format!("there is no delivery {id}")))
}
