//! Status: the state of the daemon, line by line.

use axum::response::Response;
use maud::{Markup, html};

use super::frame::{Content, Tab};
use super::visit::Visit;
use crate::api::wire::StatusReport;
use crate::store::Topic;

pub(super) async fn status(visit: Visit) -> Response {
    match visit.api.kept.status(&visit.api, visit.viewer).await {
        Ok(status) => {
            let content = Content {
                tab: Tab::Status,
                title: "Status".to_owned(),
                topics: Topic::ALL,
                cron: None,
                json: Some("status".to_owned()),
                command: Some("agentcron status".to_owned()),
                main: main(&visit, &status),
            };
            visit.page(content).await
        }
        Err(error) => visit.failed(error),
    }
}

fn main(visit: &Visit, status: &StatusReport) -> Markup {
    html! {
        h1 { "Status" }
        dl.facts {
            dt { "Daemon" } dd {
                @if let Some(version) = &status.daemon.version { "agentcron " (version) }
                @if let Some(started) = status.daemon.started_at { ", since " (visit.clock.time_and_relative(started, None)) }
            }
            dt { "Crons" } dd { (status.crons) ": " (status.crons_by_state.to_string()) }
            dt { "Runs in 24 h" } dd { (status.ended_24h.to_string()) }
            dt { "Webhooks in 24 h" } dd { (status.deliveries_24h.to_string()) }
        }
    }
}
