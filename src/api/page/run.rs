//! One run: what happened to it, in order and to scale.

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};

use super::frame::{Content, Tab};
use super::shown::{act_link, id, status, text, took};
use super::visit::Visit;
use crate::api::extract::PathParameter;
use crate::api::v1;
use crate::api::wire::RunDetails;
use crate::present::times;
use crate::store::Topic;

pub(super) async fn run(visit: Visit, Path(run_id): Path<String>) -> Response {
    let state = State(visit.api.clone());
    match v1::runs::run(visit.viewer, state, PathParameter(run_id)).await {
        Ok(details) => {
            let run = &details.0.run;
            let short = run.run_id.get(..8).unwrap_or_default();
            let content = Content {
                tab: Tab::Runs,
                title: format!("{} {} {short}", super::shown::mark_of(&run.status).0, run.called()),
                topics: &[Topic::Run, Topic::Delivery],
                cron: run.cron_name.clone(),
                json: Some(format!("runs/{}", run.run_id)),
                command: Some(format!("agentcron show {short}")),
                main: main(&visit, &details.0),
            };
            visit.page(content).await
        }
        Err(error) => visit.failed(error),
    }
}

fn main(visit: &Visit, details: &RunDetails) -> Markup {
    let run = &details.run;
    html! {
        h1 {
            (status(&run.status)) " "
            @match &run.cron_name { Some(name) => (visit.cron_link(name)), None => "a client’s run" }
            " " span.dim { (id(&run.run_id)) }
        }
        @if !run.why().is_empty() { p.why { (text(&run.why())) } }
        dl.facts {
            dt { "Scheduled for" } dd { (visit.clock.time_to_the_millisecond(run.scheduled_for, None)) " " span.dim { (run.trigger.0) } }
            @if let Some(started) = run.started_at { dt { "Started" } dd { (visit.clock.time_to_the_millisecond(started, None)) } }
            @if let Some(late) = run.lateness() { dt { "Late" } dd { (times::took(late)) } }
            @if let Some(duration) = run.duration() { dt { "Took" } dd { (took(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))) } }
            @if let Some(thread) = &run.thread_id { dt { "Thread" } dd { code { (thread) } } }
        }
        @if visit.may_act {
            p.acts {
                @if run.ended_at.is_none() { (act_link(&visit.up, "cancel", &[("run", &run.run_id)], "Cancel")) }
                @else if run.cron_id.is_some() { (act_link(&visit.up, "retry", &[("run", &run.run_id)], "Run again")) }
            }
        }
        h2 { "What happened" }
        ol.timeline {
            @for entry in &details.timeline {
                li { (visit.clock.time_to_the_millisecond(entry.at, None)) " " (text(&entry.text)) }
            }
        }
    }
}
