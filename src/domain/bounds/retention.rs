//! How history is deleted beside the work of the daemon.

use std::time::Duration;

/// The shortest time for which runs are kept. Whatever just ended is still asked for: by the retry of its occurrence, by
/// `explain`, and by whoever sets the clock back.
pub const KEEP_MIN: Duration = Duration::from_secs(3600);

/// The longest time for which something is kept that is not kept for ever: no sum of instants overflows.
pub const KEEP_MAX: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// The pointers of one `redact`: each is followed through every value that is recorded.
pub const REDACT_MAX: usize = 100;

/// The wait from the start of a daemon until it deletes: what was due while none was running comes first.
pub const DELETES_AFTER: Duration = Duration::from_secs(60);

/// The wait between two passes. What is deleted ten minutes late was kept for days.
pub const DELETES_EVERY: Duration = Duration::from_secs(600);

/// How long the writer may be busy with one batch: an occurrence that is due then waits for as long.
pub const DELETION_TARGET: Duration = Duration::from_millis(4);

/// The wait after a batch, in lengths of the batch: the writer has four fifths of its time for runs.
pub const DELETION_PAUSES: u32 = 4;

/// Runs in one batch, however fast the disk is: a batch that a slow moment stretches must not stretch far.
pub const DELETED_PER_COMMIT: usize = 200;

/// Rows that one read looks at. It takes about a millisecond, and the reads of the loops wait for one another.
pub const EXPIRED_PER_READ: usize = 500;

/// Records that are to go and may not yet, each walk remembers so many by number, and looks at all of them in each pass. If
/// there are more, it waits for those.
pub const UNDELETABLE_REMEMBERED: usize = 10_000;

/// How close the next occurrence may be when a batch begins.
pub const DELETION_GIVES_WAY: Duration = Duration::from_millis(20);

/// How long a batch gives way at most: a daemon that is always busy must still be rid of its history some day.
pub const DELETION_GIVES_WAY_MOST: Duration = Duration::from_millis(500);

/// A walk begins from the oldest record again after this time, in case a clock that was set back has put records before
/// the place where it is.
pub const WALKS_BEGIN_ANEW_AFTER: Duration = Duration::from_secs(24 * 3600);

/// A clock that goes forward by more is not believed at once: it may be the clock that is wrong, and what is deleted by it
/// is gone.
pub const CLOCK_STEP_DOUBTED: Duration = Duration::from_secs(24 * 3600);

/// The same for the time since the last sign of life at a start. Machines are switched off for a holiday.
pub const ABSENCE_DOUBTED: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long the daemon must have run after that before it deletes anything: a person or a time server sets a wrong clock
/// right within a day.
pub const CLOCK_DOUBTED_FOR: Duration = Duration::from_secs(24 * 3600);

/// Pages that are overwritten in one commit: half a megabyte, which takes a disk a few milliseconds.
pub const ERASED_PER_COMMIT: u64 = 128;

/// The wait after that, in lengths of the commit.
pub const ERASURE_PAUSES: u32 = 4;

/// How long whoever asks for it waits until the WAL is empty: reads are cut off after ten seconds at most.
pub const WAL_EMPTIED_WITHIN: Duration = Duration::from_secs(15);

/// Threads that are listed when something is forgotten, for somebody to delete them on the agent server.
pub const THREADS_LISTED: usize = 1000;

/// How long `agentcron forget` waits for the daemon: a million runs take half an hour on a small machine.
pub const FORGOTTEN_WITHIN: Duration = Duration::from_secs(3600);
