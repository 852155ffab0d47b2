//! One cron: whether it is well, what it has done and will do, why it did or did not fire, and what it is.

mod about;
mod lane;
mod window;

use axum::extract::{Path, State};
use axum::response::Response;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::crons;
use super::frame::{Content, Tab};
use super::shown::{act_link, prose, quoted, segment, status, text, took};
use super::visit::Visit;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::{PathParameter, StrictQuery};
use crate::api::v1;
use crate::api::wire::{CronDetails, Explanation, Outage, Run, Time};
use crate::domain::bounds::{LANE_COMING_MAX, LANE_MARKS_MAX, LANE_OUTAGES_MAX, YEAR_DAYS};
use crate::domain::cron::Cron;
use crate::domain::outage::{self, Away};
use crate::domain::plan::Decided;
use crate::domain::run::Status;
use crate::domain::tally::TallyUnit;
use crate::present::occurrences::{UpcomingOccurrence, of_cron_in_state};
use crate::present::times;
use crate::store::{self, MarksBetween, Reader, StoreError, Topic};
use window::{Address, Wanted, Window};

/// Runs that are listed; the page of runs has all.
const RUNS: u32 = 20;
/// Times to come that are listed.
const NEXT: usize = 10;

/// What the page shows.
struct View {
    details: CronDetails,
    facts: Facts,
    /// The zone that times are shown in.
    zone: TimeZone,
    wanted: Wanted,
    runs: Vec<Run>,
    /// Those of the time that the lane shows.
    outages: Vec<Outage>,
    /// The answer, if somebody asks about an instant.
    why: Option<Result<Explanation, String>>,
}

/// What is read of a cron for drawings.
struct Facts {
    removed_at: Option<Timestamp>,
    timeout: Option<SignedDuration>,
    window: Window,
    marks: MarksBetween,
    /// What is scheduled in the window.
    coming: Vec<UpcomingOccurrence>,
    /// The next ones of all.
    next: Vec<UpcomingOccurrence>,
    /// How occurrences ended by day of UTC.
    days: Vec<(i64, Status, u64)>,
}

pub(super) async fn cron(visit: Visit, Path(name): Path<String>) -> Response {
    match read(&visit, &name).await {
        Ok(view) => {
            let cron = &view.details.cron;
            let name = &cron.cron_name;
            let mark = if cron.failures_in_a_row > 0 { "✕ " } else { "" };
            let content = Content {
                tab: Tab::Crons,
                title: format!("{mark}{name}"),
                topics: &[Topic::Cron, Topic::Run],
                cron: Some(name.clone()),
                json: view.facts.removed_at.is_none().then(|| format!("crons/{}", segment(name))),
                command: Some(command(&view)),
                main: main(&visit, &view),
            };
            visit.page(content).await
        }
        Err(error) => visit.failed(error),
    }
}

fn command(view: &View) -> String {
    let name = quoted(&view.details.cron.cron_name);
    match view.wanted.at {
        Some(at) => format!("agentcron explain {name} --at {at}"),
        None => format!("agentcron show {name}"),
    }
}

async fn read(visit: &Visit, name: &str) -> Result<View, ErrorResponse> {
    let (now, clock, address) = (visit.now, visit.clock.clone(), Address::of(visit));
    let read = move |reader: &Reader, details: &store::CronDetails, decided: &Decided| {
        let of_cron = details.row.cron.as_ref().ok().map(|cron| cron.calendar.timezone());
        // Times in the address are in the zone that is shown.
        let zone = clock.zone_for(of_cron);
        match Wanted::of(&address, &zone, now) {
            Ok(wanted) => Ok(Ok((facts(reader, details, decided, &wanted, now)?, wanted, zone))),
            Err(error) => Ok(Err(error)),
        }
    };
    let (details, read) = v1::crons::cron_and(visit.viewer, &visit.api, name, read).await?;
    let (facts, wanted, zone) = read?;
    let query = StrictQuery::of(&format!("cron={}&limit={RUNS}", details.cron.cron_id))?;
    let runs = v1::runs::runs(visit.viewer, State(visit.api.clone()), query).await?.0.items;
    let outages = outages(visit, facts.window).await?;
    let why = match wanted.at {
        Some(at) => Some(explain(visit, &details.cron.cron_id, at, &zone).await),
        None => None,
    };
    Ok(View { details, facts, zone, wanted, runs, outages, why })
}

