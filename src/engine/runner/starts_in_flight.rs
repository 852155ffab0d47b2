//! Counts the starts in flight: runs that are being sent, and whose answer has not arrived.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug, Default)]
pub(super) struct StartsInFlight(Arc<AtomicUsize>);

/// One start in flight; it counts until it is dropped.
#[derive(Debug)]
pub(super) struct StartInFlight(Arc<AtomicUsize>);

impl StartsInFlight {
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn begin(&self) -> StartInFlight {
        self.0.fetch_add(1, Ordering::Relaxed);
        StartInFlight(Arc::clone(&self.0))
    }
}

impl StartInFlight {
    /// Ends this start, and returns how many others are in flight.
    pub(super) fn end(self) -> usize {
        let count = Arc::clone(&self.0);
        drop(self);
        count.load(Ordering::Relaxed)
    }
}

impl Drop for StartInFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_counts_until_it_ends_or_its_task_is_dropped() {
        let starts = StartsInFlight::default();
        let (first, second, third) = (starts.begin(), starts.begin(), starts.begin());
        assert_eq!(starts.count(), 3);
        assert_eq!(first.end(), 2);
        drop(second);
        assert_eq!((starts.count(), third.end()), (1, 0));
    }
}
