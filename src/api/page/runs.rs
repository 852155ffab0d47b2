//! Runs: a list that is filtered by its address.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use maud::{Markup, html};

use super::frame::{Content, Tab};
use super::shown::choice;
use super::visit::Visit;
use crate::api::error_response::ErrorResponse;
use crate::api::v1;
use crate::api::v1::parse::find as find_id;
use crate::api::wire::{Page, Run};
use crate::domain::run::{Phase, Status, Trigger};
use crate::store::{Reader, Topic};

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
            let content = Content {
                tab: Tab::Runs,
                title: "Runs".to_owned(),
                topics: &[Topic::Run, Topic::Delivery],
                cron: visit.parameter("cron"),
                json: Some(format!("runs{}", visit.query_of_api())),
                command: Some(command(&visit)),
                main: main(&visit, &page),
            };
            visit.page(content).await
        }
        Err(error) => {
            let form = html! { (saved(&visit)) (filters(&visit)) };
            visit.no_list(Tab::Runs, "Runs", form, error).await
        }
    }
}

async fn list(visit: &Visit) -> Result<Page<Run>, ErrorResponse> {
    let query = visit.query_of_list()?;
    v1::runs::runs(visit.viewer, State(visit.api.clone()), query).await.map(|page| page.0)
}

fn main(visit: &Visit, page: &Page<Run>) -> Markup {
    html! {
        h1 { "Runs" }
        (saved(visit))
        (filters(visit))
        @match page.items.as_slice() {
            [] => p.empty {
                @if page.next_cursor.is_some() { "None of the runs that were looked through matches; there are more." }
                @else if visit.uri.query().is_some_and(|query| !query.is_empty()) { "No run matches. " a href="runs" { "All runs" } }
                @else { "No run yet. The first one appears here when a cron fires, or is run by hand." }
            },
            runs => div.wide { (visit.run_rows(runs, None)) },
        }
        (visit.older(page.next_cursor.as_deref(), "Newest"))
    }
}

fn saved(visit: &Visit) -> Markup {
    let today = format!("runs?failed=true&since={}", start_of_day(visit));
    visit.saved(SAVED.into_iter().chain([("Went wrong today", today.as_str())]))
}

/// Returns when the day began where the reader is.
fn start_of_day(visit: &Visit) -> Timestamp {
    let now = visit.now.to_zoned_datetime(visit.clock.zone());
    now.start_of_day().map_or(visit.now, |begin| begin.timestamp())
}

fn filters(visit: &Visit) -> Markup {
    let value = |name: &str| visit.parameter(name).unwrap_or_default();
    let in_progress = Phase::ALL.iter().filter(|phase| **phase != Phase::Ended).map(|phase| phase.as_str());
    let statuses: Vec<&str> = Status::WORDS.iter().copied().chain(in_progress).collect();
    html! {
        form.filters {
            label { "Cron" input name="cron" value=(value("cron")) placeholder="name or id"; }
            (choice("status", "Status", &statuses, &value("status")))
            (choice("trigger", "Started by", Trigger::WORDS, &value("trigger")))
            (visit.time_field("since", "Since"))
            (visit.time_field("until", "Before"))
            @if visit.may_see_values() { label { "Mentions" input name="grep" value=(value("grep")) placeholder="in error, reason, id"; } }
            @for name in ["failed", "reason"] { @if let Some(kept) = visit.parameter(name) { input type="hidden" name=(name) value=(kept); } }
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
        ("until", "--until"),
    ] {
        if let Some(value) = visit.parameter_elsewhere(name) {
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
    let api = &visit.api;
    if let Ok(run_id) = find_id(api, "run", wanted, Reader::runs_with_prefix).await {
        return to(&format!("runs/{run_id}"));
    }
    // A receiver sees its `webhook-id`.
    let of_webhook = wanted.strip_prefix("msg_").unwrap_or(wanted);
    if let Ok(delivery_id) = find_id(api, "delivery", of_webhook, Reader::webhooks_with_prefix).await {
        return to(&format!("webhooks/{delivery_id}"));
    }
    to(&format!("crons?name={}", super::shown::segment(wanted)))
}
