//! `agentcron webhook hold`: nothing is sent until it is released.

use clap::Args;
use serde_json::json;

use crate::cli::ask::ask;
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Hold all webhooks.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron webhook hold --note 'the receiver is being moved'
  agentcron status                                              its first line says so

Runs go on and end; what they have to tell waits until `agentcron webhook release`. What is
being sent at this moment is finished. A hold outlasts restarts and changes of the
configuration.")]
pub(super) struct Hold {
    /// Why, for those who wonder later
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

pub(super) fn hold(hold: &Hold, session: &mut Session) -> Result<(), Failure> {
    let answer = ask(session, &["webhooks", "hold"], &json!({ "note": hold.note }))?;
    if session.output.is_json() {
        return Ok(session.output.json(&answer)?);
    }
    let were = if answer["before"]["state"] == "held" { "were held already, and are" } else { "are held" };
    let (waiting, in_flight) = (&answer["waiting"], &answer["in_flight"]);
    Ok(session.output.line(&format!(
        "webhooks {were}: {waiting} wait, {in_flight} are just being sent; `agentcron webhook release` lets them go"
    ))?)
}
