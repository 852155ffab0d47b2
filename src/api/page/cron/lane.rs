//! The lane of a cron as it is read and described, and the question why it did, or did not, fire.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::window::{SPANS, Window};
use super::{Facts, View};
use crate::api::page::shown::{reason_words, segment, text, tone_class};
use crate::api::page::svg::lane::{Lane, LaneComing, LaneMark, LaneSpan, lane};
use crate::api::page::svg::shapes::Outcome;
use crate::api::page::visit::Visit;
use crate::api::wire::{Explanation, Outage, Time};
use crate::present::occurrences::UpcomingOccurrence;
use crate::present::{outages, times, with_short_ids};
use crate::store::RunMark;

const LEGEND: &str = "Bars are as long as their runs. ✕ error, ◷ timeout, – skipped, ○ missed or to come; shaded: the agent server or \
     agentcron was away; dotted: its definition changed.";

/// Draws the lane with what it is about.
pub(super) fn section(visit: &Visit, view: &View) -> Markup {
    let (facts, zone) = (&view.facts, &view.zone);
    let drawn = of(visit, view);
    let of_cron = view.details.cron.timezone.as_deref();
    let day = |at: Timestamp| {
        format!(
            "{} {}",
            visit.clock.day(Time(at), of_cron),
            at.to_zoned_datetime(zone.clone()).strftime("%H:%M")
        )
    };
    let window = &facts.window;
    // A link that somebody was sent stays in its zone.
    let kept = visit.parameter("zone").map(|zone| format!("&zone={}", segment(&zone))).unwrap_or_default();
    html! {
        section #lane {
            h2 { "Past and future" }
            nav.saved aria-label="Time shown" {
                a href={ (window.moved(false).query()) (kept) "#lane" } rel="prev" { "‹ earlier" }
                @for (word, label, span) in SPANS {
                    a href={ "?around=" (word) (kept) } aria-current=[view.wanted.is_around(span).then_some("true")] { (label) }
                }
                a href={ (window.moved(true).query()) (kept) "#lane" } rel="next" { "later ›" }
                span.dim { (day(window.from)) " to " (day(window.to)) " (" (times::zone_name(zone)) ")" }
            }
            div.wide role="region" aria-label="The lane" tabindex="0" {
                (lane(&drawn, |at| format!("{}: why, or why not?", moment(at, zone))))
            }
            @if let Some(since) = drawn.drawn_since {
                p.dim { "Only the last " (drawn.marks.len()) " are drawn, since " (moment(since, zone)) ": choose a shorter time to see all." }
            }
            p.dim.legend { (LEGEND) " Click anywhere to ask why." }
            @if !view.outages.is_empty() { (away(visit, &view.outages)) }
            (why(visit, view))
        }
    }
}

fn of(visit: &Visit, view: &View) -> Lane {
    let Facts { window, marks, coming, .. } = &view.facts;
    let (zone, kept) = (&view.zone, visit.with_parameter("at", None));
    let cron = &view.details.cron;
    let drawn_since = marks.is_cut.then(|| marks.marks.last().map(|mark| mark.scheduled_for)).flatten();
    let took = [("p50", cron.recent.p50_ms), ("p95", cron.recent.p95_ms)];
    let took = took
        .into_iter()
        .filter_map(|(label, millis)| Some((label, jiff::SignedDuration::from_millis(millis?))));
    let timeout = view.facts.timeout.map(|timeout| ("timeout", timeout));
    Lane {
        from: window.from,
        to: window.to,
        now: visit.now,
        asked: view.wanted.at,
        marks: marks
            .marks
            .iter()
            .rev()
            .filter(|mark| reaches(mark, window.from))
            .map(|found| mark(found, zone))
            .collect(),
        coming: coming.iter().map(|next| to_come(next, zone)).collect(),
        away: view.outages.iter().map(|outage| span(outage, visit.now)).collect(),
        changes: changes(view),
        ticks: window.ticks(zone),
        drawn_since,
        limits: took.chain(timeout).map(|(label, at)| (label.to_owned(), at)).collect(),
        ask: if kept == "?" { "?at=".to_owned() } else { format!("{kept}&at=") },
    }
}

/// Returns whether something of it is in the time from then on.
fn reaches(mark: &RunMark, from: Timestamp) -> bool {
    let last = mark.last_scheduled_for.unwrap_or(mark.scheduled_for);
    last >= from
        || mark.status.is_none()
        || (mark.started_at.is_some() && mark.ended_at.is_some_and(|ended| ended > from))
}

