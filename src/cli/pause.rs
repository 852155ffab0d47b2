//! `agentcron pause`: a cron rests, and every occurrence that it leaves out is on record.

use clap::Args;
use serde_json::json;

use super::ask::ask;
use super::failure::Failure;
use super::session::Session;

/// Let a cron rest until `resume`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron pause daily-digest --note 'the mail server moves'
  agentcron list                                          shows it

Until `resume` its occurrences are recorded as skipped. Runs that are going are followed to
their end. A pause outlasts restarts and changes of the configuration.")]
pub(super) struct Pause {
    /// The cron's name
    cron: String,
    /// Why, for those who wonder later
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

pub(super) fn pause(pause: &Pause, session: &mut Session) -> Result<(), Failure> {
    let answer = ask(session, &["crons", &pause.cron, "pause"], &json!({ "note": pause.note }))?;
    if session.output.is_json() {
        return Ok(session.output.json(&answer)?);
    }
    let was = if answer["before"]["paused"].is_null() { "is paused" } else { "was paused already, and is" };
    Ok(session.output.line(&format!("{} {was}; `agentcron resume {}` ends it", pause.cron, pause.cron))?)
}
