//! `agentcron webhook show`: one webhook, attempt by attempt.

use clap::Args;

use crate::api::wire;
use crate::cli::terminal::{Failure, Session, TextStyle, find_webhook, printable};
use crate::domain::run::called;
use crate::present::{times, webhooks};
use crate::store::{WebhookDetails, WebhookQueue};
use crate::webhook::{redacted, webhook_id};

/// Show everything about one webhook, attempt by attempt
#[derive(Args, Debug)]
#[command(after_help = "\
Works while the daemon is down.

Examples:
  agentcron webhook show 5f1c2ab9      the id as `webhook list` shows it
  agentcron webhook show msg_0e5a6cf1-9d1c-5d0b-8a51-52b8b1b7a1f0
                                       the webhook-id that a receiver got")]
pub(super) struct Show {
    /// The id of the webhook or of its run, with or without `msg_`, or its first characters (at least 4)
    webhook: String,
}

pub(super) fn show(show: &Show, session: &mut Session) -> Result<(), Failure> {
    let reader = session.open_store()?;
    let delivery_id = find_webhook(&show.webhook, &reader)?;
    let details = reader.webhook_details(delivery_id)?;
    let details =
        details.ok_or_else(|| Failure::Failed(format!("webhook {delivery_id} has just been deleted")))?;
    let queue = reader.webhook_queue()?;
    if session.output.is_json() {
        return Ok(session.output.json(&wire::DeliveryDetails::of(&details, &queue.mode))?);
    }
    print_fields(&details, &queue, session)?;
    print_attempts(&details, &queue, session)
}

fn print_fields(
    details: &WebhookDetails,
    queue: &WebhookQueue,
    session: &mut Session,
) -> Result<(), Failure> {
    let (row, now) = (&details.row, session.now());
    let delivery = &row.delivery;
    let recorded = times::local_with_day(delivery.created_at, &session.zone);
    let status = session.output.paint(webhooks::tone(delivery.status), delivery.status.as_str());
    let mut fields = vec![
        ("webhook", delivery.delivery_id.to_string()),
        ("webhook-id", webhook_id(row.run_id)),
        ("cron", printable(called(row.cron_name.as_deref()))),
        ("to", printable(&redacted(&delivery.url))),
        ("recorded", format!("{recorded}  ({})", times::relative(delivery.created_at, now))),
        ("status", status),
    ];
    let why = webhooks::why(delivery, queue, &session.zone, now);
    if !why.is_empty() {
        fields.push(("why", printable(&why)));
    }
    Ok(session.output.fields(&fields)?)
}

fn print_attempts(
    details: &WebhookDetails,
    queue: &WebhookQueue,
    session: &mut Session,
) -> Result<(), Failure> {
    if details.attempts.is_empty() {
        return Ok(session.output.heading("no attempts yet")?);
    }
    session.output.heading("attempts")?;
    for (index, attempt) in details.attempts.iter().enumerate() {
        let clock = times::local_to_the_millisecond(attempt.started_at, &session.zone);
        let outcome = printable(&webhooks::attempt_text(attempt));
        session.output.line(&format!("{:>4}  {clock}  {outcome}", attempt.attempt))?;
        let phases = webhooks::phases_text(&attempt.phases);
        if !phases.is_empty() {
            session.output.line(&format!("      {}", session.output.paint(TextStyle::Dim, &phases)))?;
        }
        if let Some(detail) = &attempt.detail {
            session.output.line(&format!("      {}", printable(detail)))?;
        }
        for line in attempt.answer.iter().flat_map(|answer| answer.lines()) {
            session.output.line(&format!("      | {}", printable(line)))?;
        }
        let next = details.attempts.get(index + 1);
        let delivery = &details.row.delivery;
        let followed = webhooks::followed_text(delivery, next, queue, &session.zone, session.now());
        session.output.line(&format!("      -> {followed}"))?;
    }
    Ok(())
}
