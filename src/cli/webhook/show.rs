//! `agentcron webhook show`: one webhook, attempt by attempt.

use clap::Args;

use super::list::why;
use crate::api::wire::{Delivery, DeliveryDetails, Time, Word};
use crate::cli::terminal::{Failure, Session, Source, TextStyle, find_webhook, printable};
use crate::present::{times, webhooks};

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
    let id = &show.webhook;
    let details: DeliveryDetails = match session.source()? {
        Source::Daemon(daemon) => daemon.get(&["deliveries", id.strip_prefix("msg_").unwrap_or(id)], &[])?,
        Source::Store(reader) => {
            let delivery_id = find_webhook(id, &reader)?;
            let gone = || Failure::Failed(format!("webhook {delivery_id} has just been deleted"));
            let details = reader.webhook_details(delivery_id)?.ok_or_else(gone)?;
            DeliveryDetails::of(&details, &reader.webhook_queue()?, session.now())
        }
    };
    if session.output.is_json() {
        return Ok(session.output.json(&details)?);
    }
    print_fields(&details.delivery, session)?;
    print_attempts(&details, session)
}

fn print_fields(delivery: &Delivery, session: &mut Session) -> Result<(), Failure> {
    let (Time(created_at), Word(status)) = (delivery.created_at, delivery.status);
    let recorded = times::local_with_day(created_at, &session.zone);
    let status = session.output.paint(webhooks::tone(status), status.as_str());
    let mut fields = vec![
        ("webhook", delivery.delivery_id.clone()),
        ("webhook-id", delivery.webhook_id.clone()),
        ("cron", printable(delivery.called())),
        ("to", printable(&delivery.url)),
        ("recorded", format!("{recorded}  ({})", times::relative(created_at, session.now()))),
        ("status", status),
    ];
    let why = why(delivery, session);
    if !why.is_empty() {
        fields.push(("why", printable(&why)));
    }
    Ok(session.output.fields(&fields)?)
}

fn print_attempts(details: &DeliveryDetails, session: &mut Session) -> Result<(), Failure> {
    if details.attempts.is_empty() {
        return Ok(session.output.heading("no attempts yet")?);
    }
    session.output.heading("attempts")?;
    for (index, attempt) in details.attempts.iter().enumerate() {
        let Time(started_at) = attempt.started_at;
        let clock = times::local_to_the_millisecond(started_at, &session.zone);
        let outcome = match attempt.ended_at {
            None => "in progress".to_owned(),
            Some(Time(ended_at)) => {
                let took = ended_at.duration_since(started_at);
                webhooks::response_with_address(attempt.code, attempt.address.as_deref(), took)
            }
        };
        session.output.line(&format!("{:>4}  {clock}  {}", attempt.attempt, printable(&outcome)))?;
        let phases = webhooks::phases_text(&attempt.phases());
        if !phases.is_empty() {
            session.output.line(&format!("      {}", session.output.paint(TextStyle::Dim, &phases)))?;
        }
        if let Some(detail) = &attempt.detail {
            session.output.line(&format!("      {}", printable(detail)))?;
        }
        for line in attempt.answer.iter().flat_map(|answer| answer.lines()) {
            session.output.line(&format!("      | {}", printable(line)))?;
        }
        let local = |Time(at): Time| times::local(at, &session.zone);
        let delivery = &details.delivery;
        let followed = match (details.attempts.get(index + 1), delivery.held_since, delivery.due_at) {
            (Some(next), ..) => format!("retried at {}", local(next.started_at)),
            (None, Some(_), Some(_)) => "will be retried once released".to_owned(),
            (None, None, Some(due_at)) => {
                let relative = times::relative(due_at.0, session.now());
                format!("will be retried {relative}, at {}", local(due_at))
            }
            (None, _, None) => delivery.status.0.to_string(),
        };
        session.output.line(&format!("      -> {followed}"))?;
    }
    Ok(())
}
