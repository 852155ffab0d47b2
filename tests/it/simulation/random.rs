//! A random number generator (SplitMix64), so that a seed is a whole scenario and no crate's version changes
//! it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Cheap to clone; all clones draw from one sequence.
#[derive(Clone, Debug)]
pub(super) struct Random(Arc<Mutex<u64>>);

impl Random {
    pub(super) fn of_seed(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed)))
    }

    fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number in `0..bound`.
    pub(super) fn below(&self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// Returns true this many times in a hundred.
    pub(super) fn percent(&self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// Returns a duration of at most `most`.
    pub(super) fn wait(&self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.below(most + 1))
    }
}
