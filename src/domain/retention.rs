//! How long history is kept, and which parts of values are never kept. A cron may have rules of its own; the store has
//! those of everything else.

use std::time::Duration;

use jiff::Timestamp;

use super::backoff;
use super::redaction::Pointer;

/// How long something is kept after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Keep {
    For(Duration),
    Forever,
}

impl Keep {
    /// How a file writes [`Keep::Forever`].
    pub const FOREVER: &'static str = "forever";

    /// Returns whether what ended then is to go now.
    pub fn is_over(self, ended_at: Timestamp, now: Timestamp) -> bool {
        match self {
            Keep::For(length) => backoff::after(ended_at, length) <= now,
            Keep::Forever => false,
        }
    }

    /// Returns the length, or `None` for ever.
    pub fn length(self) -> Option<Duration> {
        match self {
            Keep::For(length) => Some(length),
            Keep::Forever => None,
        }
    }
}

/// What is kept of the history of a cron, of clients, or of everything that has no rules of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Of runs and of records of occurrences that did not run.
    pub keep: Keep,
    /// Of those that went wrong.
    pub keep_failures: Keep,
    /// Of what graphs returned, and of the bodies of webhooks.
    pub keep_values: Keep,
    /// How many ended records a cron has at most.
    pub keep_runs_max: Option<u32>,
    /// The parts of values that are never kept.
    pub redact: Vec<Pointer>,
}

/// The rules that a cron has of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnRetention {
    pub keep: Option<Keep>,
    pub keep_failures: Option<Keep>,
    pub keep_values: Option<Keep>,
    pub keep_runs_max: Option<u32>,
    pub redact: Vec<Pointer>,
}

impl Retention {
    /// Keeps everything.
    pub const EVERYTHING: Self = Self {
        keep: Keep::Forever,
        keep_failures: Keep::Forever,
        keep_values: Keep::Forever,
        keep_runs_max: None,
        redact: Vec::new(),
    };

    /// Returns the rules of a cron that has these of its own. What is redacted for all is redacted for each: a cron can add
    /// to that, and take nothing away.
    pub fn with(&self, own: &OwnRetention) -> Self {
        let mut redact = self.redact.clone();
        redact.extend(own.redact.iter().filter(|pointer| !self.redact.contains(pointer)).cloned());
        Self {
            keep: own.keep.unwrap_or(self.keep),
            keep_failures: own.keep_failures.unwrap_or(self.keep_failures),
            keep_values: own.keep_values.unwrap_or(self.keep_values),
            keep_runs_max: own.keep_runs_max.or(self.keep_runs_max),
            redact,
        }
    }

    /// Returns how long a record is kept. One that went wrong is never kept for less than one that went well.
    pub fn of_record(&self, went_wrong: bool) -> Keep {
        if went_wrong { self.keep_failures.max(self.keep) } else { self.keep }
    }

    /// Returns whether values are written at all.
    pub fn writes_values(&self) -> bool {
        self.keep_values != Keep::For(Duration::ZERO)
    }
}

impl OwnRetention {
    /// Returns whether the rules say how long something is kept.
    pub fn says_how_long(&self) -> bool {
        let Self { keep, keep_failures, keep_values, keep_runs_max, redact: _ } = self;
        keep.is_some() || keep_failures.is_some() || keep_values.is_some() || keep_runs_max.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600;

    fn days(days: u64) -> Keep {
        Keep::For(Duration::from_secs(days * DAY))
    }

    #[test]
    fn what_is_over_goes() {
        let at = |day: i64| Timestamp::from_second(day * DAY as i64).unwrap();
        for (keep, day, is_over) in
            [(days(2), 2, false), (days(2), 3, true), (days(2), 4, true), (Keep::Forever, 9999, false)]
        {
            assert_eq!(keep.is_over(at(1), at(day)), is_over, "{keep:?} on day {day}");
        }
    }

    #[test]
    fn a_failure_is_kept_as_long_as_a_success_or_longer() {
        for (keep, keep_failures, of_failure) in [
            (days(90), days(366), days(366)),
            (days(90), days(1), days(90)),
            (Keep::Forever, days(1), Keep::Forever),
            (days(1), Keep::Forever, Keep::Forever),
        ] {
            let retention = Retention { keep, keep_failures, ..Retention::EVERYTHING };
            assert_eq!((retention.of_record(false), retention.of_record(true)), (keep, of_failure));
        }
    }

    #[test]
    fn a_cron_changes_what_it_names_and_only_adds_to_what_is_redacted() {
        let pointer = |text: &str| Pointer::parse(text).unwrap();
        let store = Retention { keep: days(90), redact: vec![pointer("/a")], ..Retention::EVERYTHING };
        let own = OwnRetention {
            keep_values: Some(days(0)),
            redact: vec![pointer("/b"), pointer("/a")],
            ..OwnRetention::default()
        };
        let of_cron = store.with(&own);
        assert_eq!(of_cron.redact, [pointer("/a"), pointer("/b")]);
        assert_eq!((of_cron.keep, of_cron.keep_values), (days(90), days(0)));
        assert!(store.writes_values() && !of_cron.writes_values());
        assert!(own.says_how_long() && !OwnRetention { keep_values: None, ..own }.says_how_long());
    }
}
