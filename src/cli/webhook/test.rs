//! `agentcron webhook test`: a signed sample to a receiver, to see whether it would take the real ones.

use clap::Args;
use serde_json::json;

use super::target::{self, To};
use super::trial::{self, Trial};
use crate::cli::failure::Failure;
use crate::cli::output::{Style, printable};
use crate::cli::session::Session;
use crate::transport::Dialer;
use crate::webhook::redacted;

/// Send a sample webhook, and say what came of it.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron webhook test --cron daily-digest
  agentcron webhook test 'https://ops.example.com/hooks/agent?token=${{ env.HOOK_TOKEN }}'

The policy, headers and secrets are those of the configuration. Exit code 0 if it was delivered, 1 if not.

The sample is made, signed and sent like a real webhook and tells about nothing: its metadata has
agentcron_test = true, its webhook-id begins with msg_test_. It needs no daemon.")]
pub(super) struct Test {
    #[command(flatten)]
    to: To,
}

pub(super) fn test(test: &Test, session: &mut Session) -> Result<(), Failure> {
    let target = target::settle(&test.to, session)?;
    let failed = |error: std::io::Error| Failure::Failed(format!("cannot start: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let trial = runtime.block_on(trial::send(&target, Dialer::of_system(), session));
    // A look-up that hangs must not keep the process.
    runtime.shutdown_background();
    let trial = trial?;
    let keys = target.webhooks.signing_secrets.len();
    if session.output.is_json() {
        let mut object = trial.to_json();
        object["url"] = json!(redacted(&target.url));
        object["signatures"] = json!(keys);
        session.output.json(&object)?;
    } else {
        introduce(&trial, &target.url, keys, session)?;
        trial.print(session)?;
    }
    if trial.is_delivered() { Ok(()) } else { Err(Failure::Failed("the test was not delivered".to_owned())) }
}

fn introduce(trial: &Trial, url: &str, keys: usize, session: &mut Session) -> Result<(), Failure> {
    let signed = match keys {
        0 => "unsigned: there are no webhooks.signing_secrets".to_owned(),
        1 => "signed".to_owned(),
        several => format!("signed by {several} keys"),
    };
    let title = session.output.paint(Style::Bold, &printable(&redacted(url)));
    session.output.line(&format!("{title}  {}  {signed}", trial.webhook_id))?;
    Ok(())
}
