//! What a reload that somebody waits for may take.

use std::time::Duration;

/// How long a request for a reload waits: files are read once they are stable, and a network file system takes its time. It is
/// shorter than a command waits for its answer.
pub const RELOAD_ANSWERED_WITHIN: Duration = Duration::from_secs(25);

/// Characters of a value that are shown where it differs from what it was.
pub const DIFFERENCE_CHARS_SHOWN: usize = 60;
