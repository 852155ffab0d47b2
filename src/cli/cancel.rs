//! `agentcron cancel`: the end of a run before its time.

use clap::Args;
use serde_json::json;

use super::ask::ask;
use super::failure::Failure;
use super::session::Session;
use super::show;

/// Cancel a run.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron cancel 5f1c2ab9                               the id as `history` shows it

A run that waits is not started; the agent server is asked to stop one that is going.")]
pub(super) struct Cancel {
    /// The run's id, or its first characters (at least 4)
    run: String,
}

pub(super) fn cancel(cancel: &Cancel, session: &mut Session) -> Result<(), Failure> {
    let run_id = show::find(&cancel.run, &session.open_store()?)?.to_string();
    let answer = ask(session, &["runs", &run_id, "cancel"], &json!({}))?;
    if session.output.is_json() {
        return Ok(session.output.json(&answer)?);
    }
    let cron = answer["cron_name"].as_str().unwrap_or_default();
    let detail = answer["detail"].as_str().unwrap_or_default();
    Ok(session.output.line(&format!("run {run_id} of {cron}: {detail}"))?)
}
