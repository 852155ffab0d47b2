//! How far a text is looked for in the history.

/// Runs that one request looks through for a text: so many take well under a second, and the next page goes on from there.
pub const GREP_RUNS_PER_PAGE: u32 = 20_000;

/// Runs that one command looks through, the newest first: what is older is found with `--until`.
pub const GREP_RUNS_MAX: u32 = 200_000;

/// Characters of a text that is looked for.
pub const GREP_CHARS_MAX: usize = 200;
