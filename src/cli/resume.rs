//! `agentcron resume`: the end of a pause, whoever began it.

use clap::Args;
use serde_json::json;

use super::ask::ask;
use super::failure::Failure;
use super::session::Session;

/// End a pause.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron resume daily-digest

Also ends a pause that the cron began by itself (pause_after_failures). What was left out stays
left out; `agentcron backfill` runs it all the same.")]
pub(super) struct Resume {
    /// The cron's name
    cron: String,
}

pub(super) fn resume(resume: &Resume, session: &mut Session) -> Result<(), Failure> {
    let answer = ask(session, &["crons", &resume.cron, "resume"], &json!({}))?;
    if session.output.is_json() {
        return Ok(session.output.json(&answer)?);
    }
    let words = if answer["before"]["paused"].is_null() { "was not paused" } else { "fires again" };
    Ok(session.output.line(&format!("{} {words}", resume.cron))?)
}
