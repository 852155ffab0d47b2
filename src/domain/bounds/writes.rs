//! Bounds of what is written in one transaction, and of what several daemons do at once on one store.

use std::time::Duration;

/// Closures that are queued for the writer. Further callers wait, so that memory stays flat when the disk is slow.
pub const WRITES_QUEUED: usize = 4_096;

/// Closures in one transaction: enough to share one fsync, and few enough that the first gets its result soon.
pub const WRITES_PER_COMMIT: usize = 256;

/// Crons planned in one pass, which is one transaction: the first of a large burst are sent while the passes that
/// follow at once plan the rest.
pub const CRONS_PER_PASS: usize = 256;

/// How often a transaction is begun again that others have been in the way of. Two are enough for what a few rows can do; what is
/// undone so often has another cause.
pub const CONTENDED_MAX: u32 = 10;

/// After so many times it waits until nobody else writes, so that none of ours can be in its way.
pub const CONTENDED_BESIDE_MAX: u32 = 2;

/// The wait before it is begun again, each time longer by as much: the others need a few milliseconds to be done.
pub const CONTENDED_WAIT: Duration = Duration::from_millis(5);
