//! How many runs may wait to start because somebody asked for them.

use std::time::Duration;

/// Instants in one backfill, whatever the request allows: a request for more is a mistake.
pub const BACKFILL_INSTANTS_MAX: usize = 10_000;

/// Triggered runs of one cron that wait to start: somebody who triggers a cron by hand stays far below this, and a
/// program that does not will not stop by itself.
pub const TRIGGERED_WAITING_MAX: usize = 100;

/// Backfilled runs of one cron that wait to start: one backfill may have as many.
pub const BACKFILLED_WAITING_MAX: usize = BACKFILL_INSTANTS_MAX;

/// Runs of all crons that clients made that may wait to start when a client asks for more: one for each such cron.
pub const API_RUNS_WAITING_MAX: usize = 20_000;

/// How long a client should wait when too many runs wait to start: about as long as a short run takes.
pub const TOO_MANY_WAITING_RETRY_AFTER: Duration = Duration::from_secs(10);
