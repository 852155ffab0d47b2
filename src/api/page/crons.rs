//! Crons: a list that is filtered and ordered by its address, with how the last runs of each went, and with what can be done to many
//! at once.

use std::collections::HashMap;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::frame::{Content, Tab};
use super::overview;
use super::shown::{quoted, segment, status, text, took};
use super::svg::shapes::Outcome;
use super::svg::spark::{Bar, SPARK_RUNS, spark};
use super::visit::Visit;
use crate::api::error_response::ErrorResponse;
use crate::api::v1;
use crate::api::wire::{Cron, Page, Pause};
use crate::domain::cron::CronSource;
use crate::domain::cron_state::{ListedState, PauseCause};
use crate::domain::ids::CronId;
use crate::domain::printable::on_one_line;
use crate::domain::words::UnknownWord;
use crate::store::{ListedBy, RunMark, Topic};

/// Filters that somebody often wants, as links.
const SAVED: [(&str, &str); 5] = [
    ("All", "crons"),
    ("Failing", "crons?state=failing"),
    ("Paused", "crons?state=paused"),
    ("Disabled", "crons?state=disabled"),
    ("Next first", "crons?sort=next"),
];
const ORDERS: [(ListedBy, &str); 3] =
    [(ListedBy::Name, "name"), (ListedBy::Next, "next time"), (ListedBy::Failures, "failures in a row")];
/// What can be done to several crons: the word of the act, and how it is called.
const BULK: [(&str, &str); 4] =
    [("pause", "Pause"), ("resume", "Resume"), ("skip-next", "Skip next"), ("trigger", "Run now")];

/// What the page shows.
struct Listing {
    page: Page<Cron>,
    marks: HashMap<CronId, Vec<RunMark>>,
    /// If there is no row: the name that was meant, perhaps.
    meant: Option<String>,
}

pub(super) async fn crons(visit: Visit) -> Response {
    match list(&visit).await {
        Ok(listing) => {
            let content = Content {
                tab: Tab::Crons,
                title: "Crons".to_owned(),
                topics: &[Topic::Cron, Topic::Run],
                cron: None,
                json: Some(format!("crons{}", visit.query_of_api())),
                command: Some(command(&visit)),
                main: main(&visit, &listing),
            };
            visit.page(content).await
        }
        Err(error) => {
            let form = html! { (visit.saved(SAVED)) (filters(&visit)) };
            visit.no_list(Tab::Crons, "Crons", form, error).await
        }
    }
}

async fn list(visit: &Visit) -> Result<Listing, ErrorResponse> {
    let query = visit.query_of_list()?;
    let page = v1::crons::crons(visit.viewer, State(visit.api.clone()), query).await?.0;
    let ids: Vec<CronId> = page.items.iter().filter_map(|cron| cron.cron_id.parse().ok()).collect();
    let marks = visit.api.store.read(move |reader| reader.last_marks(&ids, SPARK_RUNS)).await?;
    let meant = match (page.items.is_empty(), visit.parameter("name")) {
        (true, Some(name)) => v1::crons::nearest_to(&visit.api, &name).await?,
        _ => None,
    };
    Ok(Listing { page, marks, meant })
}

fn main(visit: &Visit, listing: &Listing) -> Markup {
    let here = visit.here();
    html! {
        h1 { "Crons" }
        (visit.saved(SAVED))
        (filters(visit))
        @if listing.page.items.is_empty() { (nothing(visit, listing)) }
        @else {
            form.bulk method="get" action={ (visit.up) "act" } {
                input type="hidden" name="next" value=(here);
                (table(visit, listing))
                @if visit.may_act { (bulk()) }
            }
            @if visit.may_act && listing.page.items.len() > 1 { (all_that_match(visit, &here)) }
        }
        (visit.older(listing.page.next_cursor.as_deref(), "First"))
    }
}

fn filters(visit: &Visit) -> Markup {
    let value = |name: &str| visit.parameter(name).unwrap_or_default();
    let option = |chosen: &str, word: &str, label: &str| html! { option value=(word) selected[chosen == word] { (label) } };
    let (state, source, sort) = (value("state"), value("source"), value("sort"));
    html! {
        form.filters {
            label { "Name" input name="name" type="search" value=(value("name")) placeholder="a part of it" autocomplete="off"; }
            label { "State" select name="state" {
                option value="" { "any" }
                @for word in ListedState::WORDS { (option(&state, word, word)) }
            } }
            label { "Defined" select name="source" {
                option value="" { "anywhere" }
                @for source_word in CronSource::WORDS { (option(&source, source_word, defined(source_word))) }
            } }
            label { "Order" select name="sort" {
                @for (order, label) in ORDERS {
                    (option(&sort, if order == ListedBy::Name { "" } else { order.as_str() }, label))
                }
            } }
            button type="submit" { "Filter" }
        }
    }
}

