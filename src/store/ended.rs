//! The end of a run, or of occurrences that never ran, as it is counted and logged once it is committed.

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::bounds::LOGGED_ERROR_CHARS;
use crate::domain::ids::{CronId, FIRST_RUN};
use crate::domain::outage::Away;
use crate::domain::printable::blanked;
use crate::domain::reason::ReasonCode;
use crate::domain::run::{Outcome, Run, RunState, Status, Trigger};
use crate::domain::tally::is_late;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ended {
    /// `None` for a run that a client started.
    pub(super) cron_id: Option<CronId>,
    pub(super) at: Timestamp,
    /// The name under which the log shows it.
    pub(super) called: String,
    pub(super) run_id: String,
    pub(super) status: Status,
    pub(super) code: Option<ReasonCode>,
    /// The code of its row: that one or, if there is none, of what was unusual before its end.
    pub(super) recorded_code: Option<ReasonCode>,
    pub(super) trigger: Trigger,
    /// Which retry of its occurrence it was; 0 for its first run.
    pub(super) retry: u32,
    /// Its time on the backend, if it got there.
    pub(super) took: Option<Duration>,
    /// Whether the agent server had it.
    pub(super) ran: bool,
    /// Whether it began late.
    pub(super) late: bool,
    /// Whether its occurrence goes on with a further run.
    pub(super) retried: bool,
    pub(super) occurrences: u64,
    /// The first of the occurrences.
    pub(super) scheduled_for: Timestamp,
    /// The first words of why it did not succeed.
    pub(super) error: Option<String>,
    /// Whether the occurrences were added to a record that had been committed before.
    pub(super) extends_record: bool,
}

impl Ended {
    /// Returns the end of a run, if it has ended.
    pub(super) fn of(run: &Run) -> Option<Self> {
        let RunState::Ended { backend_run, outcome } = &run.state else { return None };
        let took = backend_run.as_ref().and_then(|on| outcome.took(on.started_at));
        Some(Self {
            cron_id: run.cron_id(),
            at: outcome.ended_at,
            called: run.called().to_owned(),
            run_id: run.run_id.to_string(),
            status: outcome.status,
            code: outcome.reason.as_ref().map(|reason| reason.code),
            recorded_code: outcome.reason.as_ref().or(run.reason.as_ref()).map(|reason| reason.code),
            trigger: run.trigger,
            retry: run.retry,
            took,
            ran: backend_run.is_some(),
            late: backend_run.as_ref().is_some_and(|on| is_late(run.due_at, on.started_at)),
            retried: false,
            occurrences: 1,
            scheduled_for: run.scheduled_for,
            error: why(outcome).map(|text| first_words(&text)),
            extends_record: false,
        })
    }

    /// Writes its line: a warning if somebody may have to act. Call this only after the commit.
    pub(super) fn log(&self) {
        // The outage that keeps runs from being started has a line of its own.
        let in_outage = self.code.and_then(Away::of_reason).is_some();
        let never_started = self.code == Some(ReasonCode::StartDeadline);
        macro_rules! line {
            ($level:ident, $event:literal) => {
                tracing::$level!(
                    target: "agentcron::runs",
                    cron = self.called,
                    run_id = self.run_id,
                    retry = (self.retry != FIRST_RUN).then_some(self.retry),
                    status = %self.status,
                    reason = self.code.map(ReasonCode::as_str),
                    took = self.took.map(|took| tracing::field::debug(Duration::from_millis(took.as_millis() as u64))),
                    scheduled_for = self.took.is_none().then(|| tracing::field::display(self.scheduled_for)),
                    occurrences = (self.occurrences > 1).then_some(self.occurrences),
                    error = self.error,
                    hourly = never_started.then_some(&self.called),
                    $event
                )
            };
        }
        match self.status {
            Status::Error if in_outage => line!(info, "run failed"),
            Status::Error => line!(warn, "run failed"),
            Status::Timeout => line!(warn, "run timed out"),
            Status::Interrupted => line!(warn, "run interrupted"),
            Status::Missed => line!(warn, "run missed"),
            Status::Success => line!(info, "run succeeded"),
            Status::Cancelled => line!(info, "run cancelled"),
            // A pause adds every occurrence to its record; the first has said so.
            Status::Skipped if self.extends_record => {}
            Status::Skipped => line!(info, "run skipped"),
        }
    }
}

/// Returns what the graph or the agent server reported, or else the sentence of the reason.
fn why(outcome: &Outcome) -> Option<String> {
    if let Some(error) = &outcome.error {
        return Some(format!("{}: {}", error.error, error.message));
    }
    outcome.reason.as_ref()?.message.clone()
}

/// Returns the beginning of a text on one line.
pub(super) fn first_words(text: &str) -> String {
    let mut words: String = text.chars().take(LOGGED_ERROR_CHARS).collect();
    if words.len() < text.len() {
        words.push('…');
    }
    blanked(&words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_shows_the_first_words_on_one_line() {
        assert_eq!(first_words("boom\nTraceback\u{1b}[2J"), "boom Traceback [2J");
        let long = first_words(&"é".repeat(LOGGED_ERROR_CHARS + 1));
        assert_eq!((long.chars().count(), long.ends_with("é…")), (LOGGED_ERROR_CHARS + 1, true));
    }
}
