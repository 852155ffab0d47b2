//! `agentcron webhook`: where webhooks have got to, and why; and what may be done about them.

pub(super) mod delivery_mode;
mod doctor;
mod hold;
mod list;
mod listen;
mod release;
mod replay;
mod resume;
mod show;
mod target;
mod test;
mod trial;

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::output::{Output, Style};
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
    /// Send a signed sample to a receiver, and say what came of it
    Test(test::Test),
    /// Say whether webhooks to a URL would be sent, and what is met on the way
    Doctor(doctor::Doctor),
    /// Hold all webhooks: they wait until they are released
    Hold(hold::Hold),
    /// Let held webhooks go, at once or at a rate
    Release(release::Release),
    /// Send webhooks once more: failed, suppressed, or any that are named
    Replay(replay::Replay),
    /// Tell a suspended URL again
    Resume(resume::Resume),
    /// Receive webhooks on this machine, show and verify each, or misbehave on request
    Listen(listen::Listen),
}

pub(super) fn webhook(webhook: &Webhook, session: &mut Session) -> Result<(), Failure> {
    match &webhook.verb {
        WebhookVerb::List(list) => list::list(list, session),
        WebhookVerb::Show(show) => show::show(show, session),
        WebhookVerb::Test(test) => test::test(test, session),
        WebhookVerb::Doctor(doctor) => doctor::doctor(doctor, session),
        WebhookVerb::Hold(hold) => hold::hold(hold, session),
        WebhookVerb::Release(release) => release::release(release, session),
        WebhookVerb::Replay(replay) => replay::replay(replay, session),
        WebhookVerb::Resume(resume) => resume::resume(resume, session),
        WebhookVerb::Listen(listen) => listen::listen(listen, session),
    }
}

fn painted_status(status: DeliveryStatus, output: &Output) -> String {
    let style = match status {
        DeliveryStatus::Delivered => Style::Good,
        DeliveryStatus::Failed | DeliveryStatus::Gone | DeliveryStatus::Blocked => Style::Bad,
        DeliveryStatus::Aborted | DeliveryStatus::Suppressed => Style::Odd,
        DeliveryStatus::Pending | DeliveryStatus::Sending => Style::BackendRun,
    };
    output.paint(style, status.as_str())
}
