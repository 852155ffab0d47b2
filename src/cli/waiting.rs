//! Waits for the end of a run that was asked for. A signal ends the waiting, not the run.

use std::time::Duration;

use serde_json::Value;

use super::terminal::{Failure, Session, Source, TableOptions, Watcher, run_cells, run_table};
use crate::api::wire::{Run, RunDetails};
use crate::domain::run::{Phase, Status};
use crate::store::{DaemonState, Place, daemon_state};

/// How often a daemon is asked where the database may not be read.
const ASK_INTERVAL: Duration = Duration::from_secs(1);

/// Somebody who waits.
pub(super) struct Waiting {
    source: Source,
    watcher: Watcher,
}

/// Prints what the daemon has answered: as this line, or as it is. Somebody who waits gets the run when it has ended, and in
/// JSON only that.
pub(super) fn started(
    answer: &Value,
    line: &str,
    waiting: Option<Waiting>,
    session: &mut Session,
) -> Result<(), Failure> {
    match (&waiting, session.output.is_json()) {
        (None, true) => session.output.json(answer)?,
        (Some(_), true) => {}
        (_, false) => session.output.line(line)?,
    }
    session.output.flush()?;
    waiting.map_or(Ok(()), |waiting| waiting.until_ended(answer, session))
}

impl Waiting {
    pub(super) fn begin(session: &mut Session) -> Result<Self, Failure> {
        Ok(Self { source: session.source()?, watcher: Watcher::begin()? })
    }

    /// Waits until the run in the daemon's answer has ended, and prints it.
    ///
    /// # Errors
    /// [`Failure::Failed`] if it did not succeed, or if nobody waits any more.
    fn until_ended(&self, answer: &Value, session: &mut Session) -> Result<(), Failure> {
        let run_id = answer["run_id"].as_str().unwrap_or_default();
        let run = self.ended(run_id, session)?;
        match session.output.is_json() {
            true => session.output.json(&run)?,
            false => {
                let mut table = run_table(&TableOptions::default(), session)?;
                table.push(run_cells(&run, session));
                session.output.table(table)?;
            }
        }
        match run.status.parse() {
            Ok(Status::Success) => Ok(()),
            Ok(_) | Err(_) => {
                let text = format!("run {run_id} of {} did not succeed: {}", run.called(), run.status);
                Err(Failure::Failed(text))
            }
        }
    }

    fn ended(&self, run_id: &str, session: &mut Session) -> Result<Run, Failure> {
        let place = session.place();
        let (mut version, mut is_warned) = (None, false);
        loop {
            let run = match &self.source {
                Source::Daemon(daemon) => {
                    let details: RunDetails = daemon.get(&["runs", run_id], &[])?;
                    Some(details.run)
                }
                Source::Store(reader) if !reader.has_changed(&mut version)? => None,
                Source::Store(reader) => {
                    let row = run_id.parse().ok().map(|run_id| reader.run_row(run_id)).transpose()?.flatten();
                    let missing = || Failure::Failed(format!("run {run_id} has been deleted"));
                    Some(Run::of(&row.ok_or_else(missing)?))
                }
            };
            if let Some(run) = run.filter(|run| run.phase.0 == Phase::Ended) {
                return Ok(run);
            }
            let is_stopped = |place: &Place| daemon_state(place, session.now()) == DaemonState::Stopped;
            if !is_warned && place.as_ref().is_ok_and(is_stopped) {
                let text = "the daemon is not running: whether the run ends is seen once it is started; Ctrl-C ends the waiting";
                session.output.warn(text)?;
                is_warned = true;
            }
            let may_go_on = match &self.source {
                Source::Daemon(_) => self.watcher.wait(ASK_INTERVAL),
                Source::Store(_) => self.watcher.wait_for_commits(),
            };
            if !may_go_on {
                return Err(Failure::Failed(format!("run {run_id} goes on; nobody waits for it any more")));
            }
        }
    }
}
