//! `agentcron webhook listen`: a receiver on this machine that shows what arrives, and misbehaves on request.

mod arrival;
mod connection;
mod fail;
mod gzip_bomb;
mod receiver;

use std::net::Ipv4Addr;

use clap::Args;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::cli::terminal::{Failure, Session, TextStyle};
use crate::domain::signing::{SignatureVerdict, VerifyingKey};
use crate::present::counted;
use crate::signals::{self, Stop};
use arrival::{Arrival, BodyDetail};
use fail::FailMode;
use receiver::{Receiver, serve};

/// Arrivals that wait to be printed. Each holds its body.
const ARRIVALS_QUEUED: usize = 4;

/// Receive webhooks on this machine: show and verify them, or misbehave
#[derive(Args, Debug)]
#[command(after_help = "\
Each webhook is shown with its cron, status and run, how long after the end of
the run it arrived, and whether its signature is right. The receiver listens on
127.0.0.1 only. Ctrl-C ends it with a summary.

Examples:
  agentcron webhook listen                          on http://127.0.0.1:2026/
  agentcron webhook listen --secret-from-config     verify signatures
  agentcron webhook listen --fail 500x3             500 three times, then 200
  agentcron webhook listen --port 0 --json --full
  AGENTCRON_WEBHOOK_SECRET=whsec_… agentcron webhook listen

--fail takes a status, or one of:
  hang      never responds
  drip      500, and one byte of the body per second
  flood     500, and an endless body
  gzip      500, and an endless gzip bomb
  reset     resets the connection
  redirect  307 to another path
  gone      410
  abort     400, webhook-delivery: abort-message
  disable   400, webhook-delivery: disable
The status 429 comes with Retry-After: 10. With xN, the first N requests of each
webhook (by its webhook-id) fail, and later ones get 200.")]
pub(super) struct Listen {
    /// The port to listen on; 0 chooses a free one
    #[arg(long, value_name = "PORT", default_value_t = 2026)]
    port: u16,
    /// Verify signatures with this secret or public key (whsec_…, whpk_…); may be repeated. Prefer the variable or
    /// --secret-from-config: others on this machine can read arguments
    #[arg(long, value_name = "SECRET", env = "AGENTCRON_WEBHOOK_SECRET", hide_env_values = true)]
    secret: Vec<String>,
    /// Verify signatures with webhooks.signing_secrets of the configuration
    #[arg(long)]
    secret_from_config: bool,
    /// Misbehave: STATUS[xN], hang, drip, flood, gzip, reset, redirect, gone, abort, disable
    #[arg(long, value_name = "HOW")]
    fail: Option<FailMode>,
    /// Show whole bodies
    #[arg(long)]
    full: bool,
}

#[derive(Default)]
struct ListenSummary {
    requests: u64,
    /// Requests whose webhook had arrived before.
    repeats: u64,
    /// Requests with a wrong or stale signature.
    not_verified: u64,
}

pub(super) fn listen(listen: &Listen, session: &mut Session) -> Result<(), Failure> {
    let keys = keys(listen, session)?;
    let failed = |error: std::io::Error| Failure::Failed(format!("cannot listen: {error}"));
    let stop = signals::listen().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed)?;
    let summary = runtime.block_on(receive(listen, keys, &stop, session));
    runtime.shutdown_background();
    print_summary(&summary?, session)
}

/// Returns the keys that signatures are verified with. No error quotes a key.
fn keys(listen: &Listen, session: &mut Session) -> Result<Vec<VerifyingKey>, Failure> {
    let parsed = listen.secret.iter().map(|text| VerifyingKey::parse(text));
    let mut keys: Vec<_> =
        parsed.collect::<Result<_, _>>().map_err(|error| Failure::Usage(format!("--secret: {error}")))?;
    if listen.secret_from_config {
        let path = session.config_path.clone();
        let configured = session.load_config(&path)?.webhooks.signing_secrets;
        if configured.is_empty() {
            let message = "--secret-from-config: the configuration has no webhooks.signing_secrets";
            return Err(Failure::Usage(message.to_owned()));
        }
        keys.extend(configured.iter().map(VerifyingKey::of));
    }
    Ok(keys)
}

async fn receive(
    listen: &Listen,
    keys: Vec<VerifyingKey>,
    stop: &Stop,
    session: &mut Session,
) -> Result<ListenSummary, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, listen.port)).await.map_err(|error| {
        let port = listen.port;
        Failure::Failed(format!("cannot listen on 127.0.0.1:{port}: {error}; --port 0 chooses a free one"))
    })?;
    print_introduction(listener.local_addr()?.port(), listen, &keys, session)?;
    let detail = if listen.full { BodyDetail::Whole } else { BodyDetail::Summary };
    let (sender, mut arrivals) = mpsc::channel::<Arrival>(ARRIVALS_QUEUED);
    let receiver = Receiver::new(session.clock.clone(), keys, listen.fail, sender);
    let mut serving = std::pin::pin!(serve(listener, receiver));
    let mut summary = ListenSummary::default();
    loop {
        tokio::select! {
            biased;
            () = stop.graceful.cancelled() => return Ok(summary),
            ended = &mut serving => ended?,
            Some(arrival) = arrivals.recv() => {
                summary.count(&arrival);
                arrival.print(detail, session)?;
            }
        }
    }
}

/// Prints the URL, and how to send the webhooks of a cron there.
fn print_introduction(
    port: u16,
    listen: &Listen,
    keys: &[VerifyingKey],
    session: &mut Session,
) -> Result<(), Failure> {
    let url = format!("http://127.0.0.1:{port}/");
    let painted = session.output.paint(TextStyle::Bold, &url);
    let output = &mut session.output;
    if output.is_json() {
        output.json(&json!({ "url": url }))?;
        return Ok(output.flush()?);
    }
    output.line(&format!("listening on {painted}; Ctrl-C ends it"))?;
    output.line(&format!("  in a cron             webhook = \"{url}\""))?;
    output.line("  in [webhooks.url]     disable_loopback = false    (needed for this machine)")?;
    if keys.is_empty() {
        output.line("  no secret is given, so signatures are not checked; to sign and check them:")?;
        output.line("    export AGENTCRON_WEBHOOK_SECRET=\"whsec_$(openssl rand -base64 32)\"")?;
        output.line("  in [webhooks]         signing_secrets = [\"${{ env.AGENTCRON_WEBHOOK_SECRET }}\"]")?;
    }
    if let Some(mode) = listen.fail {
        output.line(&format!("  --fail                {mode}"))?;
    }
    output.line("")?;
    Ok(output.flush()?)
}

fn print_summary(summary: &ListenSummary, session: &mut Session) -> Result<(), Failure> {
    let ListenSummary { requests, repeats, not_verified } = summary;
    if session.output.is_json() {
        return Ok(session
            .output
            .json(&json!({ "requests": requests, "repeats": repeats, "not_verified": not_verified }))?);
    }
    let title = session.output.paint(TextStyle::Bold, &counted(*requests, "request"));
    Ok(session
        .output
        .line(&format!("\n{title}: {repeats} repeated, {not_verified} with a wrong or stale signature"))?)
}

impl ListenSummary {
    fn count(&mut self, arrival: &Arrival) {
        self.requests += 1;
        self.repeats += u64::from(arrival.is_repeat());
        self.not_verified += u64::from(match arrival.signature {
            SignatureVerdict::Wrong | SignatureVerdict::Stale => true,
            SignatureVerdict::Good | SignatureVerdict::Missing | SignatureVerdict::Unchecked => false,
        });
    }
}
