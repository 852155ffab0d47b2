//! One webhook: each attempt to send it with where its time went, what was sent, and what becomes of it next.

mod attempts;

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};

use super::frame::{Content, Tab};
use super::shown::{act_link, copyable, delivery_status, prose, quoted, text};
use super::values;
use super::visit::Visit;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::PathParameter;
use crate::api::v1;
use crate::api::v1::parse::find;
use crate::api::wire::{Delivery, DeliveryDetails, Time};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::ids::DeliveryId;
use crate::present::{ID_CHARS_SHOWN, with_short_ids};
use crate::store::{Reader, Topic, WebhookQueue};
use crate::webhook::{is_of, redacted};

/// The part of the address that asks for the exact bytes.
const BODY: &str = "body";

/// What the page shows.
struct WebhookPage {
    details: DeliveryDetails,
    queue: WebhookQueue,
    /// The exact bytes, if they were asked for and are kept.
    body: Option<Option<Vec<u8>>>,
}

pub(super) async fn webhook(visit: Visit, Path(delivery_id): Path<String>) -> Response {
    match read(&visit, delivery_id).await {
        Ok(told) => {
            let delivery = &told.details.delivery;
            let short = delivery.delivery_id.get(..ID_CHARS_SHOWN).unwrap_or_default();
            let content = Content {
                tab: Tab::Webhooks,
                title: format!("Webhook {short}: {}", delivery.status.0),
                topics: &[Topic::Delivery],
                cron: delivery.cron_name.clone(),
                json: Some(format!("deliveries/{}", delivery.delivery_id)),
                command: Some(format!("agentcron webhook show {short}")),
                main: main(&visit, &told),
            };
            visit.page(content).await
        }
        Err(error) => visit.failed(error),
    }
}

/// Returns the exact bytes that every attempt sends, to be kept as a file.
pub(super) async fn raw(visit: Visit, Path((delivery_id, what)): Path<(String, String)>) -> Response {
    match raw_body(&visit, &delivery_id, &what).await {
        Ok(body) => values::file(
            &format!("webhook-{}.json", delivery_id.get(..ID_CHARS_SHOWN).unwrap_or("body")),
            body,
        ),
        Err(error) => visit.failed(error),
    }
}

async fn raw_body(visit: &Visit, delivery_id: &str, what: &str) -> Result<Vec<u8>, ErrorResponse> {
    visit.demand_values()?;
    if what != BODY {
        return Err(ErrorResponse::not_found("there is no such page"));
    }
    let delivery_id = find(&visit.api, "delivery", delivery_id, Reader::webhooks_with_prefix).await?;
    let body = visit.api.store.read(move |reader| reader.webhook_body(delivery_id)).await?;
    body.ok_or_else(|| ErrorResponse::not_found("the body of this webhook is not kept any more"))
}

async fn read(visit: &Visit, delivery_id: String) -> Result<WebhookPage, ErrorResponse> {
    let store = &visit.api.store;
    let state = State(visit.api.clone());
    let details = v1::deliveries::delivery(visit.viewer, state, PathParameter(delivery_id)).await?.0;
    let is_wanted = visit.may_see_values() && visit.parameter("values").as_deref() == Some(BODY);
    let delivery_id: Option<DeliveryId> = details.delivery.delivery_id.parse().ok().filter(|_| is_wanted);
    let body = match delivery_id {
        Some(delivery_id) => Some(store.read(move |reader| reader.webhook_body(delivery_id)).await?),
        None => None,
    };
    Ok(WebhookPage { details, queue: store.read(Reader::webhook_queue).await?, body })
}

fn main(visit: &Visit, told: &WebhookPage) -> Markup {
    let delivery = &told.details.delivery;
    html! {
        h1 {
            (delivery_status(delivery.status.0))
            @match (&delivery.cron_name, &delivery.run_id) {
                (Some(name), _) => { " webhook about " (visit.cron_link(name)) }
                (None, Some(_)) => " webhook about a client’s run",
                (None, None) => " notification",
            }
        }
        p.sub {
            "to " (text(&delivery.url)) " · recorded " (visit.clock.time_and_relative(delivery.created_at, None))
            @if let Some(run_id) = &delivery.run_id { " · about run " (visit.run_link(run_id)) }
        }
        (why(visit, told))
        (acts(visit, told))
        (attempts::attempts(visit, &told.details))
        (body(visit, told))
        (ids(delivery))
    }
}

