//! A few occurrences, soon: a calendar whose every instant a test can name.

use jiff::{SignedDuration, Timestamp};

/// Far enough for a daemon to start before it on a busy machine.
const LEAD: SignedDuration = SignedDuration::from_secs(3);

/// Fires every so many seconds, so many times, and then never again.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    first: Timestamp,
    every: i64,
    count: i64,
}

impl Span {
    pub(crate) fn soon(every: i64, count: usize) -> Self {
        assert!(60 % every == 0, "a step that does not divide a minute is no step on the clock");
        let after = (now() + LEAD).as_second();
        let first = Timestamp::from_second((after / every + 1) * every).unwrap();
        Self { first, every, count: i64::try_from(count).unwrap() }
    }

    pub(crate) fn once() -> Self {
        Self::soon(1, 1)
    }

    pub(crate) fn instants(&self) -> Vec<Timestamp> {
        (0..self.count).map(|index| self.at(index)).collect()
    }

    /// When the last one is due.
    pub(crate) fn last(&self) -> Timestamp {
        self.at(self.count - 1)
    }

    /// The keys of a cron that fires at these instants.
    pub(crate) fn keys(&self) -> String {
        let (every, first, end) = (self.every, self.first, self.at(self.count));
        format!("schedule = \"* * * * * */{every}\"\nstart_time = \"{first}\"\nend_time = \"{end}\"")
    }

    fn at(&self, index: i64) -> Timestamp {
        self.first + SignedDuration::from_secs(index * self.every)
    }
}

#[expect(clippy::disallowed_methods, reason = "the daemon under test lives in real time")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
