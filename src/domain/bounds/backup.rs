//! What backups may take from others.

use std::time::Duration;

/// When a backup that failed is tried again: a disk that was full may have room by then.
pub const BACKUP_RETRIED_AFTER: Duration = Duration::from_secs(3600);

/// How often what was committed is moved from the WAL into the database: whoever copies the file alone should find almost all
/// of it, and a WAL that stays small is read sooner.
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);

/// Pages of a backup that are copied in one step: a mebibyte, so that the disk serves others in between.
pub const BACKUP_PAGES_PER_STEP: i32 = 256;

/// How many times as long as a step of a backup has taken it rests beside a daemon: so it takes a tenth of what the disk can do,
/// which is 20 MiB a second at one that writes 200.
pub const BACKUP_RESTS: u32 = 9;
