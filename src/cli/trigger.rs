//! `agentcron trigger`: starts a run now, independently of the schedule.

use clap::Args;
use serde_json::json;

use super::terminal::{Failure, Session, ask};

/// Start a run of a cron now
#[derive(Args, Debug)]
#[command(after_help = "\
This also works for a cron that is paused or disabled. If a run of the cron is
in progress and the cron allows only one at a time, the new run waits until that
one has ended.

Examples:
  agentcron trigger daily-digest
  agentcron show $(agentcron trigger daily-digest --json | jq -r .run_id)")]
pub(super) struct Trigger {
    /// Name of the cron
    cron: String,
}

pub(super) fn trigger(trigger: &Trigger, session: &mut Session) -> Result<(), Failure> {
    let answer = ask(session, &["crons", &trigger.cron, "trigger"], &json!({}))?;
    if session.output.is_json() {
        return Ok(session.output.json(&answer)?);
    }
    let run_id = answer["run_id"].as_str().unwrap_or_default();
    let state = match answer["waits_for"].as_str() {
        Some(running) => format!("waits for run {running} to end"),
        None => "is starting".to_owned(),
    };
    Ok(session.output.line(&format!("run {run_id} of {} {state}", trigger.cron))?)
}
