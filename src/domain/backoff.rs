//! Waits that grow, and their jitter. Jitter comes from a hash of an id, so that a restart changes nothing
//! and a test can state its expectation. It only ever lengthens a wait, so we never come back earlier than a
//! receiver has asked for.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Returns the wait after the `count`th failure in a row, which doubles from `first` up to `most`.
pub fn doubling(first: Duration, most: Duration, count: u32) -> Duration {
    let doublings = count.saturating_sub(1).min(20);
    first.saturating_mul(1 << doublings).min(most)
}

/// Returns `wait` made longer by up to a fifth, by an amount that is stable for this id and count.
pub fn with_jitter(wait: Duration, id: Uuid, count: u32) -> Duration {
    wait.saturating_add(wait.mul_f64(share(id, count) / 5.0))
}

/// Returns a number in `0.0..1.0` that is stable for this id and count.
pub fn share(id: Uuid, count: u32) -> f64 {
    let mut hash = Sha256::new();
    hash.update(id.as_bytes());
    hash.update(count.to_be_bytes());
    let digest = hash.finalize();
    let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    f64::from(number) / (f64::from(u32::MAX) + 1.0)
}

/// Returns `at` plus `wait` to the millisecond, as instants are stored and shown, or the last possible
/// instant.
pub fn after(at: Timestamp, wait: Duration) -> Timestamp {
    let wait = i64::try_from(wait.as_millis()).map_or(SignedDuration::MAX, SignedDuration::from_millis);
    at.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

/// A wait that ends at an instant, and that a clock which is set back does not make longer than it was meant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wait {
    pub until: Timestamp,
    length: Duration,
}

impl Wait {
    pub fn begin(now: Timestamp, length: Duration) -> Self {
        Self { until: after(now, length), length }
    }

    /// Returns whether the wait is over. An end that is further ahead than the whole wait dates from before a step back.
    pub fn is_over(&self, now: Timestamp) -> bool {
        let left = between(now, self.until);
        left.is_zero() || left > self.length
    }
}

/// Returns the time from `from` to `to`, or zero if `to` is earlier.
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}
