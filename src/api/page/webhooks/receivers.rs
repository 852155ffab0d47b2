//! The receivers of webhooks: whether they are well, what waits for each, and what they said last.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use crate::api::page::shown::{act_link, text};
use crate::api::page::visit::Visit;
use crate::api::wire::Time;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::delivery_mode::Suspension;
use crate::domain::outage::Outage;
use crate::present::{counted, times, webhooks};
use crate::store::{LastAnswer, ReceiverNow, Receivers, WebhookQueue};
use crate::webhook::{is_of, redacted};

/// URLs of a receiver that are away and are named.
const AWAY_NAMED: usize = 3;

pub(super) fn receivers(visit: &Visit, found: &Receivers, queue: &WebhookQueue) -> Markup {
    let probes = visit.api.health.outages.probes();
    html! {
        section #receivers {
            h2 { "Receivers" }
            @if found.listed.is_empty() { p.empty { "No webhook waits, and none was recorded in the last 24 hours." } }
            @else {
                div.wide { table.rows.receivers data-list="receivers" {
                    thead { tr { th { "Receiver" } th { "State" } th { "Waiting" } th { "Recorded in 24 h" } th { "Last answer" } td {} } }
                    tbody { @for (place, one) in found.listed.iter().enumerate() { (row(visit, place, one, queue, &probes)) } }
                } }
                @if found.left_out > 0 { p.dim { "and " (counted(found.left_out as u64, "receiver")) " more with less" } }
            }
            @if !queue.suspended.is_empty() { (suspended(visit, queue)) }
        }
    }
}

fn row(
    visit: &Visit,
    place: usize,
    one: &ReceiverNow,
    queue: &WebhookQueue,
    probes: &HashMap<String, Timestamp>,
) -> Markup {
    let shown = redacted(&one.url);
    let shown = shown.trim_end_matches('/');
    let is_here = |outage: &&Outage| is_of(&one.url, &outage.subject) || outage.subject.starts_with(shown);
    let away: Vec<&Outage> = queue.receivers_away.iter().filter(is_here).collect();
    html! {
        tr id={ "receiver-" (place) } {
            td.url data-label="Receiver" { a href=(listed(shown, None)) { (text(shown)) } @if one.of_clients { " " span.dim { "chosen by clients" } } }
            td data-label="State" { span { (state(visit, one, shown, &away, probes)) } }
            td data-label="Waiting" { span {
                @if one.waiting > 0 { a href=(listed(shown, Some("pending,sending"))) { (one.waiting) } } @else { span.dim { "none" } }
                @if let Some(oldest) = one.oldest { span.dim.under { "oldest " (visit.clock.relative(Time(oldest))) } }
            } }
            td data-label="Recorded in 24 h" { span { (recorded(shown, one)) } }
            td data-label="Last answer" { span { @if let Some(last) = &one.last { (answer(visit, last)) } (answers_in(one)) } }
            td { @if visit.may_act { (acts(visit, one, shown)) } }
        }
    }
}

/// Returns where the webhooks of a receiver are listed.
fn listed(shown: &str, status: Option<&str>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("url", shown);
    query.extend_pairs(status.map(|status| ("status", status)));
    format!("webhooks?{}", query.finish())
}

fn state(
    visit: &Visit,
    one: &ReceiverNow,
    shown: &str,
    away: &[&Outage],
    probes: &HashMap<String, Timestamp>,
) -> Markup {
    let mark = |class: &str, mark: &str, word: &str| {
        html! { span class={ "state " (class) } { span.mark aria-hidden="true" { (mark) } (word) } }
    };
    let part = |outage: &Outage| {
        outage.subject.strip_prefix(shown).filter(|part| !part.is_empty()).map(str::to_owned)
    };
    html! {
        @for outage in away.iter().take(AWAY_NAMED) {
            span.line {
                (mark("bad", "✕", "away")) @if let Some(part) = part(outage) { " " (text(&part)) } " since " (visit.clock.time(Time(outage.since), None))
                @if let Some(probe) = probes.get(&outage.subject) { span.dim.under { "next attempt " (visit.clock.relative(Time(*probe))) } }
            }
        }
        @if away.len() > AWAY_NAMED { span.dim { "and " (away.len() - AWAY_NAMED) " more" } }
        @if away.is_empty() {
            @match &one.last {
                Some(last) if !is_good(last) => (mark("attention", "!", "last attempt failed")),
                Some(_) => (mark("good", "✓", "well")),
                None => span.dim { "not heard of lately" },
            }
        }
    }
}

