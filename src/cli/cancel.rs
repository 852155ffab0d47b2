//! `agentcron cancel`: ends a run early.

use clap::Args;
use serde_json::json;

use super::terminal::{Failure, Session, ask};

/// Cancel a run
#[derive(Args, Debug)]
#[command(after_help = "\
A run that is still waiting is not started. If it is running, the agent server
is asked to stop it.

Examples:
  agentcron cancel 5f1c2ab9       the id as `history` shows it")]
pub(super) struct Cancel {
    /// The run's id, or its first characters (at least 4)
    run: String,
}

pub(super) fn cancel(cancel: &Cancel, session: &mut Session) -> Result<(), Failure> {
    let run_id = session.source()?.find_run(&cancel.run)?;
    let answer = ask(session, &["runs", &run_id, "cancel"], &json!({}))?;
    if session.output.is_json() {
        return Ok(session.output.json(&answer)?);
    }
    let cron = answer["cron_name"].as_str().unwrap_or_default();
    let detail = answer["detail"].as_str().unwrap_or_default();
    Ok(session.output.line(&format!("run {run_id} of {cron}: {detail}"))?)
}
