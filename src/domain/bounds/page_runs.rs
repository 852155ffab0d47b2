//! What the pages of single runs and webhooks, and what is tried there, may cost.

use std::time::Duration;

/// Bytes of an input, an output or a body that a page shows; the whole of it is a link away.
pub const PAGE_VALUES_BYTES_MAX: usize = 64 << 10;

/// Bytes of JSON that are indented for reading: it is parsed for that.
pub const PAGE_INDENTED_BYTES_MAX: usize = 1 << 20;

/// Bytes of outputs that are compared: 64 KB are parsed within a millisecond.
pub const COMPARED_BYTES_MAX: usize = 64 << 10;

/// Runs of a cron before one that are looked through for the last good one.
pub const GOOD_LOOKED_THROUGH: u32 = 500;

/// Attempts that are looked through for what receivers answered last: those at the webhooks recorded last, of all receivers.
pub const ATTEMPTS_LOOKED_THROUGH: u32 = 1000;

/// Receivers in the table of the page: more than one can look at.
pub const PAGE_RECEIVERS_MAX: usize = 40;

/// How long pages share what is known of receivers: the webhooks of a day are counted for it.
pub const PAGE_RECEIVERS_KEPT_FOR: Duration = Duration::from_secs(10);

/// Bytes of a table that somebody pastes to try it: some thirty crons. It is in the address of the page, which is a part of the head
/// of the request, and up to three times as long there.
pub const TRIED_BYTES_MAX: usize = 16 << 10;

/// Crons of a pasted table of which the next times are shown.
pub const TRIED_CRONS_MAX: usize = 20;

/// Occurrences that are stepped through to count those of a year, and to find the longest gap: some 7 ms. What fires more often
/// is counted for a day, and for a year by that.
pub const TRIED_STEPS_MAX: usize = 5_000;

/// Instants for which it is looked what else fires then: all that are shown.
pub const TRIED_INSTANTS_MAX: usize = 12;

/// Crons that are named for each of them.
pub const TRIED_BESIDE_MAX: u32 = 10;

/// Webhooks that wait and are counted before they are held or released: so many are counted in a few tenths of a second.
pub const WAITING_COUNTED_MAX: u32 = 200_000;

/// Lines of the log on the page of the status.
pub const PAGE_LOG_LINES: usize = 100;

/// Attempts at a webhook that a page shows: the last ones, since a replay begins the schedule again.
pub const PAGE_ATTEMPTS_MAX: usize = 60;
