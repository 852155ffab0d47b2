//! Runs: a list that is filtered by its address.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::frame::{Content, Tab};
use super::visit::Visit;
use crate::api::error_response::ErrorResponse;
use crate::api::v1;
use crate::api::wire::{Page, Run};
use crate::domain::bounds::{PAGE_ROWS, PAGE_ROWS_MAX};
use crate::domain::run::{Phase, Status, Trigger};
use crate::store::Topic;

/// Filters that somebody often wants, as links.
const SAVED: [(&str, &str); 5] = [
    ("All", "runs"),
    ("Went wrong", "runs?failed=true"),
    ("In progress", "runs?status=pending,sending,unconfirmed,running"),
    ("Missed", "runs?status=missed"),
    ("By clients", "runs?trigger=api"),
];

pub(super) async fn runs(visit: Visit) -> Response {
    match list(&visit).await {
        Ok(page) => {
            let query = visit.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            let content = Content {
                tab: Tab::Runs,
                title: "Runs".to_owned(),
                topics: &[Topic::Run, Topic::Delivery],
                cron: visit.parameter("cron"),
                json: Some(format!("runs{query}")),
                command: Some(command(&visit)),
                main: main(&visit, &page),
            };
            visit.page(content).await
        }
        Err(error) => visit.failed(error),
    }
}

async fn list(visit: &Visit) -> Result<Page<Run>, ErrorResponse> {
    let rows = visit.rows(PAGE_ROWS, PAGE_ROWS_MAX)?;
    let query = visit.query_with(&[("limit", &rows.to_string())])?;
    v1::runs::runs(visit.viewer, State(visit.api.clone()), query).await.map(|page| page.0)
}

fn main(visit: &Visit, page: &Page<Run>) -> Markup {
    let here = visit.here();
    html! {
        h1 { "Runs" }
        nav.saved aria-label="Filters" {
            @for (label, path) in SAVED {
                a href={ (visit.up) (path) } aria-current=[(here == path).then_some("true")] { (label) }
            }
        }
        (filters(visit))
        @match page.items.as_slice() {
            [] => p.empty { "No run matches." },
            runs => div.wide { (visit.run_rows(runs, None)) },
        }
        (visit.older(page.next_cursor.as_deref(), "Newest"))
    }
}

fn filters(visit: &Visit) -> Markup {
    let value = |name: &str| visit.parameter(name).unwrap_or_default();
    let choice = |name: &str, label: &str, words: &[&str]| {
        let chosen = value(name);
        html! {
            label { (label) select name=(name) {
                option value="" { "any" }
                @for word in words { option value=(word) selected[chosen == *word] { (word) } }
                @if !chosen.is_empty() && !words.contains(&chosen.as_str()) { option value=(chosen) selected { (chosen) } }
            } }
        }
    };
    let in_progress = Phase::ALL.iter().filter(|phase| **phase != Phase::Ended).map(|phase| phase.as_str());
    let statuses: Vec<&str> = Status::WORDS.iter().copied().chain(in_progress).collect();
    html! {
        form.filters {
            label { "Cron" input name="cron" value=(value("cron")) placeholder="name or id"; }
            (choice("status", "Status", &statuses))
            (choice("trigger", "Started by", Trigger::WORDS))
            label { "Mentions" input name="grep" value=(value("grep")) placeholder="in error, reason, id"; }
            button type="submit" { "Filter" }
        }
    }
}

fn command(visit: &Visit) -> String {
    let mut command = "agentcron history".to_owned();
    for (name, option) in [
        ("cron", "--cron"),
        ("status", "--status"),
        ("trigger", "--trigger"),
        ("grep", "--grep"),
        ("since", "--since"),
    ] {
        if let Some(value) = visit.parameter(name) {
            command.push_str(&format!(" {option} {}", super::shown::quoted(&value)));
        }
    }
    if visit.parameter("failed").as_deref() == Some("true") {
        command.push_str(" --failed");
    }
    command
}

/// Leads to what somebody looks for: a run or webhook by its id, or the crons with this in their name.
pub(super) async fn find(visit: Visit) -> Response {
    let wanted = visit.parameter("q").unwrap_or_default();
    let wanted = wanted.trim();
    let to = |path: &str| super::visit::to_page(&visit.uri, path).into_response();
    if let Some(run_id) = visit.id_of_run(wanted).await {
        return to(&format!("runs/{run_id}"));
    }
    if let Some(delivery_id) = visit.id_of_webhook(wanted).await {
        return to(&format!("webhooks/{delivery_id}"));
    }
    to(&format!("crons?name={}", super::shown::segment(wanted)))
}
