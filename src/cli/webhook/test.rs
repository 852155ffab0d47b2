//! `agentcron webhook test`: sends a signed sample to a receiver, to see whether it would accept real webhooks.

use clap::Args;
use serde_json::json;

use super::receiver_arguments::{ReceiverArguments, ReceiverUse, choose_receiver};
use super::test_delivery::{self, TestDelivery};
use crate::cli::terminal::{Failure, Session, TextStyle, printable};
use crate::transport::Dialer;
use crate::webhook::redacted;

/// Send a signed sample to a receiver and show its response
#[derive(Args, Debug)]
#[command(after_help = "\
The sample is made, signed and sent like a real webhook, with the policy,
headers and secrets of the configuration. It is about no real run: its metadata
has agentcron_test = true, and its webhook-id starts with msg_test_. No daemon
is needed. The exit code is 0 if it was delivered, 1 if not.

Examples:
  agentcron webhook test --cron daily-digest
  agentcron webhook test 'https://ops.example.com/?key=${{ env.HOOK_KEY }}'")]
pub(super) struct Test {
    #[command(flatten)]
    receiver: ReceiverArguments,
}

pub(super) fn test(test: &Test, session: &mut Session) -> Result<(), Failure> {
    let receiver = choose_receiver(&test.receiver, ReceiverUse::Sent, session)?;
    let failed = |error: std::io::Error| Failure::Failed(format!("cannot start: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let delivery = runtime.block_on(test_delivery::send_sample(&receiver, Dialer::of_system(), session));
    // A name lookup that hangs must not keep the process alive.
    runtime.shutdown_background();
    let delivery = delivery?;
    let keys = receiver.webhooks.signing_secrets.len();
    if session.output.is_json() {
        let mut object = delivery.to_json();
        object["url"] = json!(redacted(&receiver.url));
        object["signatures"] = json!(keys);
        session.output.json(&object)?;
    } else {
        print_title(&delivery, &receiver.url, keys, session)?;
        delivery.print(session)?;
    }
    if delivery.is_delivered() {
        Ok(())
    } else {
        Err(Failure::Failed("the sample was not delivered".to_owned()))
    }
}

fn print_title(
    delivery: &TestDelivery,
    url: &str,
    keys: usize,
    session: &mut Session,
) -> Result<(), Failure> {
    let signed = match keys {
        0 => "unsigned: there are no webhooks.signing_secrets".to_owned(),
        1 => "signed".to_owned(),
        several => format!("signed by {several} keys"),
    };
    let title = session.output.paint(TextStyle::Bold, &printable(&redacted(url)));
    session.output.line(&format!("{title}  {}  {signed}", delivery.webhook_id))?;
    Ok(())
}
