//! `agentcron retry`: runs the occurrence of an ended run again.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::run_input::read_input;
use super::terminal::{Failure, Session, ask};
use super::waiting::{Waiting, started};

/// Run the occurrence of an ended run again
#[derive(Args, Debug)]
#[command(after_help = "\
The new run is of the same occurrence, by the present definition of the cron. It
starts now, however the first one ended, even if the cron is paused or disabled.

Examples:
  agentcron retry 5f1c2ab9                        the id as `history` shows it
  agentcron retry 5f1c2ab9 --input question.json  with another input
  echo '{\"n\": 1}' | agentcron retry 5f1c2ab9 --input -
  agentcron retry 5f1c2ab9 --wait && echo 'it works now'")]
pub(super) struct Retry {
    /// The run's id, or its first characters (at least 4)
    run: String,
    /// A JSON file with the input of the new run, or `-` for standard input; placeholders are refused
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Wait until the new run has ended, print how, and exit with 0 only if it succeeded
    #[arg(long)]
    wait: bool,
}

pub(super) fn retry(retry: &Retry, session: &mut Session) -> Result<(), Failure> {
    let input = retry.input.as_deref().map(read_input).transpose()?;
    let run_id = session.source()?.find_run(&retry.run)?;
    let answer = ask(session, &["runs", &run_id, "retry"], &json!({ "input": input }))?;
    let waiting = retry.wait.then(|| Waiting::begin(session)).transpose()?;
    let text = |key: &str| answer[key].as_str().unwrap_or_default();
    let state = match answer["waits_for"].as_str() {
        Some(running) => format!("waits for run {running} to end"),
        None => "is starting".to_owned(),
    };
    let line = format!("run {} of {} {state}: retry {}", text("run_id"), text("cron_name"), answer["retry"]);
    started(&answer, &line, waiting, session)
}
