//! The timeline of a run in words, and what its unusual words mean.

use jiff::SignedDuration;
use maud::{Markup, html};

use crate::api::page::shown::text;
use crate::api::page::visit::Visit;
use crate::api::wire::{RunDetails, TimelineEntry};
use crate::domain::reason::RunEventKind;
use crate::domain::run::Phase;
use crate::present::{times, with_short_ids};

/// Returns everything that happened, the day once, each with how long it was after the scheduled instant.
pub(super) fn timeline(visit: &Visit, details: &RunDetails, zone: Option<&str>) -> Markup {
    let origin = details.run.scheduled_for.0;
    let day = |entry: &TimelineEntry| visit.clock.day(entry.at, zone);
    let days = details.timeline.chunk_by(|a, b| day(a) == day(b));
    html! {
        section {
            h2 { "What happened" }
            @if details.timeline.is_empty() { (visit.values_hidden("The timeline quotes the agent server and receivers, and")) }
            @for entries in days {
                @if let Some(first) = entries.first() { p.day { (day(first)) } }
                ol.timeline { @for entry in entries { li {
                    (visit.clock.time_of_day(entry.at, zone)) " "
                    span.offset { (offset(entry.at.0.duration_since(origin))) } " "
                    span.text { (text(&with_short_ids(&entry.text))) }
                } } }
            }
            (meaning(details))
        }
    }
}

/// Returns `+42.1 s`; nothing for the instant itself.
fn offset(since: SignedDuration) -> String {
    match since.is_zero() {
        true => String::new(),
        false => format!("{}{}", if since.is_negative() { "−" } else { "+" }, times::took(since.abs())),
    }
}

/// Says what it means that a start is not confirmed, if that occurs.
fn meaning(details: &RunDetails) -> Markup {
    let is_unclear = |kind: RunEventKind| {
        use RunEventKind::{Adopted, RuledOut, StillUnconfirmed, Unconfirmed};
        [Unconfirmed, StillUnconfirmed, RuledOut, Adopted].contains(&kind)
    };
    let was_unclear = details.events.iter().any(|event| is_unclear(event.event.0));
    html! {
        @if was_unclear || details.run.phase.0 == Phase::Unconfirmed {
            details.meaning open {
                summary { "What “not confirmed” means" }
                p {
                    "The run was sent and no clear answer came, so it may have started or not. agentcron never sends it to that thread again. "
                    "It puts a " strong { "fence" } " there: a placeholder run, behind which nothing else can start on that thread. Then it looks. "
                    "If the run is there, it is followed like any other. If only the fence is there, the run can no longer start, and is sent to a new thread. "
                    "So it runs once, and not twice."
                }
                @if details.not_found_count > 0 { p { "It was looked for " (crate::present::counted(u64::from(details.not_found_count), "time")) " in a row without a clear result." } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_says_before_and_after() {
        for (milliseconds, expected) in
            [(0, ""), (42_100, "+42.1 s"), (-3, "−3 ms"), (3_600_000, "+1 h 0 min")]
        {
            assert_eq!(offset(SignedDuration::from_millis(milliseconds)), expected);
        }
    }
}
