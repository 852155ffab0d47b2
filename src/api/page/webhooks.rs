//! Webhooks: whether they are sent, how their receivers are, and each of them, filtered by the address.

mod receivers;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::frame::{Content, Tab};
use super::shown::{act_link, choice, delivery_status, quoted, text};
use super::visit::Visit;
use crate::api::error_response::ErrorResponse;
use crate::api::v1;
use crate::api::wire::{Delivery, Page, StatusReport, Time};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::delivery_mode::DeliveryMode;
use crate::domain::printable::on_one_line;
use crate::present::with_short_ids;
use crate::store::{Reader, Receivers, Topic, WebhookQueue};

/// Filters that somebody often wants, as links.
const SAVED: [(&str, &str); 4] = [
    ("All", "webhooks"),
    ("Did not arrive", "webhooks?status=failed,gone,blocked,aborted"),
    ("Waiting", "webhooks?status=pending,sending"),
    ("Suppressed", "webhooks?status=suppressed"),
];

/// What the page shows.
struct WebhooksPage {
    page: Page<Delivery>,
    queue: WebhookQueue,
    receivers: std::sync::Arc<Receivers>,
    status: std::sync::Arc<StatusReport>,
}

pub(super) async fn webhooks(visit: Visit) -> Response {
    match read(&visit).await {
        Ok(told) => {
            let content = Content {
                tab: Tab::Webhooks,
                title: "Webhooks".to_owned(),
                topics: &[Topic::Delivery],
                cron: visit.parameter("cron"),
                json: Some(format!("deliveries{}", visit.query_of_api())),
                command: Some(command(&visit)),
                main: main(&visit, &told),
            };
            visit.page(content).await
        }
        Err(error) => {
            let form = html! { (visit.saved(SAVED)) (filters(&visit)) };
            visit.no_list(Tab::Webhooks, "Webhooks", form, error).await
        }
    }
}

async fn read(visit: &Visit) -> Result<WebhooksPage, ErrorResponse> {
    let query = visit.query_of_list()?;
    let api = &visit.api;
    let page = v1::deliveries::deliveries(visit.viewer, State(api.clone()), query).await?.0;
    Ok(WebhooksPage {
        page,
        queue: api.store.read(Reader::webhook_queue).await?,
        receivers: api.kept.receivers(api).await?,
        status: api.kept.status(api, visit.viewer).await?,
    })
}

fn main(visit: &Visit, told: &WebhooksPage) -> Markup {
    let is_first = visit.parameter("cursor").is_none();
    html! {
        h1 { "Webhooks" }
        @if is_first { (flow(visit, told)) (receivers::receivers(visit, &told.receivers, &told.queue)) }
        section {
            h2 { "Each of them" }
            (visit.saved(SAVED))
            (filters(visit))
            (list(visit, told))
            (visit.older(told.page.next_cursor.as_deref(), "Newest"))
        }
    }
}

/// Says whether webhooks are sent at all, with what can be done about that.
fn flow(visit: &Visit, told: &WebhooksPage) -> Markup {
    let (queue, here) = (&told.queue, visit.here());
    let waiting = told.status.deliveries_waiting;
    html! {
        div.flow {
            @match (queue.disabled_since, &queue.mode) {
                (Some(since), _) => {
                    strong.state.attention { span.mark aria-hidden="true" { "–" } "disabled" }
                    span { "in the configuration, since " (visit.clock.time(Time(since), None)) ": they are recorded and not sent" }
                }
                (None, DeliveryMode::Held(hold)) => {
                    strong.state.attention { span.mark aria-hidden="true" { "‖" } "held" }
                    span { "since " (visit.clock.time_and_relative(Time(hold.since), None)) @if let Some(note) = &hold.note { ": “" (text(note)) "”" } }
                }
                (None, DeliveryMode::Released(release)) => {
                    strong.state.active { span.mark aria-hidden="true" { "▶" } "released" }
                    span { "at " (release.per_second) " per second, " (queue.backlog) " left" }
                }
                (None, DeliveryMode::Free) => strong.state.good { span.mark aria-hidden="true" { "✓" } "sent as they fall due" },
            }
            span { (match waiting { 0 => "none waiting".to_owned(), waiting => format!("{waiting} waiting") }) }
            @if queue.suppressed > 0 { a href="webhooks?status=suppressed" { (queue.suppressed) " suppressed" } }
            @if visit.may_act {
                span.acts {
                    @if matches!(queue.mode, DeliveryMode::Free) { (act_link(&visit.up, "hold", &[("next", &here)], "Hold all")) }
                    @else { (act_link(&visit.up, "release", &[("next", &here)], "Release")) }
                    (act_link(&visit.up, "replay", &[("status", &did_not_arrive()), ("next", &here)], "Replay what did not arrive"))
                }
            }
        }
    }
}

