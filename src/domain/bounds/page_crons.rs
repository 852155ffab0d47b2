//! What the pages of crons draw.

use jiff::SignedDuration;

/// Runs and records of a cron that its lane draws: each is a link, and a page of more than three thousand elements is slow.
pub const LANE_MARKS_MAX: u32 = 150;

/// Occurrences to come that it draws.
pub const LANE_COMING_MAX: usize = 100;

/// Outages that it shades.
pub const LANE_OUTAGES_MAX: u32 = 100;

/// So many occurrences fit into the time that the lane of a cron shows unless the reader asks for another one.
pub const LANE_OCCURRENCES_WANTED: i32 = 24;

/// The longest time that a lane shows: two years.
pub const LANE_SPAN_MAX: SignedDuration = SignedDuration::from_hours(2 * 366 * 24);

/// Days that the year of a cron has.
pub const YEAR_DAYS: i64 = 364;
