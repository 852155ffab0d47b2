//! How long a daemon counts as alive, where several have one store: as long as it gives a sign of life often enough.

use std::time::Duration;

use jiff::Timestamp;

use super::backoff;

/// How often a daemon gives a sign of life.
pub const BEAT_EVERY: Duration = Duration::from_secs(2);
/// A daemon that has given none for this long is gone, and others recover what it holds. Four beats may be lost on the way.
pub const LEASE: Duration = Duration::from_secs(10);
/// A daemon begins nothing more once this long has passed since its last sign of life, by a clock that nobody sets: two seconds
/// before others recover what it holds, which is longer than it takes to begin what was asked for just before.
pub const ACTS_WITHIN: Duration = Duration::from_secs(8);
/// How often a daemon looks for what others have left it to do.
pub const LOOKS_EVERY: Duration = Duration::from_secs(1);

/// The commits that a failover loses are at most this old.
pub const LOST_WITHIN: Duration = Duration::from_secs(60);
/// How long a thread stays on the agent server after its run has ended, where a failover may lose the last commits: whoever
/// follows the run again must still find its end.
pub const THREADS_KEPT: Duration = LOST_WITHIN;

/// Returns when a daemon is gone that gives no further sign of life after this one.
pub fn gone_at(seen_at: Timestamp) -> Timestamp {
    backoff::after(seen_at, LEASE)
}
