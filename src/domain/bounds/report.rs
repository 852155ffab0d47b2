//! What is counted for reports, and how much of the past is shown.

use std::time::Duration;

/// A run that begins later than this is late. Below it, what waits for a place or for a connection is not worth a word.
pub const LATE_AFTER: Duration = Duration::from_secs(60);

/// How long the counts of each hour are kept, beside those of each day: from Friday evening to Monday.
pub const TALLIED_BY_HOUR_FOR: Duration = Duration::from_secs(72 * 3600);

/// Rows of the counts of one hour that one commit deletes, so that it holds up nothing that is due.
pub const TALLIES_PER_COMMIT: usize = 500;

/// With how long a time before it a report compares: the same days of the week are in it.
pub const COMPARED_DAYS: i64 = 7;

/// Crons that a report lists if it is not asked for all of them: those that need somebody come first.
pub const REPORTED_CRONS: usize = 40;

/// What a report is about if nobody says since when: a night.
pub const REPORT_PERIOD: Duration = Duration::from_secs(12 * 3600);

/// What the statistics of a cron are about if nobody says since when.
pub const STATS_PERIOD: Duration = Duration::from_secs(30 * 24 * 3600);

/// Days that the statistics of a cron go back at most; each is looked up by itself.
pub const STATS_DAYS_MAX: i64 = 3660;

/// Receivers that a report lists.
pub const REPORTED_RECEIVERS: usize = 20;

/// Ended runs by which a cron is judged: enough for a percentile, few enough to be read for each cron of a listing.
pub const RECENT_RUNS: u32 = 50;

/// Kinds of failures that a cron is shown with, and of how long ago; `agentcron history --failed` has all of them.
pub const RECENT_FAILURES: u32 = 5;
pub const RECENT_FAILURES_WITHIN: Duration = Duration::from_secs(7 * 24 * 3600);

/// Versions of its definition that a cron is shown with.
pub const RECENT_VERSIONS: u32 = 5;