fn defined(source: &str) -> &str {
    match source.parse::<CronSource>() {
        Ok(CronSource::File) => "in files",
        Ok(CronSource::Api) => "by clients",
        Err(UnknownWord { .. }) => source,
    }
}

/// Returns what to say if there is nothing to list.
fn nothing(visit: &Visit, listing: &Listing) -> Markup {
    let is_filtered =
        ["name", "state", "source", "cursor"].iter().any(|name| visit.parameter(name).is_some());
    html! {
        @if !is_filtered { (overview::welcome(&visit.up)) }
        @else {
            section.welcome {
                h2 { "No cron matches" }
                @if let Some(name) = visit.parameter("name") {
                    p { "No cron of this kind has " code { (text(&name)) } " in its name."
                        @if let Some(meant) = &listing.meant { " Did you mean " (visit.cron_link(meant)) "?" } }
                }
                @else if visit.parameter("state").as_deref() == Some("failing") { p.good { "No cron fails: the last run of each one worked, as far as it says anything." } }
                p { a href={ (visit.up) "crons" } { "Show all crons" } }
            }
        }
    }
}

fn table(visit: &Visit, listing: &Listing) -> Markup {
    html! {
        div.wide { table.rows.crons data-list="crons" {
            thead { tr {
                @if visit.may_act { th.pick { input #select-all type="checkbox" aria-label="Select all on this page"; } }
                th { "Cron" } th { "Schedule" } th { "Next" } th { "Last " (SPARK_RUNS) }
                th.n title="Of the last 50 runs that say something about the cron" { "Worked" } th.n.half { "p50" } th.n { "p95" } th.last { "Last" }
            } }
            tbody { @for cron in &listing.page.items { (row(visit, cron, listing)) } }
        } }
    }
}

fn row(visit: &Visit, cron: &Cron, listing: &Listing) -> Markup {
    let (zone, name) = (cron.timezone.as_deref(), cron.cron_name.as_str());
    let marks = cron.cron_id.parse().ok().and_then(|cron_id: CronId| listing.marks.get(&cron_id));
    html! {
        tr id={ "cron-" (cron.cron_id) } {
            @if visit.may_act { td.pick { input type="checkbox" name="cron" value=(name) aria-label={ "Select " (text(name)) }; } }
            td.name { (visit.cron_link(name)) (state(cron)) }
            td data-label="Schedule" { span {
                @if let Some(description) = &cron.description { (text(description)) }
                @if let Some(zone) = zone { " " span.dim { (zone) } }
            } }
            td data-label="Next" { span { (next(visit, cron)) } }
            td.drawn data-label={ "Last " (SPARK_RUNS) } { @if let Some(marks) = marks { (last(visit, name, marks)) } }
            td.n data-label="Worked" { @if cron.recent.runs > 0 { (cron.recent.ok * 100 / cron.recent.runs) " %" } }
            td.n.half data-label="p50" { (cron.recent.p50_ms.map(took).unwrap_or_default()) }
            td.n data-label="p95" { (cron.recent.p95_ms.map(took).unwrap_or_default()) }
            td.last data-label="Last" { @if let Some(last) = &cron.last { a href={ (visit.up) "runs/" (last.run_id) } { (status(&last.status)) } } }
        }
    }
}

/// Returns what is not as usual with a cron, below its name.
pub(super) fn state(cron: &Cron) -> Markup {
    let mark = |class: &str, mark: &str, said: Markup| {
        html! { span.note.(class) { span.mark aria-hidden="true" { (mark) } (said) } }
    };
    html! {
        @if let Some(problem) = &cron.problem { (mark("bad", "!", html! { "cannot be read: " (text(problem)) })) }
        @if cron.failures_in_a_row > 0 {
            (mark("bad", "✕", html! { "failed" @if cron.failures_in_a_row > 1 { " " (cron.failures_in_a_row) " times in a row" } }))
        }
        @if let Some(pause) = &cron.paused { (mark("attention", "‖", paused(pause))) }
        @if cron.enabled == Some(false) { (mark("dim", "–", html! { "disabled" })) }
        @if cron.running > 0 {
            (mark("active", "▶", if cron.running == 1 { html! { "running" } } else { html! { (cron.running) " running" } }))
        }
    }
}

fn paused(pause: &Pause) -> Markup {
    html! {
        @match pause.cause.0 {
            PauseCause::All => "all crons are paused",
            PauseCause::Request => "paused",
            PauseCause::Failures => "paused by itself",
        }
        @if let Some(note) = &pause.note { ": " (text(note)) }
    }
}

fn next(visit: &Visit, cron: &Cron) -> Markup {
    let zone = cron.timezone.as_deref();
    html! {
        @match (cron.next_at, &cron.paused) {
            (Some(_), Some(pause)) => {
                span.attention { "paused" }
                @if let Some(until) = pause.until { " until " (visit.clock.time(until, zone)) }
            }
            (Some(next), None) => {
                (visit.clock.time(next, zone)) " " span.dim { (visit.clock.relative(next)) }
                @if cron.skip_next { " " span.attention { "will be skipped" } }
            }
            (None, _) => span.dim { "–" },
        }
    }
}

/// Draws how the last runs went, as a link to them.
fn last(visit: &Visit, name: &str, marks: &[RunMark]) -> Markup {
    let bars: Vec<Bar> = marks
        .iter()
        .map(|mark| Bar {
            run_id: mark.run_id.to_string(),
            outcome: Outcome::of(mark.status),
            took: mark.took(),
        })
        .collect();
    html! {
        @if bars.is_empty() { span.dim { "has not run yet" } }
        @else { a href={ (visit.up) "runs?cron=" (segment(name)) } aria-label=(on_one_line(&said(name, marks))) { (spark(&bars)) } }
    }
}

/// Returns what the drawing shows: `the last 30 of x: 28 success, 2 error`.
fn said(name: &str, marks: &[RunMark]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for mark in marks {
        match counts.iter_mut().find(|(word, _)| *word == mark.word()) {
            Some((_, count)) => *count += 1,
            None => counts.push((mark.word(), 1)),
        }
    }
    let counts: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
    format!("The last {} of {}: {}", marks.len(), on_one_line(name), counts.join(", "))
}

/// Returns what can be done to the crons that are selected.
fn bulk() -> Markup {
    html! {
        p #selected.acts {
            span.dim { b { "0" } " selected" }
            @for (act, label) in BULK { button type="submit" name="act" value=(act) { (label) "…" } }
        }
    }
}

/// Returns what can be done to all crons of the filter, those on other pages as well.
fn all_that_match(visit: &Visit, here: &str) -> Markup {
    let mut fields = vec![("matching", "yes".to_owned()), ("next", here.to_owned())];
    fields.extend(
        ["name", "state", "source"].into_iter().filter_map(|name| Some((name, visit.parameter(name)?))),
    );
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let is_filtered = fields.len() > 2;
    html! {
        p.acts.all {
            span.dim { @if is_filtered { "All crons that match the filter:" } @else { "All crons:" } }
            @for (act, label) in BULK.into_iter().take(3) { (super::shown::act_link(&visit.up, act, &fields, label)) }
        }
    }
}

/// Returns the command that lists the same, as far as there is one.
fn command(visit: &Visit) -> String {
    let mut command = "agentcron list".to_owned();
    match visit.parameter("state").as_deref() {
        Some("failing") => command.push_str(" --failing"),
        Some(state) => command.push_str(&format!(" --state {}", quoted(state))),
        None => {}
    }
    if let Some(name) = visit.parameter("name") {
        command.push_str(&format!(" | grep -F -e {}", quoted(&name)));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::{Phase, Status};

    #[test]
    fn a_drawing_of_the_last_runs_says_what_it_shows() {
        let mark = |status: Option<Status>| RunMark {
            run_id: crate::domain::ids::RunId::of_occurrence(
                CronId::default(),
                jiff::Timestamp::UNIX_EPOCH,
                0,
            ),
            scheduled_for: jiff::Timestamp::UNIX_EPOCH,
            last_scheduled_for: None,
            occurrences: 1,
            due_at: jiff::Timestamp::UNIX_EPOCH,
            started_at: None,
            ended_at: None,
            phase: if status.is_some() { Phase::Ended } else { Phase::Running },
            status,
            reason_code: None,
        };
        let marks =
            [mark(None), mark(Some(Status::Error)), mark(Some(Status::Success)), mark(Some(Status::Error))];
        assert_eq!(said("digest", &marks), "The last 4 of digest: 1 running, 2 error, 1 success");
    }
}
