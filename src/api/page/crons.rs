//! Crons: a list that is filtered by its address, with what can be done to many at once.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::frame::{Content, Tab};
use super::shown::{status, text};
use super::visit::Visit;
use crate::api::error_response::ErrorResponse;
use crate::api::v1;
use crate::api::wire::{Cron, Page};
use crate::domain::bounds::{PAGE_ROWS, PAGE_ROWS_MAX};
use crate::store::Topic;

pub(super) async fn crons(visit: Visit) -> Response {
    match list(&visit).await {
        Ok(page) => {
            let query = visit.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            let content = Content {
                tab: Tab::Crons,
                title: "Crons".to_owned(),
                topics: &[Topic::Cron, Topic::Run],
                cron: None,
                json: Some(format!("crons{query}")),
                command: Some("agentcron list".to_owned()),
                main: main(&visit, &page),
            };
            visit.page(content).await
        }
        Err(error) => visit.failed(error),
    }
}

async fn list(visit: &Visit) -> Result<Page<Cron>, ErrorResponse> {
    let rows = visit.rows(PAGE_ROWS, PAGE_ROWS_MAX)?;
    let query = visit.query_with(&[("limit", &rows.to_string())])?;
    v1::crons::crons(visit.viewer, State(visit.api.clone()), query).await.map(|page| page.0)
}

fn main(visit: &Visit, page: &Page<Cron>) -> Markup {
    html! {
        h1 { "Crons" }
        div.wide { table.rows data-list="crons" {
            thead { tr { th { "Cron" } th { "Schedule" } th { "Next" } th { "Last" } th.n { "p50" } } }
            tbody { @for cron in &page.items { (row(visit, cron)) } }
        } }
        (visit.older(page.next_cursor.as_deref(), "First"))
    }
}

fn row(visit: &Visit, cron: &Cron) -> Markup {
    let zone = cron.timezone.as_deref();
    html! {
        tr id={ "cron-" (cron.cron_id) } {
            td data-label="Cron" { (visit.cron_link(&cron.cron_name)) }
            td data-label="Schedule" { (text(cron.description.as_deref().unwrap_or_default())) " " span.dim { (zone.unwrap_or_default()) } }
            td data-label="Next" { @if let Some(next) = cron.next_at { (visit.clock.time_and_relative(next, zone)) } }
            td data-label="Last" { @if let Some(last) = &cron.last { (status(&last.status)) } }
            td.n data-label="p50" { (cron.recent.p50_ms.map(super::shown::took).unwrap_or_default()) }
        }
    }
}
