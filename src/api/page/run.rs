//! One run: what happened to it, in order and to scale, and how it differs from the others of its cron.

mod difference;
mod drawing;
mod paused;
mod timeline;

use axum::extract::{Path, State};
use axum::response::Response;
use jiff::SignedDuration;
use maud::{Markup, html};

use super::frame::{Content, Tab};
use super::shown::{act_link, copyable, id, mark_of, status, text};
use super::values;
use super::visit::Visit;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::StrictQuery;
use crate::api::v1;
use crate::api::v1::parse::find;
use crate::api::wire::{Run, RunDetails, Time};
use crate::domain::ids::RunId;
use crate::domain::printable::on_lines;
use crate::present::{counted, outages, times, with_short_ids};
use crate::store::{Reader, RunBeside, RunInput, RunRow, Topic};
use difference::Outputs;

/// Other runs that are named.
const MEANWHILE: usize = 8;
/// What was scheduled within this time of a run may have been in its way.
const AROUND: SignedDuration = SignedDuration::from_secs(30);

/// What the page shows.
struct RunPage {
    details: RunDetails,
    beside: RunBeside,
    outputs: Outputs,
    values: Option<RunValues>,
    /// What else ran then, the latest first.
    meanwhile: Vec<Run>,
}

/// What was asked for, and is shown only then.
enum RunValues {
    Input(Option<RunInput>),
    Output(Option<String>),
}

impl RunValues {
    const INPUT: &str = "input";
    const OUTPUT: &str = "output";
}

pub(super) async fn run(visit: Visit, Path(run_id): Path<String>) -> Response {
    match read(&visit, &run_id).await {
        Ok(told) => {
            let run = &told.details.run;
            let short = run.run_id.get(..8).unwrap_or_default();
            let content = Content {
                tab: Tab::Runs,
                title: format!("{} {} {short}", mark_of(&run.status).0, run.called()),
                topics: &[Topic::Run, Topic::Delivery],
                cron: run.cron_name.clone(),
                json: Some(format!("runs/{}", run.run_id)),
                command: Some(format!("agentcron show {short}")),
                main: main(&visit, &told),
            };
            visit.page(content).await
        }
        Err(error) => visit.failed(error),
    }
}

/// Returns the whole input or output of a run, to be kept as a file.
pub(super) async fn raw(visit: Visit, Path((run_id, what)): Path<(String, String)>) -> Response {
    match raw_values(&visit, &run_id, &what).await {
        Ok(text) => {
            values::file(&format!("{what}-{}.json", run_id.get(..8).unwrap_or("run")), text.into_bytes())
        }
        Err(error) => visit.failed(error),
    }
}

async fn raw_values(visit: &Visit, run_id: &str, what: &str) -> Result<String, ErrorResponse> {
    visit.demand_values()?;
    let run_id = find(&visit.api, "run", run_id, Reader::runs_with_prefix).await?;
    let found = match asked(visit, run_id, what).await? {
        Some(RunValues::Input(input)) => input.map(|given| values::indented(given.input.to_string())),
        Some(RunValues::Output(output)) => output,
        None => return Err(ErrorResponse::not_found("there is no such page")),
    };
    found.ok_or_else(|| ErrorResponse::not_found(format!("the {what} of this run is not kept")))
}

async fn asked(visit: &Visit, run_id: RunId, what: &str) -> Result<Option<RunValues>, ErrorResponse> {
    let store = &visit.api.store;
    Ok(match what {
        RunValues::INPUT => Some(RunValues::Input(store.read(move |reader| reader.run_input(run_id)).await?)),
        RunValues::OUTPUT => {
            Some(RunValues::Output(store.read(move |reader| reader.run_output(run_id)).await?))
        }
        _ => None,
    })
}

async fn read(visit: &Visit, run_id: &str) -> Result<RunPage, ErrorResponse> {
    let details =
        v1::runs::details(visit.viewer, &visit.api, run_id, Reader::run_details_without_values).await?.0;
    let run_id: RunId =
        details.run.run_id.parse().map_err(|_| ErrorResponse::not_found("there is no such run"))?;
    let may_see = visit.may_see_values();
    let (beside, outputs) = visit
        .api
        .store
        .read(move |reader| {
            let beside = reader.beside_run(run_id)?;
            let good = beside.last_good.as_ref().filter(|_| may_see && beside.values_bytes.is_some());
            let outputs = match good {
                Some(good) => reader.small_output(run_id)?.zip(reader.small_output(good.row.run.run_id)?),
                None => None,
            };
            Ok((beside, outputs))
        })
        .await?;
    let values = match visit.parameter("values") {
        Some(what) if may_see => asked(visit, run_id, &what).await?,
        _ => None,
    };
    let meanwhile = meanwhile(visit, &details.run).await?;
    Ok(RunPage { details, beside, outputs, values, meanwhile })
}

