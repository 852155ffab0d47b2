//! `agentcron pause`: pauses a cron. Every occurrence that it skips is recorded.

use clap::Args;
use serde_json::json;

use super::terminal::{Failure, Session, ask};

/// Pause a cron until `agentcron resume`
#[derive(Args, Debug)]
#[command(after_help = "\
While it is paused, its occurrences are recorded as skipped, and so are its
runs that wait to be sent, except those that somebody asked for. Runs in
progress are followed to their end. A pause survives restarts and changes of
the configuration.

Examples:
  agentcron pause daily-digest --note 'the mail server is being moved'
  agentcron list                       shows the pause and its note")]
pub(super) struct Pause {
    /// Name of the cron
    cron: String,
    /// The reason; `list` shows it, and so do the occurrences that the pause skips
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

pub(super) fn pause(pause: &Pause, session: &mut Session) -> Result<(), Failure> {
    let answer = ask(session, &["crons", &pause.cron, "pause"], &json!({ "note": pause.note }))?;
    if session.output.is_json() {
        return Ok(session.output.json(&answer)?);
    }
    let paused = if answer["before"]["paused"].is_null() { "is paused" } else { "was paused already" };
    let cron = &pause.cron;
    let skipped = match answer["skipped"].as_u64() {
        None | Some(0) => String::new(),
        Some(1) => "; 1 run that waited to be sent is skipped".to_owned(),
        Some(count) => format!("; {count} runs that waited to be sent are skipped"),
    };
    Ok(session.output.line(&format!("{cron} {paused}{skipped}; `agentcron resume {cron}` resumes it"))?)
}
