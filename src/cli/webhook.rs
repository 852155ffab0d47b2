//! `agentcron webhook`: where webhooks have got to, and why.

mod list;
mod listen;
mod show;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::failure::Failure;
use super::output::{Look, Output};
use super::run_line::time;
use super::session::Session;
use crate::domain::delivery::DeliveryStatus;
use crate::store::WebhookRow;
use crate::webhook::{redacted, webhook_id};

/// Look after the webhooks of ended runs.
#[derive(Args, Debug)]
pub(super) struct Webhook {
    #[command(subcommand)]
    verb: WebhookVerb,
}

#[derive(Debug, Subcommand)]
enum WebhookVerb {
    /// List webhooks: status, attempts, next attempt, newest last
    List(list::List),
    /// Show everything about one webhook: every attempt, its time, its answer
    Show(show::Show),
    /// Receive webhooks on this machine, show and verify each, or misbehave on request
    Listen(listen::Listen),
}

pub(super) fn webhook(webhook: &Webhook, session: &mut Session) -> Result<(), Failure> {
    match &webhook.verb {
        WebhookVerb::List(list) => list::list(list, session),
        WebhookVerb::Show(show) => show::show(show, session),
        WebhookVerb::Listen(listen) => listen::listen(listen, session),
    }
}

/// The same names as in `show`.
fn to_json(row: &WebhookRow) -> Value {
    let delivery = &row.delivery;
    json!({
        "delivery_id": delivery.delivery_id.to_string(),
        "webhook_id": webhook_id(row.run_id),
        "run_id": row.run_id.to_string(),
        "cron_name": row.cron_name,
        "url": redacted(&delivery.url),
        "status": delivery.status.as_str(),
        "attempts_made": delivery.attempts,
        "reason": delivery.reason,
        "created_at": time(Some(delivery.created_at)),
        "due_at": time(delivery.due_at),
        "ended_at": time(delivery.ended_at),
    })
}

fn painted_status(status: DeliveryStatus, output: &Output) -> String {
    let look = match status {
        DeliveryStatus::Delivered => Look::Good,
        DeliveryStatus::Failed | DeliveryStatus::Gone | DeliveryStatus::Blocked => Look::Bad,
        DeliveryStatus::Aborted | DeliveryStatus::Suppressed => Look::Odd,
        DeliveryStatus::Pending | DeliveryStatus::Sending => Look::Going,
    };
    output.paint(look, status.as_str())
}
