//! `agentcron skip-next`: skips one occurrence.

use clap::Args;
use serde_json::json;

use super::terminal::{Failure, Session, ask};

/// Skip the next occurrence of a cron
#[derive(Args, Debug)]
#[command(after_help = "\
Exactly one occurrence is skipped and recorded as such.

Examples:
  agentcron skip-next daily-digest")]
pub(super) struct SkipNext {
    /// Name of the cron
    cron: String,
}

pub(super) fn skip_next(skip_next: &SkipNext, session: &mut Session) -> Result<(), Failure> {
    let cron = &skip_next.cron;
    let answer = ask(session, &["crons", cron, "skip-next"], &json!({}))?;
    if session.output.is_json() {
        return Ok(session.output.json(&answer)?);
    }
    let message = match answer["before"]["skip_next"].as_bool() {
        Some(true) => format!("the next occurrence of {cron} was going to be skipped already"),
        Some(false) | None => format!("the next occurrence of {cron} will be skipped"),
    };
    Ok(session.output.line(&message)?)
}
