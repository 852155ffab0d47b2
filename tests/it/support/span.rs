//! A schedule with a few occurrences in the near future, all of which a test knows.

use jiff::{SignedDuration, Timestamp};

/// How far ahead the first occurrence is: enough for a daemon to start before it on a busy machine.
const LEAD: SignedDuration = SignedDuration::from_secs(5);

/// Occurs every `every` seconds, `count` times.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    first: Timestamp,
    every: i64,
    count: i64,
}

impl Span {
    pub(crate) fn soon(every: i64, count: usize) -> Self {
        assert!(60 % every == 0, "the step must divide a minute");
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

    /// Returns the last instant.
    pub(crate) fn last(&self) -> Timestamp {
        self.at(self.count - 1)
    }

    /// Returns the keys of a cron that occurs at these instants.
    pub(crate) fn keys(&self) -> String {
        let (every, first, end) = (self.every, self.first, self.at(self.count));
        format!("schedule = \"* * * * * */{every}\"\nstart_time = \"{first}\"\nend_time = \"{end}\"")
    }

    fn at(&self, index: i64) -> Timestamp {
        self.first + SignedDuration::from_secs(index * self.every)
    }
}

#[expect(clippy::disallowed_methods, reason = "the daemon under test runs in real time")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
