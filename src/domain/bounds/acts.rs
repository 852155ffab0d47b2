//! How many acts are kept, and shown.

/// Acts in the store: those of years of a person, and of days of a client that makes a cron every second.
pub const ACTS_KEPT: i64 = 100_000;

/// Acts that one cron or one run is shown with: the latest tell what somebody did to it, and `/v1/acts` has the others.
pub const ACTS_SHOWN: u32 = 10;

/// Pauses of all crons in the store: those that are over matter only to crons that no daemon has planned since.
pub const PAUSES_OF_ALL_KEPT: u32 = 50;

/// Acts between the rows of one listing of runs: more than a person does to a cron in a year.
pub const ACTS_BESIDE_RUNS_MAX: u32 = 500;
