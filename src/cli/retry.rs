//! `agentcron retry`: runs the occurrence of an ended run again.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::terminal::{Failure, Session, ask, find_run};
use crate::config::read_regular;
use crate::domain::bounds::API_BODY_BYTES_MAX;

/// Run the occurrence of an ended run again
#[derive(Args, Debug)]
#[command(after_help = "\
The new run is of the same occurrence, by the present definition of the cron. It
starts now, however the first one ended, even if the cron is paused or disabled.

Examples:
  agentcron retry 5f1c2ab9                        the id as `history` shows it
  agentcron retry 5f1c2ab9 --input question.json  with another input
  echo '{\"n\": 1}' | agentcron retry 5f1c2ab9 --input -")]
pub(super) struct Retry {
    /// The run's id, or its first characters (at least 4)
    run: String,
    /// A JSON file with the input of the new run, or `-` for standard input; placeholders are refused
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
}

pub(super) fn retry(retry: &Retry, session: &mut Session) -> Result<(), Failure> {
    let input = retry.input.as_deref().map(read_input).transpose()?;
    let run_id = find_run(&retry.run, &session.open_store()?)?.to_string();
    let answer = ask(session, &["runs", &run_id, "retry"], &json!({ "input": input }))?;
    if session.output.is_json() {
        return Ok(session.output.json(&answer)?);
    }
    let text = |key: &str| answer[key].as_str().unwrap_or_default();
    let state = match answer["waits_for"].as_str() {
        Some(running) => format!("waits for run {running} to end"),
        None => "is starting".to_owned(),
    };
    let line = format!("run {} of {} {state}: retry {}", text("run_id"), text("cron_name"), answer["retry"]);
    Ok(session.output.line(&line)?)
}

fn read_input(path: &Path) -> Result<Value, Failure> {
    let shown = path.display();
    let mut bytes = Vec::new();
    let read = match path == Path::new("-") {
        true => std::io::stdin().take(API_BODY_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map(|_| bytes),
        false => read_regular(path, API_BODY_BYTES_MAX as u64),
    };
    let bytes = read.map_err(|error| Failure::Usage(format!("--input: cannot read {shown}: {error}")))?;
    let input: Value = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::Usage(format!("--input: {shown} is not JSON: {error}")))?;
    // The daemon would take it for no input at all.
    if input.is_null() {
        return Err(Failure::Usage(format!("--input: {shown} holds null, expected an input")));
    }
    Ok(input)
}
