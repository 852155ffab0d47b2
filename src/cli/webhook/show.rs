//! `agentcron webhook show`: one webhook, attempt by attempt.

use clap::Args;
use jiff::SignedDuration;

use super::{delivery_mode, painted_status};
use crate::api::wire;
use crate::cli::failure::Failure;
use crate::cli::output::{Style, printable};
use crate::cli::session::Session;
use crate::cli::times;
use crate::domain::delivery::Phases;
use crate::domain::ids::DeliveryId;
use crate::domain::reason::Reason;
use crate::domain::run::called;
use crate::store::{AttemptRow, Reader, WebhookDetails, WebhookQueue};
use crate::webhook::{redacted, webhook_id};

/// Shorter prefixes are mistakes rather than ids.
const PREFIX_MIN: usize = 4;

/// Show everything about one webhook: every attempt, what its time went into, what the receiver said, what followed.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron webhook show 5f1c2ab9                                    the id as `webhook list` shows it
  agentcron webhook show msg_0e5a6cf1-9d1c-5d0b-8a51-52b8b1b7a1f0    the webhook-id that a receiver got")]
pub(super) struct Show {
    /// The webhook's id or its run's id, with or without `msg_`; or the first characters of it (at least 4)
    webhook: String,
}

pub(super) fn show(show: &Show, session: &mut Session) -> Result<(), Failure> {
    let reader = session.open_store()?;
    let delivery_id = find(&show.webhook, &reader)?;
    let details = reader.webhook_details(delivery_id)?;
    let details =
        details.ok_or_else(|| Failure::Failed(format!("webhook {delivery_id} was deleted just now")))?;
    let mode = reader.webhook_queue()?;
    if session.output.is_json() {
        return Ok(session.output.json(&wire::DeliveryDetails::of(&details, &mode.mode))?);
    }
    print_facts(&details, &mode, session)?;
    print_attempts(&details, &mode, session)
}

pub(super) fn find(text: &str, reader: &Reader) -> Result<DeliveryId, Failure> {
    let id = text.strip_prefix("msg_").unwrap_or(text);
    let is_prefix = id.len() <= 36 && id.chars().all(|char| char.is_ascii_hexdigit() || char == '-');
    if id.len() < PREFIX_MIN || !is_prefix {
        return Err(Failure::Usage(format!(
            "got `{text}`, expected a webhook's id or at least its first {PREFIX_MIN} characters; \
             `agentcron webhook list` shows them"
        )));
    }
    match reader.webhooks_with_prefix(id, 5)?.as_slice() {
        [] => Err(Failure::Failed(format!(
            "there is no webhook `{text}`; `agentcron webhook list` shows those that are"
        ))),
        [delivery_id] => Ok(*delivery_id),
        several => {
            let several: Vec<String> = several.iter().map(ToString::to_string).collect();
            let several = several.join(", ");
            Err(Failure::Usage(format!("`{text}` may be several webhooks: {several}; give more characters")))
        }
    }
}

fn print_facts(details: &WebhookDetails, mode: &WebhookQueue, session: &mut Session) -> Result<(), Failure> {
    let (row, now) = (&details.row, session.now());
    let delivery = &row.delivery;
    let at = |at| format!("{}  ({})", times::local_with_day(at, &session.zone), times::relative(at, now));
    let mut facts = vec![
        ("webhook", delivery.delivery_id.to_string()),
        ("webhook-id", webhook_id(row.run_id)),
        ("cron", called(row.cron_name.as_deref()).to_owned()),
        ("to", printable(&redacted(&delivery.url))),
        ("recorded", at(delivery.created_at)),
        ("status", painted_status(delivery.status, &session.output)),
    ];
    if let Some(reason) = delivery.reason.as_ref().map(Reason::text) {
        facts.push(("reason", printable(reason)));
    }
    match (mode.mode.keeps(row.delivery.status), delivery.due_at) {
        (Some(hold), _) => facts.push(("next attempt", delivery_mode::held_text(hold, session))),
        // Breakers and patience with receivers are the daemon's own: a process beside it sees the earliest time only.
        (None, Some(due_at)) if due_at <= now => {
            let since = times::local(due_at, &session.zone);
            let words = "as soon as its receiver has a free place and is not left alone for failing";
            facts.push(("next attempt", format!("due since {since}: {words}")));
        }
        (None, Some(due_at)) => facts.push(("next attempt", format!("not before {}", at(due_at)))),
        (None, None) => {}
    }
    for (name, value) in facts {
        let name = session.output.paint(Style::Dim, &format!("{name:<14}"));
        session.output.line(&format!("{name} {value}"))?;
    }
    Ok(())
}

fn print_attempts(
    details: &WebhookDetails,
    mode: &WebhookQueue,
    session: &mut Session,
) -> Result<(), Failure> {
    let heading = session.output.paint(Style::Bold, "attempts");
    session.output.line("")?;
    session.output.line(if details.attempts.is_empty() { "no attempt was made" } else { &heading })?;
    for (index, attempt) in details.attempts.iter().enumerate() {
        let clock = times::local_to_the_millisecond(attempt.started_at, &session.zone);
        session.output.line(&format!("{:>4}  {clock}  {}", attempt.attempt, outcome(attempt)))?;
        let time = spent(&attempt.phases);
        if !time.is_empty() {
            session.output.line(&format!("      {}", session.output.paint(Style::Dim, &time)))?;
        }
        if let Some(detail) = &attempt.detail {
            session.output.line(&format!("      {}", printable(detail)))?;
        }
        for line in attempt.answer.iter().flat_map(|answer| answer.lines()) {
            session.output.line(&format!("      | {}", printable(line)))?;
        }
        let followed = followed(details, details.attempts.get(index + 1), mode, session);
        session.output.line(&format!("      -> {followed}"))?;
    }
    Ok(())
}

fn outcome(attempt: &AttemptRow) -> String {
    let Some(ended_at) = attempt.ended_at else { return "is being made".to_owned() };
    let took = times::took(ended_at.duration_since(attempt.started_at));
    let from = attempt.address.as_ref().map(|address| format!(" by {address}")).unwrap_or_default();
    match attempt.code {
        Some(code) => format!("answered {code}{from} in {took}"),
        None => format!("no answer in {took}"),
    }
}

/// `dns 1ms, connect 2ms, tls 9ms, first byte 30ms`.
pub(super) fn spent(phases: &Phases) -> String {
    let named = [
        ("dns", phases.lookup),
        ("connect", phases.connect),
        ("tls", phases.tls),
        ("first byte", phases.head),
    ];
    let took = named.into_iter().filter_map(|(name, took)| {
        let took = SignedDuration::try_from(took?).ok()?;
        Some(format!("{name} {}", times::took(took)))
    });
    took.collect::<Vec<_>>().join(", ")
}

/// What came of it, in words.
fn followed(
    details: &WebhookDetails,
    next: Option<&AttemptRow>,
    mode: &WebhookQueue,
    session: &Session,
) -> String {
    let delivery = &details.row.delivery;
    match (next, delivery.due_at) {
        (Some(next), _) => format!("tried again at {}", times::local(next.started_at, &session.zone)),
        (None, Some(_)) if mode.mode.keeps(details.row.delivery.status).is_some() => {
            "to be tried again once released".to_owned()
        }
        (None, Some(due_at)) => {
            let when = times::relative(due_at, session.now());
            format!("to be tried again {when}, at {}", times::local(due_at, &session.zone))
        }
        (None, None) => delivery.status.to_string(),
    }
}
