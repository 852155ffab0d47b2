//! The timeline of one run: everything that happened to it and to its webhooks, in order.

use jiff::Timestamp;

use super::{outages, runs, times, webhooks};
use crate::domain::ids::FIRST_RUN;
use crate::domain::reason::Reason;
use crate::domain::run::{Run, Trigger};
use crate::store::{AttemptRow, DeliveryDetails, RunDetails};
use crate::webhook::redacted;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineEntry {
    pub at: Timestamp,
    /// One line. It may quote a server or a receiver.
    pub text: String,
}

/// Returns the timeline in order of time. Entries of the same instant keep the order of cause and effect.
pub fn timeline(details: &RunDetails) -> Vec<TimelineEntry> {
    let row = &details.row;
    let run = &row.run;
    let mut entries = planned(run);
    for event in &details.events {
        entries.push(entry(event.at, with_detail(event.event.phrase(), event.detail.as_deref())));
    }
    for outage in &details.outages {
        entries.push(entry(outage.since, outages::began(outage)));
        entries.extend(outage.until.map(|until| entry(until, outages::ended(outage))));
    }
    if let Some(backend_run) = runs::backend_run(run) {
        entries.push(entry(backend_run.started_at, "started: accepted by the agent server".to_owned()));
    }
    if let Some(ended_at) = runs::ended_at(run) {
        let ended = format!("ended: {}", row.status_word());
        entries.push(entry(ended_at, with_detail(&ended, Some(&runs::why_of(row)))));
        if let Some(learnt_at) = runs::learnt_late_at(run) {
            entries.push(entry(learnt_at, "agentcron learnt that it had ended".to_owned()));
        }
    }
    entries.extend(details.deliveries.iter().flat_map(delivery_entries));
    // The sort is stable, which keeps that order.
    entries.sort_by_key(|entry| entry.at);
    entries
}

fn planned(run: &Run) -> Vec<TimelineEntry> {
    let mut entries = vec![entry(run.scheduled_for, format!("scheduled ({})", run.trigger))];
    if run.due_at != run.scheduled_for {
        let due = match run.trigger {
            Trigger::Manual if run.retry > FIRST_RUN && run.first_started_at.is_none() => "retry requested",
            _ if run.retry > FIRST_RUN => "retry due",
            Trigger::Backfill => "backfill requested",
            Trigger::Schedule | Trigger::Catchup | Trigger::Manual | Trigger::Api => "due, after jitter",
        };
        entries.push(entry(run.due_at, due.to_owned()));
    }
    entries
}

fn delivery_entries(details: &DeliveryDetails) -> Vec<TimelineEntry> {
    let delivery = &details.delivery;
    let recorded = format!("webhook recorded for {}", redacted(&delivery.url));
    let mut entries = vec![entry(delivery.created_at, recorded)];
    for attempt in &details.attempts {
        entries.push(entry(attempt.ended_at.unwrap_or(attempt.started_at), attempt_text(attempt)));
    }
    if let Some(ended_at) = delivery.ended_at {
        let ended = format!("webhook {}", delivery.status);
        entries.push(entry(ended_at, with_detail(&ended, delivery.reason.as_ref().map(Reason::text))));
    }
    if let Some(due_at) = delivery.due_at {
        entries.push(entry(due_at, format!("webhook attempt {} due", delivery.attempts + 1)));
    }
    entries
}

fn attempt_text(attempt: &AttemptRow) -> String {
    let number = attempt.attempt;
    let Some(ended_at) = attempt.ended_at else { return format!("webhook attempt {number} started") };
    let took = times::took(ended_at.duration_since(attempt.started_at));
    let response = webhooks::response_text(attempt.code);
    with_detail(&format!("webhook attempt {number}: {response} in {took}"), attempt.detail.as_deref())
}

fn entry(at: Timestamp, text: String) -> TimelineEntry {
    TimelineEntry { at, text }
}

fn with_detail(text: &str, detail: Option<&str>) -> String {
    match detail {
        Some(detail) if !detail.is_empty() => format!("{text}: {detail}"),
        Some(_) | None => text.to_owned(),
    }
}
