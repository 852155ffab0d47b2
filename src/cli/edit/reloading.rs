//! Reloads the running daemon after a change, and says what came of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::difference::Difference;
use crate::api::wire::Reloaded;
use crate::cli::terminal::{Failure, Session, ask_at};
use crate::domain::bounds::RELOAD_ANSWERED_WITHIN;
use crate::present::Tone;

/// The daemon answers by itself when its own wait is over.
const ANSWER_WITHIN: Duration = RELOAD_ANSWERED_WITHIN.saturating_add(Duration::from_secs(5));

/// Asks the daemon at this socket to reload its files.
pub(super) fn reload(
    socket: Result<PathBuf, Failure>,
    file: &Path,
    difference: Difference,
    session: &mut Session,
) -> Result<(), Failure> {
    let reloaded =
        socket.and_then(|socket| ask_at::<Reloaded>(&socket, &["reload"], &json!({}), ANSWER_WITHIN));
    if session.output.is_json() {
        let (reloaded, problem) = match &reloaded {
            Ok(reloaded) => (Some(reloaded), None),
            Err(failure) => (None, Some(failure.to_string())),
        };
        let saved = file.display().to_string();
        session.output.json(&json!({
            "saved": saved, "crons": difference.json(), "reloaded": reloaded, "problem": problem,
        }))?;
    }
    let Reloaded { problem, needs_restart, .. } = match reloaded {
        Ok(reloaded) => reloaded,
        // It is saved all the same, and a daemon that runs reads it by itself.
        Err(failure) => return Ok(session.output.warn(&format!("not known to be in force: {failure}"))?),
    };
    if !needs_restart.is_empty() {
        let settings = needs_restart.join(", ");
        session.output.warn(&format!("these need a restart of the daemon: {settings}"))?;
    }
    if let Some(problem) = problem {
        return Err(Failure::Failed(format!("it is saved, and not all of it is in force:\n{problem}")));
    }
    if !session.output.is_json() {
        let said =
            if needs_restart.is_empty() { "in force" } else { "in force, but for what needs a restart" };
        let done = session.output.paint(Tone::Good, said);
        session.output.line(&format!("{done}: {}", difference.in_short()))?;
    }
    Ok(())
}
