//! Distributions of what is counted.

use std::time::Duration;

use super::Count;

/// A distribution of durations, or of numbers of things.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// The counts are not cumulative. The last bucket is for what is beyond all bounds.
    buckets: Box<[Count]>,
    sum_millionths: Count,
}

/// A histogram at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramSnapshot {
    /// The upper bounds, each with how many values are at or below it.
    pub buckets: Vec<(f64, u64)>,
    pub count: u64,
    pub sum: f64,
}

impl Histogram {
    /// Returns an empty one with these upper bounds.
    pub(super) fn of(bounds: &'static [f64]) -> Self {
        let buckets = std::iter::repeat_with(Count::default).take(bounds.len() + 1).collect();
        Self { bounds, buckets, sum_millionths: Count::default() }
    }

    /// Counts a duration, in seconds.
    pub(crate) fn observe(&self, took: Duration) {
        self.add(took.as_secs_f64(), u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// Counts a number of things.
    pub(in crate::store) fn observe_number(&self, number: usize) {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        self.add(f64::from(number), u64::from(number) * 1_000_000);
    }

    fn add(&self, value: f64, millionths: u64) {
        let beyond = self.bounds.iter().take_while(|bound| value > **bound).count();
        self.buckets[beyond].add(1);
        self.sum_millionths.add(millionths);
    }

    /// Returns the distribution as it is now.
    pub fn snapshot(&self) -> HistogramSnapshot {
        let mut count = 0;
        let mut below = |bucket: &Count| {
            count += bucket.get();
            count
        };
        let buckets = self.bounds.iter().zip(&self.buckets).map(|(bound, b)| (*bound, below(b))).collect();
        let count = below(&self.buckets[self.bounds.len()]);
        let sum = Duration::from_micros(self.sum_millionths.get()).as_secs_f64();
        HistogramSnapshot { buckets, count, sum }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_what_is_at_or_below_each_bound() {
        let histogram = Histogram::of(&[0.001, 0.0025, 0.1, 0.25, 3600.0]);
        for millis in [1, 2, 250, 7_200_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.buckets, [(0.001, 1), (0.0025, 2), (0.1, 2), (0.25, 3), (3600.0, 3)]);
        assert_eq!((snapshot.count, snapshot.sum), (4, 7200.253));
    }

    #[test]
    fn a_histogram_counts_things_too() {
        let histogram = Histogram::of(&[1.0, 10.0]);
        [1, 2, 10, 11].into_iter().for_each(|number| histogram.observe_number(number));
        let snapshot = histogram.snapshot();
        assert_eq!((snapshot.buckets, snapshot.count, snapshot.sum), (vec![(1.0, 1), (10.0, 3)], 4, 24.0));
    }
}
