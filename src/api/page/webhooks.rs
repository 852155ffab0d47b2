//! Webhooks: whether they arrived, by receiver and one by one.

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};

use super::frame::{Content, Tab};
use super::shown::{delivery_status, text};
use super::visit::Visit;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::PathParameter;
use crate::api::v1;
use crate::api::wire::{Delivery, DeliveryDetails, Page};
use crate::domain::bounds::{PAGE_ROWS, PAGE_ROWS_MAX};
use crate::store::Topic;

pub(super) async fn webhooks(visit: Visit) -> Response {
    match list(&visit).await {
        Ok(page) => {
            let query = visit.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            let content = Content {
                tab: Tab::Webhooks,
                title: "Webhooks".to_owned(),
                topics: &[Topic::Delivery],
                cron: visit.parameter("cron"),
                json: Some(format!("deliveries{query}")),
                command: Some("agentcron webhook list".to_owned()),
                main: main(&visit, &page),
            };
            visit.page(content).await
        }
        Err(error) => visit.failed(error),
    }
}

async fn list(visit: &Visit) -> Result<Page<Delivery>, ErrorResponse> {
    let rows = visit.rows(PAGE_ROWS, PAGE_ROWS_MAX)?;
    let query = visit.query_with(&[("limit", &rows.to_string())])?;
    v1::deliveries::deliveries(visit.viewer, State(visit.api.clone()), query).await.map(|page| page.0)
}

fn main(visit: &Visit, page: &Page<Delivery>) -> Markup {
    html! {
        h1 { "Webhooks" }
        div.wide { table.rows data-list="webhooks" {
            thead { tr { th { "Status" } th { "Cron" } th { "Recorded" } th { "To" } th { "Why" } } }
            tbody { @for webhook in &page.items { tr id={ "webhook-" (webhook.delivery_id) } {
                td data-label="Status" { a href={ "webhooks/" (webhook.delivery_id) } { (delivery_status(webhook.status.0)) } }
                td data-label="Cron" { @if let Some(name) = &webhook.cron_name { (visit.cron_link(name)) } }
                td data-label="Recorded" { (visit.clock.time(webhook.created_at, None)) }
                td data-label="To" { (text(&webhook.url)) }
                td.why data-label="Why" { (text(webhook.waits.as_deref().or(webhook.reason.as_deref()).unwrap_or_default())) }
            } } }
        } }
        (visit.older(page.next_cursor.as_deref(), "Newest"))
    }
}

pub(super) async fn webhook(visit: Visit, Path(delivery_id): Path<String>) -> Response {
    match v1::deliveries::delivery(visit.viewer, State(visit.api.clone()), PathParameter(delivery_id)).await {
        Ok(details) => {
            let delivery = &details.0.delivery;
            let content = Content {
                tab: Tab::Webhooks,
                title: format!("Webhook {}", delivery.delivery_id.get(..8).unwrap_or_default()),
                topics: &[Topic::Delivery],
                cron: delivery.cron_name.clone(),
                json: Some(format!("deliveries/{}", delivery.delivery_id)),
                command: Some(format!(
                    "agentcron webhook show {}",
                    delivery.delivery_id.get(..8).unwrap_or_default()
                )),
                main: one(&visit, &details.0),
            };
            visit.page(content).await
        }
        Err(error) => visit.failed(error),
    }
}

fn one(visit: &Visit, details: &DeliveryDetails) -> Markup {
    let delivery = &details.delivery;
    html! {
        h1 { (delivery_status(delivery.status.0)) " webhook to " (text(&delivery.url)) }
        p { "About run " (visit.run_link(&delivery.run_id)) }
        ol.timeline { @for attempt in &details.attempts { li { (visit.clock.time_to_the_millisecond(attempt.started_at, None)) " " (text(attempt.detail.as_deref().unwrap_or_default())) } } }
    }
}
