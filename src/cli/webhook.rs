//! `agentcron webhook`: where webhooks have got to, and why.

mod list;
mod listen;
mod show;

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::output::{Look, Output};
use super::session::Session;
use crate::domain::delivery::DeliveryStatus;

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

fn painted_status(status: DeliveryStatus, output: &Output) -> String {
    let look = match status {
        DeliveryStatus::Delivered => Look::Good,
        DeliveryStatus::Failed | DeliveryStatus::Gone | DeliveryStatus::Blocked => Look::Bad,
        DeliveryStatus::Aborted | DeliveryStatus::Suppressed => Look::Odd,
        DeliveryStatus::Pending | DeliveryStatus::Sending => Look::Going,
    };
    output.paint(look, status.as_str())
}