/// Returns the query for what was scheduled around the same time.
fn around(run: &Run) -> String {
    let at = |offset: SignedDuration| run.scheduled_for.0.checked_add(offset).unwrap_or(run.scheduled_for.0);
    format!("since={}&until={}", at(-AROUND), at(AROUND))
}

async fn meanwhile(visit: &Visit, run: &Run) -> Result<Vec<Run>, ErrorResponse> {
    let query = StrictQuery::of(&format!("{}&limit={}", around(run), MEANWHILE + 1))?;
    let mut found = v1::runs::runs(visit.viewer, State(visit.api.clone()), query).await?.0.items;
    found.retain(|other| other.run_id != run.run_id);
    found.truncate(MEANWHILE);
    Ok(found)
}

fn main(visit: &Visit, told: &RunPage) -> Markup {
    let RunPage { details, beside, outputs, .. } = told;
    let run = &details.run;
    let definition = beside.definition.as_ref();
    let zone = definition.map(|definition| definition.timezone.as_str());
    html! {
        (head(visit, run, zone))
        (why(visit, run))
        (neighbours(visit, run, beside, zone))
        (acts(visit, details))
        (paused::paused(visit, details, definition))
        @if let Some(drawing) = drawing::drawing(visit, details, beside) { (drawing) }
        (timeline::timeline(visit, details, zone))
        (values(visit, told))
        @if let Some(good) = beside.last_good.as_ref().filter(|_| run.started_at.is_some()) { (difference::difference(visit, run, good, outputs)) }
        (others(visit, details, zone))
        (then(visit, run, &told.meanwhile))
        (facts(visit, told))
    }
}

fn head(visit: &Visit, run: &Run, zone: Option<&str>) -> Markup {
    html! {
        h1 {
            (status(&run.status)) " "
            @match &run.cron_name { Some(name) => (visit.cron_link(name)), None => "a client’s run" }
            " " span.dim { (id(&run.run_id)) }
        }
        p.sub {
            (visit.clock.day(run.scheduled_for, zone)) ", " (visit.clock.time_of_day(run.scheduled_for, zone))
            " · " span.dim { (visit.clock.relative(run.scheduled_for)) }
            @if run.trigger.0.as_str() != "schedule" { " · " (run.trigger.0) }
            @if run.retry > 0 { " · retry " (run.retry) }
            @if let Some(last) = run.last_scheduled_for.filter(|_| run.occurrences > 1) { " · " (counted(run.occurrences, "occurrence")) ", until " (visit.clock.time(last, zone)) }
            @if let Some(late) = run.lateness() { " · late by " (times::took(late)) }
            @if let Some(took) = run.duration() { " · took " strong { (times::took(took)) } }
        }
    }
}

fn why(visit: &Visit, run: &Run) -> Markup {
    html! {
        @if let Some(error) = &run.error {
            pre.error tabindex="0" { (on_lines(&match error.error.as_str() { "" => error.message.clone(), kind => format!("{kind}: {}", error.message) })) }
        }
        @if let Some(reason) = &run.reason { p.why { (text(&with_short_ids(reason))) } }
        @if let Some(waits_for) = &run.waits_for { p.why { "Waits for run " (visit.run_link(waits_for)) ", which must end before it may start." } }
        @if let Some(outage) = &run.outage {
            p.why.attention { (text(&outages::began(&outage.outage()))) ", " (text(&outages::lasted(&outage.outage(), &visit.clock.zone()))) }
        }
    }
}

fn neighbours(visit: &Visit, run: &Run, beside: &RunBeside, zone: Option<&str>) -> Markup {
    let link = |row: &RunRow, label: &str, rel: &str| {
        html! { a rel=(rel) href={ (visit.up) "runs/" (row.run.run_id) } { (label) " " (visit.clock.time(Time(row.run.scheduled_for), zone)) " " (status(row.status_word())) } }
    };
    html! {
        @if let Some(cron_id) = &run.cron_id {
            nav.pages.neighbours aria-label="Other runs of its cron" {
                @if let Some(before) = &beside.before { (link(before, "‹ before", "prev")) }
                @if let Some(after) = &beside.after { (link(after, "after ›", "next")) }
                @else if let Some(next) = beside.next_at { span.dim { "next " (visit.clock.time_and_relative(Time(next), zone)) } }
                a href={ (visit.up) "runs?cron=" (cron_id) } { "all of its cron" }
            }
        }
    }
}

fn acts(visit: &Visit, details: &RunDetails) -> Markup {
    let run = &details.run;
    let here = visit.here();
    html! {
        @if visit.may_act {
            p.acts {
                @if run.ended_at.is_none() { (act_link(&visit.up, "cancel", &[("run", &run.run_id), ("next", &here)], "Cancel")) }
                @else if run.cron_id.is_some() { (act_link(&visit.up, "retry", &[("run", &run.run_id), ("next", &here)], "Run again")) }
                @for delivery in details.deliveries.iter().filter(|delivery| delivery.status.0.is_over()) {
                    (act_link(&visit.up, "replay", &[("id", &delivery.delivery_id), ("next", &here)], "Send its webhook again"))
                }
            }
        }
    }
}

