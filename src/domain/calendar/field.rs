//! The seven fields of an expression: their order, ranges and names. Order and ranges are those of croniter, which
//! the agent server uses; Quartz puts the seconds first.

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Minute,
    Hour,
    DayOfMonth,
    Month,
    DayOfWeek,
    Second,
    Year,
}

impl Field {
    /// The order in an expression; the last two may be absent.
    pub(super) const ORDER: [Field; 7] = [
        Field::Minute,
        Field::Hour,
        Field::DayOfMonth,
        Field::Month,
        Field::DayOfWeek,
        Field::Second,
        Field::Year,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Field::Minute => "minute",
            Field::Hour => "hour",
            Field::DayOfMonth => "day-of-month",
            Field::Month => "month",
            Field::DayOfWeek => "day-of-week",
            Field::Second => "second",
            Field::Year => "year",
        }
    }

    pub(super) fn min(self) -> u16 {
        match self {
            Field::Minute | Field::Hour | Field::DayOfWeek | Field::Second => 0,
            Field::DayOfMonth | Field::Month => 1,
            Field::Year => 1970,
        }
    }

    /// Returns the greatest number of the field. Sunday is 0, but may be written 7.
    pub(super) fn max(self) -> u16 {
        match self {
            Field::Minute | Field::Second => 59,
            Field::Hour => 23,
            Field::DayOfMonth => 31,
            Field::Month => 12,
            Field::DayOfWeek => 6,
            Field::Year => 2099,
        }
    }

    /// Returns the range that may be written, for messages.
    pub(super) fn allowed(self) -> &'static str {
        match self {
            Field::Minute | Field::Second => "0-59",
            Field::Hour => "0-23",
            Field::DayOfMonth => "1-31",
            Field::Month => "1-12",
            Field::DayOfWeek => "0-7",
            Field::Year => "1970-2099",
        }
    }

    /// Returns the three-letter names, the first of which means [`Field::min`].
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Field::Month => &MONTHS,
            Field::DayOfWeek => &WEEKDAYS,
            Field::Minute | Field::Hour | Field::DayOfMonth | Field::Second | Field::Year => &[],
        }
    }
}
