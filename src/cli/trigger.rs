//! `agentcron trigger`: a run now, whatever the schedule says.

use clap::Args;
use serde_json::json;

use super::ask::ask;
use super::failure::Failure;
use super::session::Session;

/// Start a run of a cron now.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron trigger daily-digest
  agentcron show $(agentcron trigger daily-digest --json | jq -r .run_id)

Also of a cron that is paused or disabled. If a run of it is going and the cron allows only one
at a time, the new one waits for its end.")]
pub(super) struct Trigger {
    /// The cron's name
    cron: String,
}

pub(super) fn trigger(trigger: &Trigger, session: &mut Session) -> Result<(), Failure> {
    let answer = ask(session, &["crons", &trigger.cron, "trigger"], &json!({}))?;
    if session.output.is_json() {
        return Ok(session.output.json(&answer)?);
    }
    let run_id = answer["run_id"].as_str().unwrap_or_default();
    let waits = match answer["waits_for"].as_str() {
        Some(running) => format!("waits for run {running} to end"),
        None => "is being started".to_owned(),
    };
    Ok(session.output.line(&format!("run {run_id} of {} {waits}", trigger.cron))?)
}
