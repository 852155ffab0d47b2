//! `agentcron webhook`: inspects, tests and controls webhooks.

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
pub(super) mod test_delivery;

use clap::{Args, Subcommand};

use super::terminal::{Failure, Session};

/// Inspect, test and control webhooks
#[derive(Args, Debug)]
pub(super) struct Webhook {
    #[command(subcommand)]
    verb: WebhookVerb,
}

#[derive(Debug, Subcommand)]
enum WebhookVerb {
    List(list::List),
    Show(show::Show),
    Test(test::Test),
    Doctor(doctor::Doctor),
    Hold(hold::Hold),
    Release(release::Release),
    Replay(replay::Replay),
    Resume(resume::Resume),
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
