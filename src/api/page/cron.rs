//! One cron: whether it is well, what it will do, and what it is.

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};

use super::frame::{Content, Tab};
use super::shown::{act_link, quoted, segment, text};
use super::visit::Visit;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::{PathParameter, StrictQuery};
use crate::api::v1;
use crate::api::wire::{CronDetails, Run};
use crate::store::Topic;

pub(super) async fn cron(visit: Visit, Path(name): Path<String>) -> Response {
    match read(&visit, &name).await {
        Ok((details, runs)) => {
            let name = &details.cron.cron_name;
            let content = Content {
                tab: Tab::Crons,
                title: name.clone(),
                topics: &[Topic::Cron, Topic::Run],
                cron: Some(name.clone()),
                json: Some(format!("crons/{}", segment(name))),
                command: Some(format!("agentcron show {}", quoted(name))),
                main: main(&visit, &details, &runs),
            };
            visit.page(content).await
        }
        Err(error) => visit.failed(error),
    }
}

async fn read(visit: &Visit, name: &str) -> Result<(CronDetails, Vec<Run>), ErrorResponse> {
    let state = || State(visit.api.clone());
    let details = v1::crons::cron(visit.viewer, state(), PathParameter(name.to_owned())).await?.0;
    let query = StrictQuery::of(&format!("cron={}&limit=20", details.cron.cron_id))?;
    let runs = v1::runs::runs(visit.viewer, state(), query).await?.0.items;
    Ok((details, runs))
}

fn main(visit: &Visit, details: &CronDetails, runs: &[Run]) -> Markup {
    let cron = &details.cron;
    let (zone, name) = (cron.timezone.as_deref(), cron.cron_name.as_str());
    let here = visit.here();
    let fields = [("cron", name), ("next", here.as_str())];
    html! {
        h1 { (text(name)) " " span.dim { (text(cron.description.as_deref().unwrap_or_default())) } }
        @if visit.may_act {
            p.acts {
                (act_link(&visit.up, "trigger", &fields, "Run now")) " "
                @if cron.paused.is_some() { (act_link(&visit.up, "resume", &fields, "Resume")) }
                @else { (act_link(&visit.up, "pause", &fields, "Pause")) }
                " " (act_link(&visit.up, "skip-next", &fields, "Skip next"))
                " " (act_link(&visit.up, "backfill", &fields, "Backfill"))
            }
        }
        h2 { "Next" }
        ul.lines { @for next in &details.upcoming { li { (visit.clock.time_and_relative(next.at, zone)) } } }
        h2 { "Runs" }
        div.wide { (visit.run_rows(runs, Some(zone.unwrap_or("UTC")))) }
    }
}
