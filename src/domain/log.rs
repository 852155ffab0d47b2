//! What is logged: which ends of runs, and when a failure that goes on is logged again.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::bounds::REPEATS_REMEMBERED;
use super::words::words;

words!(
    /// Which ends of runs the log tells.
    LoggedRuns {
        /// Those that somebody may have to look at: errors, timeouts, interrupts and missed occurrences.
        Failed = "failed",
        All = "all",
        None = "none",
    }
);

/// A failure that goes on is logged again after this time.
const REPEATED_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// When each failure was logged last, by the text that tells it from others. It is logged when it begins or changes, and then
/// once an hour.
#[derive(Debug, Default)]
pub struct Repeats(HashMap<String, Timestamp>);

impl Repeats {
    /// Returns whether a failure is to be logged at `now`. If there are too many, the one that was logged longest ago is
    /// forgotten.
    pub fn admits(&mut self, failure: &str, now: Timestamp) -> bool {
        // The clock may have been set back.
        let is_recent =
            |at: &Timestamp| (SignedDuration::ZERO..REPEATED_AFTER).contains(&now.duration_since(*at));
        if self.0.get(failure).is_some_and(is_recent) {
            return false;
        }
        if self.0.len() >= REPEATS_REMEMBERED
            && let Some(oldest) = self.0.iter().min_by_key(|(_, at)| **at).map(|(failure, _)| failure.clone())
        {
            self.0.remove(&oldest);
        }
        self.0.insert(failure.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn a_failure_is_admitted_when_it_begins_or_changes_and_then_once_an_hour() {
        let mut repeats = Repeats::default();
        let admitted = [
            ("500", 0, true),
            ("500", 1, false),
            ("503", 2, true),
            ("500", 3_599, false),
            ("500", 3_600, true),
            ("500", 3_601, false),
            ("500", -7_200, true),
            ("500", -7_199, false),
        ];
        for (failure, second, expected) in admitted {
            assert_eq!(repeats.admits(failure, at(second)), expected, "{failure} at {second}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut repeats = Repeats::default();
        for second in 0..=REPEATS_REMEMBERED as i64 {
            assert!(repeats.admits(&second.to_string(), at(second)));
        }
        assert_eq!(repeats.0.len(), REPEATS_REMEMBERED);
        assert!(repeats.admits("0", at(0)), "the oldest is forgotten");
        assert!(!repeats.admits("2", at(3)));
    }
}
