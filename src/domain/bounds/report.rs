//! What is counted for reports, and how much of it is shown.

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
