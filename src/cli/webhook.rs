//! `agentcron webhook`: where webhooks are, why, and what can be done about them.

mod doctor;
mod hold;
mod list;
mod listen;
mod receiver_arguments;
mod release;
mod replay;
mod resume;
mod show;
mod test;
mod test_delivery;

use clap::{Args, Subcommand};

use super::terminal::{Failure, Session};

/// List, show, test, hold, release and replay webhooks
#[derive(Args, Debug)]
pub(super) struct Webhook {
    #[command(subcommand)]
    verb: WebhookVerb,
}

#[derive(Debug, Subcommand)]
enum WebhookVerb {
    /// List webhooks with their status, attempts and next attempt, newest last
    List(list::List),
    /// Show everything about one webhook: every attempt, its timing, the response
    Show(show::Show),
    /// Send a signed sample to a receiver and show its response
    Test(test::Test),
    /// Check whether webhooks to a URL would be sent, and what would stop them
    Doctor(doctor::Doctor),
    /// Hold all webhooks until they are released
    Hold(hold::Hold),
    /// Release held webhooks, at once or at a limited rate
    Release(release::Release),
    /// Send webhooks again: failed, suppressed, or selected ones
    Replay(replay::Replay),
    /// Resume deliveries to a suspended URL
    Resume(resume::Resume),
    /// Receive webhooks on this machine, show and verify them, or misbehave on request
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
