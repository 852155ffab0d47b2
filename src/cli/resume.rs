//! `agentcron resume`: ends a pause, whether a person or the cron itself began it.

use clap::Args;
use serde_json::json;

use super::terminal::{Failure, Session, ask};

/// Resume a paused cron
#[derive(Args, Debug)]
#[command(after_help = "\
This also ends a pause that the cron began by itself (pause_after_failures).
Occurrences that were skipped stay skipped; `agentcron backfill` runs them.

Examples:
  agentcron resume daily-digest")]
pub(super) struct Resume {
    /// Name of the cron
    cron: String,
}

pub(super) fn resume(resume: &Resume, session: &mut Session) -> Result<(), Failure> {
    let answer = ask(session, &["crons", &resume.cron, "resume"], &json!({}))?;
    if session.output.is_json() {
        return Ok(session.output.json(&answer)?);
    }
    let resumed = if answer["before"]["paused"].is_null() { "was not paused" } else { "is resumed" };
    Ok(session.output.line(&format!("{} {resumed}", resume.cron))?)
}