fn is_good(last: &LastAnswer) -> bool {
    matches!(last.code, Some(200..=299))
}

fn recorded(shown: &str, one: &ReceiverNow) -> Markup {
    let is_bad = |status: DeliveryStatus| {
        matches!(status, DeliveryStatus::Failed | DeliveryStatus::Gone | DeliveryStatus::Blocked)
    };
    let count = |wanted: fn(DeliveryStatus) -> bool| {
        one.by_status.iter().filter(|(status, _)| wanted(**status)).map(|(_, count)| count).sum::<u64>()
    };
    let (good, bad): (u64, u64) = (
        count(|status| status == DeliveryStatus::Delivered),
        one.by_status.iter().filter(|(status, _)| is_bad(**status)).map(|(_, count)| count).sum(),
    );
    let never = count(|status| matches!(status, DeliveryStatus::Suppressed | DeliveryStatus::Aborted));
    html! {
        span.state.good { span.mark aria-hidden="true" { "✓" } (good) span.dim { " arrived" } }
        @if bad > 0 { " " a href=(listed(shown, Some("failed,gone,blocked"))) { span.state.bad { span.mark aria-hidden="true" { "✕" } (bad) " failed" } } }
        @if never > 0 { " " span.state.attention { span.mark aria-hidden="true" { "–" } (never) " not sent" } }
    }
}

fn answers_in(one: &ReceiverNow) -> Markup {
    let text =
        |percent| one.took(percent).and_then(|took| SignedDuration::try_from(took).ok()).map(times::took);
    html! {
        @if let (Some(half), Some(most)) = (text(50), text(95)) { span.dim.under { "half within " (half) ", 95 % within " (most) } }
    }
}

fn answer(visit: &Visit, last: &LastAnswer) -> Markup {
    html! {
        span.(if is_good(last) { "good" } else { "bad" }) { (webhooks::response_text(last.code)) } " " span.dim { (visit.clock.relative(Time(last.at))) }
        @if let Some(detail) = last.detail.as_ref().filter(|_| !is_good(last) && visit.may_see_values()) { span.under.dim { (text(&crate::present::first_words(detail))) } }
    }
}

fn acts(visit: &Visit, one: &ReceiverNow, shown: &str) -> Markup {
    let here = visit.here();
    let has_failed =
        one.by_status.keys().any(|status| status.is_over() && *status != DeliveryStatus::Delivered);
    html! {
        @if has_failed { (act_link(&visit.up, "replay", &[("url", shown.trim_end_matches("?…")), ("next", &here)], "Replay")) }
    }
}

/// Shows the URLs that get nothing any more because their receivers said so.
fn suspended(visit: &Visit, queue: &WebhookQueue) -> Markup {
    let here = visit.here();
    let resume = |one: &Suspension| {
        act_link(&visit.up, "resume-url", &[("url", &redacted(&one.url)), ("next", &here)], "Resume")
    };
    html! {
        h3 { "URLs that get nothing: their receivers said that they are gone" }
        ul.lines {
            @for one in &queue.suspended { li {
                span.state.bad { span.mark aria-hidden="true" { "⊘" } "gone" } " " (text(&redacted(&one.url)))
                " since " (visit.clock.time(Time(one.since), None))
                " " a href={ (visit.up) "webhooks/" (one.delivery_id) } { "what it answered" }
                @if visit.may_act { " " (resume(one)) }
            } }
        }
        @if queue.suspended_count > queue.suspended.len() as u64 { p.dim { "and " (queue.suspended_count - queue.suspended.len() as u64) " more" } }
    }
}
