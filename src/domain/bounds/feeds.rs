//! What feeds of changes may cost: nothing while nobody listens, and little for each who does.

use std::time::Duration;

/// Feeds at once: a few people with a few pages each. Each one reads the store for itself.
pub const FEEDS_MAX: usize = 16;

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