fn changes(view: &View) -> Vec<(Timestamp, String)> {
    let Window { from, to } = view.facts.window;
    let within = view.details.versions.iter().filter(|version| !version.changed.is_empty());
    let within = within.filter(|version| from <= version.since.0 && version.since.0 <= to);
    let said = |keys: &[String]| format!("its definition changed: {}", keys.join(", "));
    within.map(|version| (version.since.0, said(&version.changed))).collect()
}

fn mark(mark: &RunMark, zone: &TimeZone) -> LaneMark {
    let late = mark.lateness().filter(|late| late.is_positive());
    let parts = [
        Some(format!("{} {}", moment(mark.scheduled_for, zone), mark.word())),
        (mark.occurrences > 1).then(|| format!("{} occurrences", mark.occurrences)),
        mark.took().map(|took| format!("took {}", times::took(took))),
        late.map(|late| format!("{} late", times::took(late))),
        mark.reason_code.map(reason_words),
    ];
    LaneMark {
        at: mark.scheduled_for,
        last: mark.last_scheduled_for,
        started: mark.started_at,
        ended: mark.ended_at,
        outcome: Outcome::of(mark.status),
        took: mark.took(),
        late: mark.lateness(),
        title: parts.into_iter().flatten().collect::<Vec<_>>().join(", "),
    }
}

fn to_come(next: &UpcomingOccurrence, zone: &TimeZone) -> LaneComing {
    let said = next.note.as_deref().unwrap_or("to come");
    LaneComing { at: next.at, will_fire: next.will_fire, title: format!("{} {said}", moment(next.at, zone)) }
}

fn span(outage: &Outage, now: Timestamp) -> LaneSpan {
    LaneSpan { since: outage.since.0, until: outage.until.map_or(now, |until| until.0) }
}

fn moment(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned_datetime(zone.clone()).strftime("%a %-d %b %H:%M:%S").to_string()
}

/// Lists the longest of the outages that are shaded.
fn away(visit: &Visit, found: &[Outage]) -> Markup {
    const NAMED: usize = 3;
    let mut longest: Vec<&Outage> = found.iter().collect();
    longest.sort_by_key(|outage| {
        let LaneSpan { since, until } = span(outage, visit.now);
        std::cmp::Reverse(until.duration_since(since))
    });
    html! {
        ul.lines {
            @for outage in longest.into_iter().take(NAMED) {
                li {
                    span.mark aria-hidden="true" { "▒" } (visit.clock.time(outage.since, None))
                    @match outage.until {
                        Some(until) => { " for " (times::took(until.0.duration_since(outage.since.0))) },
                        None => { " until now" },
                    }
                    ": " (text(&outages::began(&outage.outage())))
                }
            }
            @if found.len() > NAMED { li.dim { "and " (found.len() - NAMED) " shorter" } }
        }
    }
}

/// Asks about an instant, and answers if one is asked about.
fn why(visit: &Visit, view: &View) -> Markup {
    let local =
        |at: Timestamp| at.to_zoned_datetime(view.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S").to_string();
    html! {
        form #why.filters method="get" action="#why" {
            @for name in ["from", "to", "day", "around", "zone"] {
                @if let Some(value) = visit.parameter(name) { input type="hidden" name=(name) value=(value); }
            }
            label { "Why did it fire, or not, at (" (times::zone_name(&view.zone)) ")"
                input type="datetime-local" name="at" step="1" required value=[view.wanted.at.map(local)]; }
            button type="submit" { "Why?" }
        }
        @match &view.why {
            None => {},
            Some(Ok(explanation)) => (answer(visit, view, explanation)),
            Some(Err(problem)) => p.answer.attention { (text(problem)) },
        }
    }
}

fn answer(visit: &Visit, view: &View, explanation: &Explanation) -> Markup {
    let zone = view.details.cron.timezone.as_deref();
    let kept = visit.with_parameter("at", None);
    let ask = |at: Time| format!("{kept}{}at={}#why", if kept == "?" { "" } else { "&" }, at.0);
    html! {
        div.answer role="status" {
            p {
                b { (moment(explanation.at.0, &view.zone)) } " – "
                strong.(tone_class(explanation.verdict.0.tone())) { (explanation.verdict.0.as_str().replace('-', " ")) }
                ": " (text(&with_short_ids(&explanation.detail)))
            }
            p.dim {
                "On its schedule, "
                @match explanation.before { Some(at) => { "before: " a href=(ask(at)) { (visit.clock.time(at, zone)) } }, None => "nothing before" }
                @match explanation.after { Some(at) => { "; after: " a href=(ask(at)) { (visit.clock.time(at, zone)) } }, None => "; nothing after" }
                "."
            }
            @if !explanation.runs.is_empty() { div.wide { (visit.more_run_rows(&explanation.runs, Some(zone.unwrap_or("UTC")))) } }
        }
    }
}
