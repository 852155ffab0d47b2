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

/// A daemon that has not committed for this long, two beats and some, does not know whether the others could.
pub const INTERRUPTED_AFTER: Duration = Duration::from_secs(5);

/// Returns when a daemon is gone that gives no further sign of life after this one, as it appears to another daemon.
///
/// While the store is away nobody can give a sign of life. So if this other daemon could not commit for a while,
/// `able_since` is when it could again, and silence counts from then on. It is `None` if it has always been able to.
pub fn gone_at(seen_at: Timestamp, able_since: Option<Timestamp>) -> Timestamp {
    backoff::after(able_since.map_or(seen_at, |since| seen_at.max(since)), LEASE)
}

/// Returns since when a daemon that is alive now has given a sign of life, at the latest.
pub fn alive_since(now: Timestamp) -> Timestamp {
    now.checked_sub(LEASE).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_from_when_it_could_be_broken() {
        let at = |second| Timestamp::from_second(second).unwrap();
        // When it was seen, since when we could commit, and from when on it is gone.
        let table = [
            (100, None, 110),
            // The store was away until then, for the other one as well.
            (100, Some(160), 170),
            // It has spoken since.
            (161, Some(160), 171),
            // Our own trouble was long ago.
            (100, Some(40), 110),
        ];
        for (seen_at, able_since, gone) in table {
            assert_eq!(gone_at(at(seen_at), able_since.map(at)), at(gone), "{seen_at} {able_since:?}");
        }
    }
}