/// Says why it has its state, and what becomes of it next.
fn why(visit: &Visit, told: &WebhookPage) -> Markup {
    let delivery = &told.details.delivery;
    let away = told.queue.receivers_away.iter().find(|outage| is_of(&delivery.url, &outage.subject));
    html! {
        @match (&delivery.waits, away.filter(|_| !delivery.status.0.is_over())) {
            (Some(waits), Some(outage)) => p.why.attention { "It " (text(waits)) ", since " (visit.clock.time_and_relative(Time(outage.since), None)) "." },
            (Some(waits), None) => p.why.attention { "It " (text(waits)) "." },
            (None, _) => {
                @if let Some(reason) = &delivery.reason { p.why { (prose(&with_short_ids(reason))) } }
                @if let Some(due) = delivery.due_at { p { "The next attempt is due " (visit.clock.time_and_relative(due, None)) "." } }
            },
        }
    }
}

fn acts(visit: &Visit, told: &WebhookPage) -> Markup {
    let (delivery, here) = (&told.details.delivery, visit.here());
    let doctor = delivery.cron_name.as_ref().filter(|_| delivery.status.0 != DeliveryStatus::Delivered);
    let is_suspended = told.queue.suspended.iter().any(|one| redacted(&one.url) == delivery.url);
    html! {
        @if visit.may_act {
            p.acts {
                @if delivery.status.0.is_over() { (act_link(&visit.up, "replay", &[("id", &delivery.delivery_id), ("next", &here)], "Send it again")) }
                @if is_suspended { (act_link(&visit.up, "resume-url", &[("url", &delivery.url), ("next", &here)], "Send to this URL again")) }
                @if delivery.status.0 == DeliveryStatus::Failed { (act_link(&visit.up, "replay", &[("url", delivery.url.trim_end_matches("?…")), ("status", "failed"), ("next", &here)], "Send all again that failed there")) }
            }
        }
        @if let Some(cron) = doctor { p.dim { "What is wrong with its receiver, step by step: " (visit.command(&format!("agentcron webhook doctor --cron {}", quoted(cron)))) } }
    }
}

fn body(visit: &Visit, told: &WebhookPage) -> Markup {
    let raw = format!("{}webhooks/{}/{BODY}", visit.up, told.details.delivery.delivery_id);
    html! {
        section #values {
            h2 { "What is sent" }
            @if !visit.may_see_values() { (visit.values_hidden("The body")) }
            @else {
                nav.saved aria-label="What is sent" {
                    a href="?values=body#values" aria-current=[told.body.is_some().then_some("true")] { "Body, byte for byte" }
                    @if told.body.is_some() { a href="?#values" { "Hide" } }
                }
                @match &told.body {
                    None => {},
                    Some(None) => p.dim { "It is not kept any more." },
                    Some(Some(body)) => (values::shown(&String::from_utf8_lossy(body), &raw)),
                }
            }
            details {
                summary { "How its receiver can tell that it is from here, and that it has it already" }
                p {
                    "Every attempt sends these bytes with the header " code { "webhook-id: " (told.details.delivery.webhook_id) } ", the same each time: who has seen it can ignore it. "
                    "With a signing secret, " code { "webhook-signature" } " signs that id, " code { "webhook-timestamp" } " and the body, as standardwebhooks.com has it."
                }
            }
        }
    }
}

fn ids(delivery: &Delivery) -> Markup {
    html! {
        section {
            h2 { "Ids" }
            dl.facts {
                dt { "Webhook" } dd { (copyable(&delivery.delivery_id)) }
                dt { "webhook-id" } dd { (copyable(&delivery.webhook_id)) }
                @if let Some(run_id) = &delivery.run_id { dt { "Run" } dd { (copyable(run_id)) } }
            }
        }
    }
}
