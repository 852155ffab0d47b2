//! The attempts at a webhook: when each was, what came of it, and where its time went.

use jiff::SignedDuration;
use maud::{Markup, html};

use crate::api::page::shown::text;
use crate::api::page::svg::phases::{Part, phases};
use crate::api::page::visit::Visit;
use crate::api::wire::{Attempt, DeliveryDetails};
use crate::domain::bounds::PAGE_ATTEMPTS_MAX;
use crate::domain::printable::on_lines;
use crate::present::{times, webhooks};

/// The classes of the parts of an attempt, in order, with their names.
const PARTS: [(&str, &str); 6] = [
    ("dns", "looking up its name"),
    ("connect", "connecting"),
    ("tls", "TLS"),
    ("wait", "waiting for an answer"),
    ("rest", "reading it"),
    ("none", "no answer"),
];

pub(super) fn attempts(visit: &Visit, details: &DeliveryDetails) -> Markup {
    let all = &details.attempts;
    let longest = all.iter().filter_map(|attempt| attempt.total_ms).max().unwrap_or(0).max(1);
    let left_out = all.len().saturating_sub(PAGE_ATTEMPTS_MAX);
    let first = details.delivery.created_at.0;
    html! {
        section {
            h2 { "Attempts" }
            @if all.is_empty() { p.empty { "None was made yet." } }
            @else {
                @if left_out > 0 { p.dim { "The first " (left_out) " are left out." } }
                ol.attempts { @for (place, attempt) in all.iter().enumerate().skip(left_out) { li {
                    span { b { (attempt.attempt) } " " (visit.clock.time_to_the_millisecond(attempt.started_at, None))
                        " " span.dim { "+" (times::took(attempt.started_at.0.duration_since(first).max(SignedDuration::ZERO))) } }
                    (phases(&parts(attempt), longest))
                    (came_to(attempt))
                    (told(attempt, all.get(place.wrapping_sub(1)).filter(|_| place > left_out)))
                } } }
                p.dim.legend {
                    @for (class, name) in PARTS {
                        @if all.iter().any(|attempt| parts(attempt).iter().any(|part| part.class == class)) {
                            span class={ "key " (class) } aria-hidden="true" {} (name) " "
                        }
                    }
                    "· all on one scale, which ends at " (times::took(SignedDuration::from_millis(longest)))
                }
            }
        }
    }
}

fn came_to(attempt: &Attempt) -> Markup {
    let took = times::took(SignedDuration::from_millis(attempt.total_ms.unwrap_or(0)));
    html! {
        @match (attempt.ended_at, attempt.code) {
            (None, _) => span.state.active { span.mark aria-hidden="true" { "▶" } "in flight" },
            (Some(_), Some(200..=299)) => span { span.state.good { span.mark aria-hidden="true" { "✓" } (webhooks::response_text(attempt.code)) } " in " (took) },
            (Some(_), code) => span { span.state.bad { span.mark aria-hidden="true" { "✕" } (webhooks::response_text(code)) } " in " (took) },
        }
    }
}

/// Returns the phases in words, what went wrong, and the beginning of what was answered, unless that is as it was before.
fn told(attempt: &Attempt, before: Option<&Attempt>) -> Markup {
    let phases = webhooks::phases_text(&attempt.phases());
    let answer = attempt.answer.as_ref().filter(|answer| !answer.is_empty());
    let is_same =
        before.is_some_and(|before| before.answer == attempt.answer && before.detail == attempt.detail);
    html! {
        p.said {
            span.dim { @if let Some(address) = &attempt.address { (text(address)) @if !phases.is_empty() { ": " } } (phases) }
            @if let Some(detail) = &attempt.detail { @if !phases.is_empty() || attempt.address.is_some() { br; } (text(detail)) }
            @if is_same && answer.is_some() { span.dim { ", with the same answer" } }
        }
        @if let Some(answer) = answer.filter(|_| !is_same) { pre tabindex="0" aria-label="The beginning of the answer" { (on_lines(answer)) } }
    }
}

/// Returns the parts of an attempt. Each phase began when the one before it ended; the head of the answer is counted from the
/// beginning.
fn parts(attempt: &Attempt) -> Vec<Part> {
    let total = attempt.total_ms.unwrap_or(0).max(0);
    let milliseconds =
        |took: Option<u64>| took.map(|took| i64::try_from(took).unwrap_or(i64::MAX).min(total));
    let mut parts = Vec::new();
    let mut at = 0;
    let mut add = |class, until: i64| {
        if until > at || class == "none" {
            parts.push(Part { class, since: at, until: until.max(at) });
            at = until.max(at);
        }
        at
    };
    let mut end = 0;
    for (class, took) in [("dns", attempt.dns_ms), ("connect", attempt.connect_ms), ("tls", attempt.tls_ms)] {
        if let Some(took) = milliseconds(took) {
            end = add(class, (end + took).min(total));
        }
    }
    match milliseconds(attempt.first_byte_ms) {
        Some(head) => {
            add("wait", head);
            add("rest", total);
        }
        None if attempt.ended_at.is_some() => {
            add("none", total);
        }
        None => {}
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::wire::Time;

    #[test]
    fn the_phases_follow_each_other_and_end_with_the_attempt() {
        let at = |milliseconds| Time(jiff::Timestamp::from_millisecond(milliseconds).unwrap());
        let attempt = Attempt {
            attempt: 1,
            started_at: at(0),
            ended_at: Some(at(150)),
            code: Some(500),
            detail: None,
            address: None,
            dns_ms: Some(2),
            connect_ms: Some(11),
            tls_ms: Some(18),
            first_byte_ms: Some(120),
            total_ms: Some(150),
            answer: None,
        };
        let shown = |attempt: &Attempt| {
            parts(attempt).iter().map(|part| (part.class, part.since, part.until)).collect::<Vec<_>>()
        };
        let all = [("dns", 0, 2), ("connect", 2, 13), ("tls", 13, 31), ("wait", 31, 120), ("rest", 120, 150)];
        assert_eq!(shown(&attempt), all);
        let silent = Attempt { first_byte_ms: None, tls_ms: None, ..attempt.clone() };
        assert_eq!(shown(&silent), [("dns", 0, 2), ("connect", 2, 13), ("none", 13, 150)]);
        let refused = Attempt { dns_ms: None, connect_ms: None, total_ms: Some(0), ..silent };
        assert_eq!(shown(&refused), [("none", 0, 0)]);
        let in_flight = Attempt { ended_at: None, total_ms: None, first_byte_ms: None, ..attempt };
        assert_eq!(shown(&in_flight), []);
    }
}
