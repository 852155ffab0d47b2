//! How much is remembered of the daemons that share a store and of their files, and how often each looks at those of the others.

use std::time::Duration;

/// Generations of files that are remembered: a daemon that starts with older files would adopt them. A row has some hundred
/// bytes, and nobody rolls files out a thousand times before the last daemon is restarted.
pub const GENERATIONS_REMEMBERED: u32 = 1_000;

/// How often a daemon looks whether another has adopted files: often enough that the switch of all webhooks takes effect
/// everywhere soon, and so seldom that a hundred daemons do not disturb the store.
pub const GENERATIONS_LOOKED_AT_EVERY: Duration = Duration::from_secs(3);