fn facts(
    reader: &Reader,
    details: &store::CronDetails,
    decided: &Decided,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<Facts, StoreError> {
    let cron = details.row.cron.clone().ok();
    let is_firing = |cron: &&Cron| cron.enabled && details.removed_at.is_none();
    // Its pause is its own, or that of all crons.
    let state = (&details.row.state, &[][..]);
    let upcoming =
        |from| cron.as_ref().filter(is_firing).map(|cron| of_cron_in_state(cron, decided, state, from, now));
    let next: Vec<_> = upcoming(now).into_iter().flatten().take(NEXT).collect();
    let window = wanted.window(now, interval(cron.as_ref(), now));
    let coming = upcoming(now.max(window.from)).into_iter().flatten();
    let coming = coming.take_while(|next| next.at < window.to).take(LANE_COMING_MAX).collect();
    let cron_id = details.row.cron_id;
    let today = TallyUnit::Day.number(now);
    Ok(Facts {
        removed_at: details.removed_at,
        timeout: cron.as_ref().and_then(|cron| SignedDuration::try_from(cron.policy.timeout?).ok()),
        marks: reader.marks_between(cron_id, (window.from, window.to), LANE_MARKS_MAX)?,
        days: reader.ended_by_day(cron_id, today - YEAR_DAYS, today)?,
        window,
        coming,
        next,
    })
}

/// Returns how far apart the next two times of its schedule are.
fn interval(cron: Option<&Cron>, now: Timestamp) -> Option<SignedDuration> {
    let calendar = &cron?.calendar;
    let first = calendar.next_after(now)?.at;
    Some(calendar.next_after(first)?.at.duration_since(first))
}

/// Returns what was away in the time that is shown. Receivers keep no cron from running.
async fn outages(visit: &Visit, Window { from, to }: Window) -> Result<Vec<Outage>, ErrorResponse> {
    let mut found =
        visit.api.store.read(move |reader| reader.outages_between((from, to), LANE_OUTAGES_MAX)).await?;
    let lasting = visit.api.lasting_outages();
    outage::merge(
        &mut found,
        lasting.into_iter().filter(|outage| outage.since < to && visit.now > from).collect(),
    );
    let of_crons = found.iter().filter(|outage| outage.what != Away::Receiver);
    Ok(of_crons.map(Outage::of).collect())
}

async fn explain(
    visit: &Visit,
    cron_id: &str,
    at: Timestamp,
    zone: &TimeZone,
) -> Result<Explanation, String> {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("at", &at.to_string())
        .append_pair("timezone", &times::zone_name(zone))
        .finish();
    let query = StrictQuery::of(&query).map_err(|error| error.detail)?;
    let cron = PathParameter(cron_id.to_owned());
    let explanation = v1::crons::explain(visit.viewer, State(visit.api.clone()), cron, query).await;
    explanation.map(|explanation| explanation.0).map_err(|error| error.detail)
}

fn main(visit: &Visit, view: &View) -> Markup {
    let details = &view.details;
    let zone = details.cron.timezone.as_deref();
    let name = details.cron.cron_name.as_str();
    html! {
        (head(visit, view))
        (lane::section(visit, view))
        div.columns {
            section { (next(visit, view)) }
            section { (about::failures(visit, view)) }
        }
        section {
            h2 { "Last runs" }
            @if view.runs.is_empty() { p.empty { "It has not run yet." } }
            @else {
                div.wide { (visit.run_rows(&view.runs, Some(zone.unwrap_or("UTC")))) }
                p { a href={ (visit.up) "runs?cron=" (segment(name)) } { "All runs" } " · "
                    a href={ (visit.up) "webhooks?cron=" (segment(name)) } { "Webhooks" } }
            }
        }
        (about::a_year(visit, view))
        (about::definition(visit, details))
        (about::acts(visit, details))
    }
}

fn head(visit: &Visit, view: &View) -> Markup {
    let (cron, recent) = (&view.details.cron, &view.details.cron.recent);
    let zone = cron.timezone.as_deref();
    html! {
        h1 { (text(&cron.cron_name)) }
        @if let Some(removed_at) = view.facts.removed_at {
            p.alarm.attention { "It was removed " (visit.clock.time_and_relative(Time(removed_at), zone)) ". Its history stays as long as it is kept." }
        }
        div.states { (crons::state(cron)) }
        p.schedule {
            @if let Some(description) = &cron.description { b { (text(description)) } }
            @if let Some(zone) = zone { " " span.dim { (zone) } }
            @if let Some(schedule) = &cron.schedule { " " code { (text(schedule)) } }
        }
        ul.totals {
            li { span.dim { "next " } (first(visit, view)) }
            @if let Some(last) = &cron.last {
                li { span.dim { "last " } a href={ (visit.up) "runs/" (last.run_id) } { (status(&last.status)) } " " span.dim { (visit.clock.relative(last.scheduled_for)) } }
            }
            @if recent.runs > 0 { li { b { (recent.ok) } " of the last " (recent.runs) " worked" } }
            @if let (Some(p50), Some(p95)) = (recent.p50_ms, recent.p95_ms) {
                li { "half took up to " b { (took(p50)) } ", 95 % up to " b { (took(p95)) } }
            }
        }
        @if visit.may_act && view.facts.removed_at.is_none() { (acts(visit, view)) }
    }
}

fn first(visit: &Visit, view: &View) -> Markup {
    let cron = &view.details.cron;
    let zone = cron.timezone.as_deref();
    html! {
        @match cron.next_at.filter(|_| view.facts.removed_at.is_none()) {
            Some(at) => {
                (visit.clock.time_and_relative(at, zone))
                @if cron.paused.is_some() { " " span.attention { "paused: will be skipped" } }
                @else if cron.skip_next { " " span.attention { "will be skipped" } }
            },
            None => span.dim { "nothing is scheduled" },
        }
    }
}

/// Returns what can be done, each with the command that does the same.
fn acts(visit: &Visit, view: &View) -> Markup {
    let cron = &view.details.cron;
    let here = visit.here();
    let fields = [("cron", cron.cron_name.as_str()), ("next", here.as_str())];
    let standing = if cron.paused.is_some() { ("resume", "Resume") } else { ("pause", "Pause") };
    let all = [("trigger", "Run now"), standing, ("skip-next", "Skip next"), ("backfill", "Backfill")];
    html! {
        p.acts { @for (act, label) in all { (act_link(&visit.up, act, &fields, label)) " " } }
        details.commands {
            summary { "The same as commands" }
            ul.lines { @for (act, label) in all {
                li { span.dim { (label) ": " } (visit.command(&format!("agentcron {act} {}", quoted(&cron.cron_name)))) }
            } }
        }
    }
}

fn next(visit: &Visit, view: &View) -> Markup {
    let zone = view.details.cron.timezone.as_deref();
    html! {
        h2 { "Next" }
        @if view.facts.next.is_empty() {
            p.empty { @if view.details.cron.enabled == Some(false) { "It is disabled: nothing is scheduled." } @else { "Nothing is scheduled." } }
        }
        @else {
            ul.lines { @for next in &view.facts.next {
                li {
                    (visit.clock.time_and_relative(Time(next.at), zone))
                    @if let Some(note) = &next.note { " " span.attention { "– " (prose(note)) } }
                }
            } }
        }
    }
}
