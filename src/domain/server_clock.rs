//! What a server's clock shows, as far as it can be seen from here: each answer tells it as precisely as it was fast.

use std::collections::VecDeque;
use std::time::Duration;

/// How many answers count. At one every two seconds, those of the last half minute: in that time no clock drifts by more than
/// [`DRIFT`].
const SAMPLES: usize = 16;
/// Two clocks that nobody sets differ by at most this much more after that time (500 ppm, which NTP allows).
const DRIFT: i64 = 16_000;

/// One look at a server's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSample {
    /// By how much it was ahead of a clock of ours, in microseconds, halfway between question and answer.
    pub ahead: i64,
    /// At most how wrong that is, in microseconds: half of the time that the answer took.
    pub doubt: i64,
}

/// The latest looks at a server's clock.
#[derive(Clone, Debug, Default)]
pub struct ServerClock(VecDeque<ClockSample>);

impl ClockSample {
    /// Returns what an answer tells: the server's clock in microseconds, and ours when the question was sent and when the answer
    /// was there.
    pub fn of(server: i64, asked: Duration, answered: Duration) -> Self {
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let doubt = micros(answered.saturating_sub(asked)) / 2;
        Self { ahead: server.saturating_sub(micros(asked).saturating_add(doubt)), doubt }
    }

    /// Whether both may be true of a clock that nobody has set.
    fn fits(self, other: Self) -> bool {
        let apart = self.ahead.abs_diff(other.ahead);
        apart <= self.doubt.saturating_add(other.doubt).saturating_add(DRIFT).unsigned_abs()
    }
}

impl ServerClock {
    /// Adds a look, and returns by how much the server's clock is ahead now, in microseconds: as the fastest of the latest answers
    /// says. If the new one contradicts that, the clock was set, and only the new one counts.
    pub fn add(&mut self, sample: ClockSample) -> i64 {
        if self.best().is_some_and(|best| !best.fits(sample)) {
            self.0.clear();
        }
        self.0.push_back(sample);
        if self.0.len() > SAMPLES {
            self.0.pop_front();
        }
        self.best().map_or(sample.ahead, |best| best.ahead)
    }

    fn best(&self) -> Option<ClockSample> {
        self.0.iter().copied().min_by_key(|sample| sample.doubt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(ahead: i64, doubt: i64) -> ClockSample {
        ClockSample { ahead, doubt }
    }

    #[test]
    fn an_answer_is_taken_for_the_middle_of_its_way() {
        let (asked, answered) = (Duration::from_millis(10), Duration::from_millis(14));
        assert_eq!(ClockSample::of(1_012_000, asked, answered), sample(1_000_000, 2_000));
        assert_eq!(ClockSample::of(0, answered, asked), sample(-14_000, 0), "it cannot be, and does no harm");
    }

    #[test]
    fn the_fastest_answer_counts_until_the_clock_is_set() {
        let mut clock = ServerClock::default();
        for (ahead, doubt, expected, why) in [
            (1_000, 5_000, 1_000, "the first"),
            (3_000, 1_000, 3_000, "a faster one"),
            (9_000, 40_000, 3_000, "a slow one"),
            (-300_000_000, 1_000, -300_000_000, "set back by five minutes"),
            (-300_000_400, 900, -300_000_400, "a faster one after that"),
            (60_000_000, 30_000_000, 60_000_000, "set forward, although the answer was slow"),
        ] {
            assert_eq!(clock.add(sample(ahead, doubt)), expected, "{why}");
        }
    }

    #[test]
    fn what_was_fast_long_ago_is_forgotten() {
        let mut clock = ServerClock::default();
        assert_eq!(clock.add(sample(0, 0)), 0);
        let last = (1..=SAMPLES).map(|_| clock.add(sample(10_000, 500))).last();
        assert_eq!(last, Some(10_000));
    }
}
