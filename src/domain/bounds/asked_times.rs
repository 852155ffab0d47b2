//! Which times people may ask about.

use jiff::Timestamp;

/// The instants that a question or an order may name: those of calendars, which end with 2099, and a day or a year beyond them,
/// because the same day begins elsewhere at another time. What is further away is a mistake, and no calendar shows it well.
pub const ASKED_EARLIEST: Timestamp = Timestamp::constant(-86_400, 0);
pub const ASKED_LATEST: Timestamp = Timestamp::constant(4_133_980_800, 0);
