//! `agentcron webhook hold`: holds all webhooks back until `agentcron webhook release`.

use clap::Args;
use serde_json::json;

use crate::cli::terminal::{Failure, Session, ask};

/// Hold all webhooks until `agentcron webhook release`
#[derive(Args, Debug)]
#[command(after_help = "\
Runs continue and end as usual; their webhooks wait. Attempts that are in flight
finish. A hold survives restarts and changes of the configuration.

Examples:
  agentcron webhook hold --note 'the receiver is being moved'
  agentcron status                 its first line shows the hold")]
pub(super) struct Hold {
    /// The reason; `status` and `webhook list` show it
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

pub(super) fn hold(hold: &Hold, session: &mut Session) -> Result<(), Failure> {
    let answer = ask(session, &["webhooks", "hold"], &json!({ "note": hold.note }))?;
    if session.output.is_json() {
        return Ok(session.output.json(&answer)?);
    }
    let held = if answer["before"]["state"] == "held" { "were held already" } else { "are held" };
    let (waiting, in_flight) = (&answer["waiting"], &answer["in_flight"]);
    Ok(session.output.line(&format!(
        "webhooks {held}: {waiting} waiting, {in_flight} in flight; `agentcron webhook release` sends them"
    ))?)
}
