//! Counts the starts in flight: runs that are being sent, and whose answer has not arrived.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[derive(Debug, Default)]
pub(super) struct StartsInFlight(Arc<State>);

#[derive(Debug, Default)]
struct State {
    count: AtomicUsize,
    /// Whether more runs wait to be sent.
    has_more: AtomicBool,
}

/// One start in flight; it counts until it is dropped.
#[derive(Debug)]
pub(super) struct StartInFlight(Arc<State>);

impl StartsInFlight {
    pub(super) fn count(&self) -> usize {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Records whether more runs wait to be sent as soon as some of these starts have ended.
    pub(super) fn set_more(&self, has_more: bool) {
        self.0.has_more.store(has_more, Ordering::Relaxed);
    }

    pub(super) fn begin(&self) -> StartInFlight {
        self.0.count.fetch_add(1, Ordering::Relaxed);
        StartInFlight(Arc::clone(&self.0))
    }
}

impl StartInFlight {
    /// Ends this start, and returns how many others are in flight if more runs wait to be sent.
    pub(super) fn end(self) -> Option<usize> {
        let state = Arc::clone(&self.0);
        drop(self);
        state.has_more.load(Ordering::Relaxed).then(|| state.count.load(Ordering::Relaxed))
    }
}

impl Drop for StartInFlight {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_counts_until_it_ends_or_its_task_is_dropped() {
        let starts = StartsInFlight::default();
        let (first, second, third) = (starts.begin(), starts.begin(), starts.begin());
        assert_eq!((starts.count(), first.end()), (3, None));
        drop(second);
        starts.set_more(true);
        assert_eq!((starts.count(), third.end()), (1, Some(0)));
    }
}
