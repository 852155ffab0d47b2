//! `agentcron open`: prints a link that leads into the web page.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::terminal::{Failure, Session, TextStyle, ask_at};
use crate::api::wire::PageLink;
use crate::domain::bounds::LINK_LASTS;

/// Making a link takes no time. A daemon that takes longer is in trouble.
const LINK_WITHIN: Duration = Duration::from_secs(10);

/// Print a link into the web page, which works once, within a minute
#[derive(Args, Debug)]
#[command(after_help = "\
Whoever opens the link is logged in as you, until about 12 hours after the page was
used last. It is printed and not opened, so that it is in no list of processes.

Examples:
  agentcron open
  ssh -L 2025:127.0.0.1:2025 HOST     first, on your own machine, if the daemon is on another")]
pub(super) struct Open {}

pub(super) fn open(Open {}: &Open, session: &mut Session) -> Result<(), Failure> {
    let link = link(&session.socket_path()?, LINK_LASTS)?;
    if session.output.is_json() {
        return Ok(session.output.json(&link)?);
    }
    let (Some(url), Some(listen)) = (link.url, link.listen) else {
        let hint = "set http.listen, such as \"127.0.0.1:2025\", and restart the daemon";
        return Err(Failure::Failed(format!(
            "the daemon does not listen on TCP, so no browser gets there: {hint}"
        )));
    };
    if let Some(host) = ssh_host(session) {
        let port = listen.rsplit(':').next().unwrap_or("2025");
        let forward = format!("ssh -L {port}:127.0.0.1:{port} {host}");
        session.output.line("On your own machine, unless you have done so, run first:")?;
        session.output.line(&format!("  {forward}"))?;
    }
    session.output.line(&format!("Open this within {} s; it works once:", link.lasts_seconds))?;
    let url = session.output.paint(TextStyle::Bold, &url);
    Ok(session.output.line(&format!("  {url}"))?)
}

/// Asks the daemon at this socket for a link that works for so long.
pub(super) fn link(socket: &Path, lasts: Duration) -> Result<PageLink, Failure> {
    ask_at(socket, &["page", "links"], &json!({ "lasts_seconds": lasts.as_secs() }), LINK_WITHIN)
}

/// Returns the address by which this machine was reached over SSH, as sshd tells it (`SSH_CONNECTION`).
fn ssh_host(session: &Session) -> Option<String> {
    let connection = session.environment.lookup("env.SSH_CONNECTION").ok()?;
    connection.expose().split_whitespace().nth(2).map(str::to_owned)
}
