//! `agentcron trigger`: starts a run now, independently of the schedule.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::run_input::read_input;
use super::terminal::{Failure, Session, ask};
use super::waiting::{Waiting, started};

/// Start a run of a cron now
#[derive(Args, Debug)]
#[command(after_help = "\
This also works for a cron that is paused or disabled. If a run of the cron is
in progress and the cron allows only one at a time, the new run waits until that
one has ended.

Examples:
  agentcron trigger daily-digest
  agentcron trigger daily-digest --input question.json   with another input
  agentcron trigger daily-digest --wait && echo 'it works'
  agentcron show $(agentcron trigger daily-digest --json | jq -r .run_id)")]
pub(super) struct Trigger {
    /// Name of the cron
    cron: String,
    /// A JSON file with the input of the run, or `-` for standard input; placeholders are refused
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Wait until the run has ended, print how, and exit with 0 only if it succeeded
    #[arg(long)]
    wait: bool,
}

pub(super) fn trigger(trigger: &Trigger, session: &mut Session) -> Result<(), Failure> {
    let input = trigger.input.as_deref().map(read_input).transpose()?;
    let answer = ask(session, &["crons", &trigger.cron, "trigger"], &json!({ "input": input }))?;
    let waiting = trigger.wait.then(|| Waiting::begin(session)).transpose()?;
    let run_id = answer["run_id"].as_str().unwrap_or_default();
    let state = match answer["waits_for"].as_str() {
        Some(running) => format!("waits for run {running} to end"),
        None => "is starting".to_owned(),
    };
    let line = format!("run {run_id} of {} {state}", trigger.cron);
    started(&answer, &line, waiting, session)
}
