//! The state of a cron, apart from its definition: whether it is paused, whether its next occurrence is
//! skipped, and how often it has failed in a row. Requests and outcomes change it, and the plan depends on it.

use jiff::Timestamp;

use super::reason::{Reason, ReasonCode};
use super::run::Status;
use super::words::words;

words!(
    /// Who paused a cron.
    PauseCause {
        /// A person, by `pause`.
        Request = "request",
        /// The cron itself, by `pause_after_failures`.
        Failures = "failures",
    }
);

words!(
    /// Why a cron has no occurrences.
    InactiveCause {
        /// It has `enabled = false`.
        Disabled = "disabled",
        /// It was removed.
        Removed = "removed",
    }
);

/// A time in which a cron had no occurrences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InactiveSpan {
    pub cause: InactiveCause,
    pub since: Timestamp,
    /// `None` while it lasts.
    pub until: Option<Timestamp>,
}

impl InactiveSpan {
    /// Returns whether an instant falls into it.
    pub fn contains(&self, at: Timestamp) -> bool {
        at > self.since && self.until.is_none_or(|until| at <= until)
    }
}

/// The state of a cron, apart from its definition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CronState {
    /// While the cron is paused, its occurrences are skipped.
    pub paused: Option<Pause>,
    /// Whether the next occurrence is skipped.
    pub skip_next: bool,
    /// The number of runs in a row that ended as `error` or `timeout`.
    pub failures: u32,
}

/// A pause in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Occurrences after this instant are skipped.
    pub since: Timestamp,
    pub cause: PauseCause,
    /// A human-readable explanation.
    pub note: Option<String>,
}

impl CronState {
    /// Returns whether an occurrence falls into a pause. What was due before the pause began does not.
    pub fn is_paused_at(&self, at: Timestamp) -> bool {
        self.paused.as_ref().is_some_and(|pause| at > pause.since)
    }

    /// Records that a run of the cron has ended, and returns the pause if this end begins one.
    pub fn run_ended(&mut self, status: Status, limit: Option<u32>, at: Timestamp) -> Option<&Pause> {
        match status {
            Status::Error | Status::Timeout => self.failures = self.failures.saturating_add(1),
            Status::Success | Status::Interrupted => self.failures = 0,
            // These say nothing about whether the graph works.
            Status::Cancelled | Status::Skipped | Status::Missed => return None,
        }
        let limit = limit.filter(|limit| self.failures >= *limit && self.paused.is_none())?;
        let note = Some(pause_message(limit));
        Some(self.paused.insert(Pause { since: at, cause: PauseCause::Failures, note }))
    }
}

impl Pause {
    /// Returns the reason that is recorded for the occurrences that it skips.
    pub fn reason(&self) -> Reason {
        let message = match &self.note {
            Some(note) => format!("the cron was paused: {note}"),
            None => "the cron was paused on request".to_owned(),
        };
        Reason::new(ReasonCode::Paused, message)
    }
}

/// Returns the note of a pause that a cron begins by itself after `limit` failures.
pub fn pause_message(limit: u32) -> String {
    let runs = if limit == 1 { "1 run failed".to_owned() } else { format!("{limit} runs in a row failed") };
    format!("{runs} (pause_after_failures = {limit})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Timestamp {
        "2026-03-02T09:00:00Z".parse().unwrap()
    }

    #[test]
    fn the_nth_failure_in_a_row_pauses_once() {
        let mut state = CronState::default();
        let ends = [
            (Status::Error, false),
            (Status::Success, false),
            (Status::Timeout, false),
            (Status::Cancelled, false),
            (Status::Error, true),
            (Status::Error, false),
        ];
        for (index, (status, pauses)) in ends.into_iter().enumerate() {
            assert_eq!(state.run_ended(status, Some(2), at()).is_some(), pauses, "{index}: {status}");
        }
        assert_eq!(state.failures, 3);
        let pause = state.paused.unwrap();
        let message = "the cron was paused: 2 runs in a row failed (pause_after_failures = 2)";
        assert_eq!(pause.reason(), Reason::new(ReasonCode::Paused, message));
    }

    #[test]
    fn without_a_limit_nothing_pauses() {
        let mut state = CronState::default();
        assert!((0..100).all(|_| state.run_ended(Status::Error, None, at()).is_none()));
    }
}
