//! Summarises many durations in three numbers.

use std::time::Duration;

/// Two percentiles and the maximum of some durations; all are zero if there are no durations.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spread {
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    pub(super) max: Duration,
}

impl Spread {
    pub(super) fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        // The nearest rank: the p99 of 100 durations is the 99th.
        let rank = |percent: usize| {
            let index = (durations.len() * percent).div_ceil(100).saturating_sub(1);
            durations.get(index).copied().unwrap_or_default()
        };
        Self { p50: rank(50), p99: rank(99), max: rank(100) }
    }

    /// Returns the median of each number over the repetitions.
    pub(super) fn median(repetitions: &[Spread]) -> Self {
        let median =
            |number: fn(&Spread) -> Duration| Spread::of(repetitions.iter().map(number).collect()).p50;
        Self { p50: median(|s| s.p50), p99: median(|s| s.p99), max: median(|s| s.max) }
    }
}

/// Returns the median, or `None` if there are no numbers.
pub(super) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied()
}