fn values(visit: &Visit, told: &RunPage) -> Markup {
    let run = &told.details.run;
    let raw = |what: &str| format!("{}runs/{}/{what}", visit.up, run.run_id);
    let chosen = |what: &str| {
        let is_chosen = match &told.values {
            Some(RunValues::Input(_)) => what == RunValues::INPUT,
            Some(RunValues::Output(_)) => what == RunValues::OUTPUT,
            None => false,
        };
        is_chosen.then_some("true")
    };
    let bytes = told.beside.values_bytes.and_then(|bytes| usize::try_from(bytes).ok());
    html! {
        section #values {
            h2 { "Input and output" }
            @if !visit.may_see_values() { (visit.values_hidden("What it was given and returned")) }
            @else {
                nav.saved aria-label="Input and output" {
                    @if run.cron_id.is_some() { a href="?values=input#values" aria-current=[chosen(RunValues::INPUT)] { "Input" } }
                    @match bytes {
                        Some(bytes) => a href="?values=output#values" aria-current=[chosen(RunValues::OUTPUT)] { "Output (" (values::size(bytes)) ")" },
                        None => span.dim { @if run.ended_at.is_some() { "no output is kept" } @else { "no output yet" } },
                    }
                    @if told.values.is_some() { a href="?#values" { "Hide" } }
                }
                @match &told.values {
                    None => {},
                    Some(RunValues::Input(None) | RunValues::Output(None)) => p.dim { "It is not kept." },
                    Some(RunValues::Input(Some(given))) => {
                        p.dim {
                            @if given.is_own { "A person gave this run an input of its own." }
                            @else { "As the definition has it that it ran by." }
                            " Placeholders are filled when it is sent, and not shown."
                        }
                        (values::shown(&values::indented(given.input.to_string()), &raw(RunValues::INPUT)))
                    },
                    Some(RunValues::Output(Some(output))) => (values::shown(&values::indented(output.clone()), &raw(RunValues::OUTPUT))),
                }
            }
        }
    }
}

fn others(visit: &Visit, details: &RunDetails, zone: Option<&str>) -> Markup {
    html! {
        @if details.runs.len() > 1 {
            section {
                h2 { "All runs of its occurrence" }
                div.wide { (visit.run_rows(&details.runs, Some(zone.unwrap_or("UTC")))) }
            }
        }
        @if !details.acts.is_empty() {
            section {
                h2 { "Acts on record" }
                ul.lines { @for act in &details.acts { li {
                    (visit.clock.time(act.at, zone)) " " (act.did()) " " span.dim { (text(&with_short_ids(&act.by_whom()))) }
                } } }
            }
        }
    }
}

fn then(visit: &Visit, run: &Run, meanwhile: &[Run]) -> Markup {
    html! {
        section {
            h2 { "What else ran then" }
            @if meanwhile.is_empty() { p.empty { "Nothing was scheduled within half a minute of it." } }
            @else {
                ul.lines { @for other in meanwhile { li {
                    a href={ (visit.up) "runs/" (other.run_id) } { (status(&other.status)) } " "
                    @match &other.cron_name { Some(name) => (visit.cron_link(name)), None => span.dim { "client" } } " "
                    (visit.clock.time(other.scheduled_for, None))
                    @if let Some(took) = other.duration() { " " span.dim { "took " (times::took(took)) } }
                } } }
                p { a href={ (visit.up) "runs?" (around(run)) } { "all within half a minute" } }
            }
        }
    }
}

fn facts(visit: &Visit, told: &RunPage) -> Markup {
    let RunPage { details, beside, .. } = told;
    let run = &details.run;
    html! {
        section {
            h2 { "Ids" }
            dl.facts {
                dt { "Run" } dd { (copyable(&run.run_id)) }
                @if let Some(thread) = &run.thread_id { dt { "Thread" } dd { (copyable(thread)) @if beside.definition.as_ref().is_some_and(|definition| !definition.keeps_thread) { " " span.dim { "deleted after the run" } } } }
                @if let Some(backend_run) = &run.backend_run_id { dt { "Agent server’s run" } dd { (copyable(backend_run)) } }
                @if let Some(definition) = &details.definition_id { dt { "Definition" } dd { (copyable(definition)) @if beside.definition.as_ref().is_some_and(|definition| definition.has_own_input) { " " span.dim { "with an input of its own" } } } }
                @for delivery in &details.deliveries { dt { "Webhook" } dd { a href={ (visit.up) "webhooks/" (delivery.delivery_id) } { (super::shown::delivery_status(delivery.status.0)) } " to " (text(&delivery.url)) } }
                dt { "Sent" } dd { (match run.send_count { 0 => "never".to_owned(), 1 => "once".to_owned(), count => format!("{count} times") }) }
            }
        }
    }
}
