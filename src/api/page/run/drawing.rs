//! A run as a waterfall: how long it waited, was sent, ran, and was reported.

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use crate::api::page::shown::{mark_of, text};
use crate::api::page::svg::scale::Scale;
use crate::api::page::svg::waterfall::{Bar, Waterfall, waterfall};
use crate::api::page::visit::Visit;
use crate::api::wire::{Attempt, Outage, RunDetails, Time};
use crate::domain::run::Phase;
use crate::present::{outages, times, webhooks};
use crate::store::RunBeside;

/// Attempts at its webhook that are drawn.
const ATTEMPTS_DRAWN: usize = 12;
/// If its webhook takes so many times as long as the run, each gets a scale of its own.
const APART: i32 = 4;
/// Usually the end of a run is learnt within this time.
const LEARNT_LATE: SignedDuration = SignedDuration::from_secs(3);

/// Returns the drawing with its words; `None` for what never was a run.
pub(super) fn drawing(visit: &Visit, details: &RunDetails, beside: &RunBeside) -> Option<Markup> {
    let is_over = details.run.ended_at.is_some();
    if is_over && details.run.send_count == 0 && details.run.started_at.is_none() {
        return None;
    }
    let bars = of_run(details, beside, visit.now);
    let (due, end) = (bars.first()?.since, bars.last()?.until);
    let of_webhook = of_webhooks(details, visit.now);
    let last = of_webhook.last().map_or(end, |bar| bar.until);
    let are_apart = last.duration_since(end) > end.duration_since(due) * APART;
    let bands = |scale: Scale| {
        let meet = |outage: &&Outage| {
            outage.since.0 < scale.until && outage.until.is_none_or(|until| until.0 > scale.from)
        };
        let end = |outage: &Outage| outage.until.map_or(visit.now, |until| until.0);
        details.outages.iter().filter(meet).map(|outage| (outage.since.0, end(outage))).collect::<Vec<_>>()
    };
    let drawn = |bars: Vec<Bar>, from, until| {
        let scale = Scale { from, until };
        waterfall(&Waterfall { bands: bands(scale), scale, bars })
    };
    let usual = &beside.usual;
    Some(html! {
        section {
            h2 { "Where the time went" }
            @if are_apart {
                (drawn(bars, due, end))
                h3 { "Its webhook, on a scale of its own" }
                @let from = of_webhook.first().map_or(end, |bar| bar.since.min(end));
                (drawn(of_webhook, from, last))
            } @else {
                (drawn(bars.into_iter().chain(of_webhook).collect(), due, last))
            }
            p.dim.legend {
                @if let (Some(p50), Some(p95)) = (usual.took(50), usual.took(95)) {
                    span.key.usual aria-hidden="true" {} "as long as half of the last " (usual.runs) " runs: " (times::took(p50)) "; 95 % within " (times::took(p95)) ". "
                }
                @for outage in &details.outages {
                    span.key.band aria-hidden="true" {} (away(visit, outage)) ". "
                }
            }
        }
    })
}

fn away(visit: &Visit, outage: &Outage) -> Markup {
    html! {
        (text(&outages::began(&outage.outage()))) ", " (visit.clock.time(outage.since, None)) "–"
        @match outage.until { Some(until) => (visit.clock.time(until, None)), None => "now" }
    }
}

fn of_run(details: &RunDetails, beside: &RunBeside, now: Timestamp) -> Vec<Bar> {
    let run = &details.run;
    let end = run.ended_at.map_or(now, |Time(at)| at);
    let (due, started) = (run.due_at.0, run.started_at.map(|Time(at)| at));
    let bar = |label: &str, since: Timestamp, until: Timestamp, class| {
        let until = until.max(since);
        let said = times::took(until.duration_since(since));
        Bar { label: label.to_owned(), since, until, class, said, usual: None }
    };
    let sent = beside.sent_at.or(started);
    let mut bars = vec![bar("waits", due, sent.unwrap_or(end), "waiting")];
    let Some(sent) = sent else { return bars };
    let is_unclear = run.phase.0 == Phase::Unconfirmed;
    let (label, class) = if is_unclear { ("unconfirmed", "attention") } else { ("until accepted", "active") };
    bars.push(bar(label, sent, started.unwrap_or(end), class));
    let Some(started) = started else { return bars };
    let (_, class) = mark_of(&run.status);
    let usual = beside.usual.took(50).and_then(|took| started.checked_add(took).ok());
    let label = match (run.ended_at, run.duration()) {
        (None, _) => "runs",
        (Some(_), Some(_)) => "ran",
        // It was lost: when it ended is unknown.
        (Some(_), None) => "not known",
    };
    bars.push(Bar { usual, ..bar(label, started, end, class) });
    if let Some(learnt) = beside.learnt_at.filter(|at| at.duration_since(end) > LEARNT_LATE) {
        bars.push(bar("end not known yet", end, learnt, "attention"));
    }
    bars
}

fn of_webhooks(details: &RunDetails, now: Timestamp) -> Vec<Bar> {
    let attempts = details.deliveries.iter().flat_map(|delivery| &delivery.attempts);
    let bar = |attempt: &Attempt| {
        let until = attempt.ended_at.map_or(now, |Time(at)| at);
        let took = times::took(until.duration_since(attempt.started_at.0));
        let (class, said) = match (attempt.ended_at, attempt.code) {
            (None, _) => ("active", format!("in progress, {took}")),
            (Some(_), Some(200..=299)) => {
                ("good", format!("{} in {took}", webhooks::response_text(attempt.code)))
            }
            (Some(_), code) => ("bad", format!("{} in {took}", webhooks::response_text(code))),
        };
        let (label, since) = (format!("webhook {}", attempt.attempt), attempt.started_at.0);
        Bar { label, since, until, class, said, usual: None }
    };
    attempts.take(ATTEMPTS_DRAWN).map(bar).collect()
}
