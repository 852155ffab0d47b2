//! What feeds of changes may cost: nothing while nobody listens, and next to nothing for each who does.

use std::time::Duration;

/// Feeds at once: a team with a few pages each. All of them share one look at the store.
pub const FEEDS_MAX: usize = 64;

/// Looks that are kept for a feed whose reader is slow: four seconds of them.
pub const FEED_LOOKS_KEPT: usize = 16;

/// Between two looks of a feed, so that a burst of commits is one look, and a page is still as quick as its reader.
pub const FEED_INTERVAL: Duration = Duration::from_millis(250);

/// Between two looks of a feed that cannot name each change, because there are too many.
pub const FEED_INTERVAL_CROWDED: Duration = Duration::from_secs(2);

/// Changes that one look names. A reader with more to do than that is quicker if it loads everything anew.
pub const FEED_CHANGES_MAX: usize = 500;

/// Runs in progress, and webhooks on their way, that a feed watches one by one: reading so many takes a few milliseconds.
pub const FEED_WATCHED_MAX: u32 = 2000;

/// How often a feed without a change shows that it lives, so that no proxy takes it for dead.
pub const FEED_KEEP_ALIVE: Duration = Duration::from_secs(15);