fn filters(visit: &Visit) -> Markup {
    let value = |name: &str| visit.parameter(name).unwrap_or_default();
    html! {
        form.filters {
            label { "Cron" input name="cron" value=(value("cron")) placeholder="its whole name" autocomplete="off"; }
            (choice("status", "Status", DeliveryStatus::WORDS, &value("status")))
            label { "To" input name="url" value=(value("url")) placeholder="in the URL" autocomplete="off"; }
            (visit.time_field("since", "Since"))
            (visit.time_field("until", "Before"))
            button type="submit" { "Filter" }
        }
    }
}

fn list(visit: &Visit, told: &WebhooksPage) -> Markup {
    let is_filtered = visit.uri.query().is_some_and(|query| !query.is_empty());
    html! {
        @if told.page.items.is_empty() {
            p.empty {
                @if is_filtered { "No webhook matches. " a href="webhooks" { "All webhooks" } }
                @else { "No webhook yet. A cron with " code { "webhook = \"https://…\"" } " reports each of its runs there when it ends." }
            }
        } @else {
            div.wide { table.rows data-list="webhooks" {
                thead { tr { th { "Status" } th { "Cron" } th { "Recorded" } th.n { "Attempts" } th { "To" } th { "Why" } } }
                tbody { @for webhook in &told.page.items { (row(visit, webhook)) } }
            } }
        }
    }
}

fn row(visit: &Visit, webhook: &Delivery) -> Markup {
    let why = webhook.waits.as_deref().or(webhook.reason.as_deref()).unwrap_or_default();
    html! {
        tr id={ "webhook-" (webhook.delivery_id) } {
            td data-label="Status" { a href={ (visit.up) "webhooks/" (webhook.delivery_id) } { (delivery_status(webhook.status.0)) } }
            td data-label="Cron" { @match &webhook.cron_name { Some(name) => (visit.cron_link(name)), None => span.dim { (if webhook.run_id.is_some() { "client" } else { "notification" }) } } }
            td data-label="Recorded" { (visit.clock.time(webhook.created_at, None)) }
            td.n data-label="Attempts" { (webhook.attempts_made) }
            td.url data-label="To" { (text(&webhook.url)) }
            td.why data-label="Why" {
                span.clamped title=(on_one_line(why)) {
                    @if let Some(due) = webhook.due_at.filter(|due| due.0 > visit.now && webhook.held_since.is_none()) {
                        "next attempt " (visit.clock.relative(due)) @if !why.is_empty() { "; " }
                    }
                    (text(&with_short_ids(why)))
                }
            }
        }
    }
}

fn command(visit: &Visit) -> String {
    let mut command = "agentcron webhook list".to_owned();
    for name in ["cron", "status", "url", "run", "since", "until"] {
        if let Some(value) = visit.parameter_elsewhere(name) {
            command.push_str(&format!(" --{name} {}", quoted(&value)));
        }
    }
    command
}

/// Returns the statuses of what ended without having arrived.
fn did_not_arrive() -> String {
    let statuses = DeliveryStatus::ALL.iter();
    let missed = statuses.filter(|status| status.is_over() && **status != DeliveryStatus::Delivered);
    missed.map(|status| status.as_str()).collect::<Vec<_>>().join(",")
}
