//! How the daemon looks after itself.

use std::time::Duration;

/// A loop that is busy with one thing for longer is stuck. What a loop does takes milliseconds, and a hundred times longer on a
/// disk that is slow; a service manager may say otherwise.
pub const STUCK_AFTER: Duration = Duration::from_secs(120);

/// How often that is looked for without a service manager.
pub const STUCK_LOOKED_FOR_EVERY: Duration = Duration::from_secs(30);

/// How long housekeeping may take: it is done in small steps between other work, after which it begins anew.
pub const HOUSEKEEPING_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// The disk of the database is low if less than one part in so many is free, because what is left of a small disk is soon
/// written: by a log, by a backup, by others.
pub const DISK_LOW_SHARE: u64 = 20;

/// But only if less than this is free, which is room for a hundred thousand runs: a twentieth of a large disk is plenty.
pub const DISK_LOW_BYTES: u64 = 1 << 30;

/// How often the room on the disk is looked at: a disk that fills in less is full before anybody could act.
pub const DISK_LOOKED_AT_EVERY: Duration = Duration::from_secs(60);

/// Characters of the message of a panic that are logged and kept: it may quote data, so only its first words are.
pub const PANIC_MESSAGE_CHARS: usize = 120;

/// The size of the file that keeps a panic: enough for the longest place and message, however many bytes a character takes.
pub const PANIC_FILE_BYTES: usize = 1024;

/// Lines of the log that the daemon keeps in memory for a bug report: those of an hour in which much goes wrong.
pub const LOG_TAIL_LINES: usize = 500;

/// Characters of each of them: a line is longer only if somebody else's words are in it.
pub const LOG_TAIL_LINE_CHARS: usize = 500;

/// Rows of a table that are counted for a bug report; beyond that it does not matter how many there are.
pub const ROWS_COUNTED_MAX: u64 = 1_000_000;
