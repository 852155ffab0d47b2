//! `agentcron skip-next`: one occurrence is left out.

use clap::Args;
use serde_json::json;

use super::ask::ask;
use super::failure::Failure;
use super::session::Session;

/// Skip the next occurrence of a cron.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron skip-next daily-digest

Exactly one occurrence is skipped, and recorded as such.")]
pub(super) struct SkipNext {
    /// The cron's name
    cron: String,
}

pub(super) fn skip_next(skip_next: &SkipNext, session: &mut Session) -> Result<(), Failure> {
    let cron = &skip_next.cron;
    let answer = ask(session, &["crons", cron, "skip-next"], &json!({}))?;
    if session.output.is_json() {
        return Ok(session.output.json(&answer)?);
    }
    let already = answer["before"]["skip_next"].as_bool() == Some(true);
    let words = if already { "will, as was asked before, skip" } else { "will skip" };
    Ok(session.output.line(&format!("{cron} {words} its next occurrence"))?)
}
