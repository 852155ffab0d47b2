//! `agentcron resume`: ends a pause, whether a person or the cron itself began it.

use clap::{ArgGroup, Args};
use serde_json::json;

use super::all_crons::change;
use super::terminal::{Failure, Session, ask};
use crate::domain::cron_state::PauseCause;
use crate::store::PauseOfAllChange;

/// Resume a paused cron, or end the pause of all crons
#[derive(Args, Debug)]
#[group(skip)]
#[command(group = ArgGroup::new("which").required(true))]
#[command(after_help = "\
This also ends a pause that the cron began by itself (pause_after_failures).
Occurrences that were skipped stay skipped; `agentcron backfill` runs them.

With --all, crons that are paused by themselves stay paused. This works while
the daemon is down.

Examples:
  agentcron resume daily-digest
  agentcron resume --all")]
pub(super) struct Resume {
    /// Name of the cron
    #[arg(group = "which")]
    cron: Option<String>,
    /// End the pause of all crons
    #[arg(long, group = "which")]
    all: bool,
}

pub(super) fn resume(resume: &Resume, session: &mut Session) -> Result<(), Failure> {
    let (answer, what, was_paused) = match &resume.cron {
        Some(cron) => {
            let answer = ask(session, &["crons", cron, "resume"], &json!({}))?;
            let was_paused = !answer["before"]["paused"].is_null();
            (answer, cron.as_str(), was_paused)
        }
        None => {
            let answer = change(&PauseOfAllChange::Resume, session)?;
            let was_paused = !answer["before"].is_null();
            (answer, "all crons", was_paused)
        }
    };
    if session.output.is_json() {
        return Ok(session.output.json(&answer)?);
    }
    let resumed = match (&resume.cron, was_paused) {
        (Some(_), _) if answer["now"]["paused"]["cause"] == PauseCause::All.as_str() => {
            "is not paused by itself, but all crons are: `agentcron resume --all` resumes them"
        }
        (Some(_), true) => "is resumed",
        (Some(_), false) => "was not paused",
        (None, true) => "are resumed, except those that are paused by themselves",
        (None, false) => "were not paused together",
    };
    Ok(session.output.line(&format!("{what} {resumed}"))?)
}
