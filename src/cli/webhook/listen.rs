//! `agentcron webhook listen`: a receiver on this machine that shows what arrives, and misbehaves on request.

mod arrival;
mod bomb;
mod fault;
mod line;
mod receiver;

use std::net::Ipv4Addr;

use clap::Args;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::cli::failure::Failure;
use crate::cli::output::Style;
use crate::cli::session::Session;
use crate::domain::signing::{SignatureVerdict, VerifyingKey};
use crate::signals::{self, Stop};
use arrival::{Arrival, Shown};
use fault::Fault;
use receiver::{Receiver, serve};

/// Arrivals that wait to be printed: each holds its body.
const ARRIVALS_QUEUED: usize = 4;

/// Receive webhooks on this machine.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron webhook listen                          then webhook = \"http://127.0.0.1:2026/\" in a cron
  agentcron webhook listen --secret-from-config     verifies what this configuration signs
  agentcron webhook listen --fail 500x3             500 three times to each webhook, then 200
  agentcron webhook listen --port 0 --json --full
  AGENTCRON_WEBHOOK_SECRET=whsec_… agentcron webhook listen

--fail is a status, or one of
  hang   never answers                          reset     resets the connection
  drip   500, and a byte of the body a second   redirect  307 to another path
  flood  500, and a body without end            gone      410
  gzip   500, and an endless gzip bomb          abort     400, webhook-delivery: abort-message
  429    with Retry-After: 10                   disable   400, webhook-delivery: disable
with xN: to the first N requests of each webhook (by its webhook-id), and 200 to those after them.

Each webhook is shown with its cron, status, run, how long after the end of the run it came, and
its signature. It listens on 127.0.0.1 only; nothing leaves the machine. Ctrl-C ends it with a
summary.")]
pub(super) struct Listen {
    /// Listen here; 0 takes any free port
    #[arg(long, value_name = "PORT", default_value_t = 2026)]
    port: u16,
    /// Verify signatures with this secret or public key (whsec_…, whpk_…); may be given several times. Others on this
    /// machine can read arguments: rather set the variable, or use --secret-from-config
    #[arg(long, value_name = "SECRET", env = "AGENTCRON_WEBHOOK_SECRET", hide_env_values = true)]
    secret: Vec<String>,
    /// Verify signatures with webhooks.signing_secrets of the configuration
    #[arg(long)]
    secret_from_config: bool,
    /// Misbehave: CODE[xN], hang, drip, flood, gzip, reset, redirect, gone, abort, disable
    #[arg(long, value_name = "HOW")]
    fail: Option<Fault>,
    /// Show whole bodies
    #[arg(long)]
    full: bool,
}

/// What is counted while it listens.
#[derive(Default)]
struct Tally {
    requests: u64,
    repeats: u64,
    wrong: u64,
}

pub(super) fn listen(listen: &Listen, session: &mut Session) -> Result<(), Failure> {
    let keys = keys(listen, session)?;
    let failed = |error: std::io::Error| Failure::Failed(format!("cannot listen: {error}"));
    let stop = signals::listen().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed)?;
    let told = runtime.block_on(receive(listen, keys, &stop, session));
    runtime.shutdown_background();
    summarise(&told?, session)
}

/// What signatures are held against; no text of a key is ever quoted.
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
) -> Result<Tally, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, listen.port)).await.map_err(|error| {
        let port = listen.port;
        Failure::Failed(format!("cannot listen on 127.0.0.1:{port}: {error}; --port 0 takes any free one"))
    })?;
    introduce(listener.local_addr()?.port(), listen, keys.is_empty(), session)?;
    let shown = if listen.full { Shown::Whole } else { Shown::Summary };
    let (told, mut arrivals) = mpsc::channel::<Arrival>(ARRIVALS_QUEUED);
    let receiver = Receiver::new(session.clock.clone(), keys, listen.fail, told);
    let mut serving = std::pin::pin!(serve(listener, receiver));
    let mut tally = Tally::default();
    loop {
        tokio::select! {
            biased;
            () = stop.graceful.cancelled() => return Ok(tally),
            ended = &mut serving => ended?,
            Some(arrival) = arrivals.recv() => {
                tally.count(&arrival);
                arrival.print(shown, session)?;
            }
        }
    }
}

/// Where it listens, and what makes a cron tell it.
fn introduce(port: u16, listen: &Listen, no_key: bool, session: &mut Session) -> Result<(), Failure> {
    let url = format!("http://127.0.0.1:{port}/");
    let painted = session.output.paint(Style::Bold, &url);
    let output = &mut session.output;
    if output.is_json() {
        output.json(&json!({ "url": url }))?;
        return Ok(output.flush()?);
    }
    output.line(&format!("listening on {painted}; Ctrl-C ends it"))?;
    output.line(&format!("  in a cron             webhook = \"{url}\""))?;
    output
        .line("  in [webhooks.url]     disable_loopback = false     (else agentcron refuses this machine)")?;
    if no_key {
        output.line("  no secret is known, so signatures are not checked. To sign and check them:")?;
        output.line("    export AGENTCRON_WEBHOOK_SECRET=\"whsec_$(openssl rand -base64 32)\"")?;
        output.line("  in [webhooks]         signing_secrets = [\"${{ env.AGENTCRON_WEBHOOK_SECRET }}\"]")?;
    }
    if let Some(fault) = listen.fail {
        output.line(&format!("  --fail                {fault}"))?;
    }
    output.line("")?;
    Ok(output.flush()?)
}

fn summarise(tally: &Tally, session: &mut Session) -> Result<(), Failure> {
    let Tally { requests, repeats, wrong } = tally;
    if session.output.is_json() {
        return Ok(session
            .output
            .json(&json!({ "requests": requests, "repeats": repeats, "not_verified": wrong }))?);
    }
    let word = if *requests == 1 { "request" } else { "requests" };
    let title = session.output.paint(Style::Bold, &format!("{requests} {word}"));
    Ok(session
        .output
        .line(&format!("\n{title}: {repeats} of them again, {wrong} not signed as they should be"))?)
}

impl Tally {
    fn count(&mut self, arrival: &Arrival) {
        self.requests += 1;
        self.repeats += u64::from(arrival.is_again());
        self.wrong += u64::from(match arrival.signature {
            SignatureVerdict::Wrong | SignatureVerdict::Stale => true,
            SignatureVerdict::Good | SignatureVerdict::Missing | SignatureVerdict::Unchecked => false,
        });
    }
}
