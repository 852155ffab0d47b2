//! What became of occurrences in a stretch of time, counted: by status and reason, by how late they began and by how long they took.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::backoff;
use super::bounds::{LATE_AFTER, TALLIED_BY_HOUR_FOR};
use super::cron_state::CronHealth;
use super::reason::ReasonCode;
use super::run::Status;

/// A class of durations, each a fourth of an octave wide: what is in it is within 10 % of its middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TookBucket(pub i16);

/// How many classes there are between a duration and twice that duration.
const BUCKETS_PER_DOUBLING: f64 = 4.0;

impl TookBucket {
    /// Returns the class of a duration. Everything below a millisecond is in the first one.
    pub fn of(took: Duration) -> Self {
        let millis = (took.as_secs_f64() * 1000.0).max(1.0);
        #[expect(clippy::cast_possible_truncation, reason = "the logarithm of a duration is small")]
        Self((millis.log2() * BUCKETS_PER_DOUBLING).floor() as i16)
    }

    /// Returns the duration in its middle.
    pub fn middle(self) -> Duration {
        let millis = ((f64::from(self.0) + 0.5) / BUCKETS_PER_DOUBLING).exp2();
        Duration::try_from_secs_f64(millis / 1000.0).unwrap_or(Duration::MAX)
    }
}

/// The units in which roll-ups are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TallyUnit {
    Hour,
    /// A day of UTC.
    Day,
}

impl TallyUnit {
    const fn millis(self) -> i64 {
        match self {
            TallyUnit::Hour => 3_600_000,
            TallyUnit::Day => 86_400_000,
        }
    }

    /// Returns the finest unit that is still kept of what happened since then.
    pub fn since(since: Timestamp, now: Timestamp) -> Self {
        match backoff::between(since, now) <= TALLIED_BY_HOUR_FOR {
            true => TallyUnit::Hour,
            false => TallyUnit::Day,
        }
    }

    /// Returns the number of the unit that an instant falls into, counted from 1970.
    pub fn number(self, at: Timestamp) -> i64 {
        at.as_millisecond().div_euclid(self.millis())
    }

    /// Returns when the unit of this number begins.
    pub fn begin(self, number: i64) -> Timestamp {
        Timestamp::from_millisecond(number.saturating_mul(self.millis())).unwrap_or(Timestamp::MAX)
    }
}

/// Returns whether a run began so late that somebody may want to know.
pub fn is_late(due_at: Timestamp, started_at: Timestamp) -> bool {
    backoff::between(due_at, started_at) > LATE_AFTER
}

/// Counts of a cron, or of several together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Occurrences that ended, without those whose run is retried. Corrections are counted beside, so a part of the counts may
    /// be negative.
    pub ended: BTreeMap<(Status, Option<ReasonCode>), i64>,
    /// Runs that took place.
    pub runs: u64,
    /// How many of them began late.
    pub late: u64,
    /// How many of them took how long, if that is known.
    pub took: BTreeMap<TookBucket, u64>,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.runs += other.runs;
        self.late += other.late;
        for (end, count) in &other.ended {
            *self.ended.entry(*end).or_default() += count;
        }
        for (bucket, count) in &other.took {
            *self.took.entry(*bucket).or_default() += count;
        }
    }

    /// Returns how many occurrences ended with this status.
    pub fn of(&self, status: Status) -> u64 {
        self.count(|(ended, _)| *ended == status)
    }

    /// Returns how many ends say this about the cron.
    pub fn saying(&self, says: CronHealth) -> u64 {
        self.count(|(status, code)| CronHealth::of_end(*status, *code) == says)
    }

    fn count(&self, counts: impl Fn(&(Status, Option<ReasonCode>)) -> bool) -> u64 {
        let count: i64 = self.ended.iter().filter(|(end, _)| counts(end)).map(|(_, count)| count).sum();
        u64::try_from(count).unwrap_or(0)
    }

    /// Returns of a hundred ends that say whether the cron works how many say that it does, or `None` if there are none.
    pub fn ok_percent(&self) -> Option<f64> {
        let (works, fails) = (self.saying(CronHealth::Works), self.saying(CronHealth::Fails));
        #[expect(clippy::cast_precision_loss, reason = "a percentage need not be exact beyond 2^53 runs")]
        let percent = || works as f64 * 100.0 / (works + fails) as f64;
        (works + fails > 0).then(percent)
    }

    /// Returns within which time so many of a hundred runs ended, exact to 10 %, or `None` if none of them took place.
    pub fn took(&self, percent: u64) -> Option<Duration> {
        let all: u64 = self.took.values().sum();
        let rank = (all * percent).div_ceil(100).max(1);
        let mut below = 0;
        let bucket = self.took.iter().find(|(_, count)| {
            below += **count;
            below >= rank
        });
        bucket.map(|(bucket, _)| bucket.middle())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_middle_of_a_class_is_within_a_tenth_of_all_in_it() {
        for took in (1..40_000_u64).map(|n| n * 97).chain([1, 2, 3, 4, 5, 7]) {
            let middle = TookBucket::of(millis(took)).middle().as_secs_f64() * 1000.0;
            assert!((middle / took as f64 - 1.0).abs() < 0.1, "{took} ms: {middle}");
        }
        assert_eq!(TookBucket::of(Duration::ZERO), TookBucket::of(millis(1)));
        assert!(TookBucket::of(Duration::MAX).middle() > Duration::from_secs(1 << 40));
    }

    #[test]
    fn percentiles_are_those_of_the_runs() {
        let mut tally = Tally::default();
        assert_eq!(tally.took(50), None);
        for took in 1..=100 {
            *tally.took.entry(TookBucket::of(millis(took * 100))).or_default() += 1;
        }
        for (percent, expected) in [(1, 0.1), (50, 5.0), (95, 9.5), (100, 10.0)] {
            let took = tally.took(percent).unwrap().as_secs_f64();
            assert!((took / expected - 1.0).abs() < 0.11, "{percent}: {took}");
        }
    }

    #[test]
    fn only_what_says_something_about_the_cron_counts_for_the_share_that_worked() {
        let ends = [
            ((Status::Success, None), 6),
            ((Status::Error, Some(ReasonCode::GraphError)), 2),
            ((Status::Error, Some(ReasonCode::StartDeadline)), 5),
            ((Status::Missed, Some(ReasonCode::DaemonDown)), 7),
        ];
        let tally = Tally { ended: ends.into_iter().collect(), ..Tally::default() };
        assert_eq!(tally.ok_percent(), Some(75.0));
        assert_eq!((tally.of(Status::Error), tally.of(Status::Missed)), (7, 7));
        assert_eq!(Tally::default().ok_percent(), None);
        let mut twice = tally.clone();
        twice.add(&tally);
        assert_eq!((twice.of(Status::Success), twice.ok_percent()), (12, Some(75.0)));
    }

    #[test]
    fn units_are_counted_from_1970() {
        let at: Timestamp = "1970-01-02T01:30:00Z".parse().unwrap();
        assert_eq!((TallyUnit::Hour.number(at), TallyUnit::Day.number(at)), (25, 1));
        assert_eq!(TallyUnit::Hour.begin(25).to_string(), "1970-01-02T01:00:00Z");
        let before: Timestamp = "1969-12-31T23:59:59Z".parse().unwrap();
        assert_eq!(TallyUnit::Day.number(before), -1);
    }
}
