//! Expression text -> instants (placeholder with the final signatures, until the calendar lands).

use jiff::Timestamp;

/// The instants that a schedule names in a time zone.
#[derive(Clone, Debug)]
pub struct Calendar {
    expression: String,
    timezone: String,
    zone: jiff::tz::TimeZone,
    every: i64,
}

/// One instant of a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occasion {
    /// When.
    pub at: Timestamp,
}

/// Why a schedule could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// Not an IANA name.
    #[error("unknown time zone `{name}`")]
    UnknownTimezone {
        /// As written.
        name: String,
        /// The nearest known name.
        nearest: Option<String>,
    },
    /// It names no instant at all.
    #[error("this schedule can never match")]
    NeverMatches,
}

impl Calendar {
    /// Reads an expression; `seed` feeds `H`.
    pub fn parse(expression: &str, timezone: &str, _seed: &str) -> Result<Self, CalendarError> {
        let zone = jiff::tz::TimeZone::get(timezone)
            .map_err(|_| CalendarError::UnknownTimezone { name: timezone.into(), nearest: None })?;
        let every = if expression.split_whitespace().count() == 6 { 5 } else { 60 };
        if expression.split_whitespace().count() < 5 {
            return Err(CalendarError::NeverMatches);
        }
        Ok(Self { expression: expression.into(), timezone: timezone.into(), zone, every })
    }

    /// The first instant strictly after `after`.
    pub fn next_after(&self, after: Timestamp) -> Option<Occasion> {
        let second = after.as_second().div_euclid(self.every) * self.every + self.every;
        Timestamp::from_second(second).ok().map(|at| Occasion { at })
    }

    /// As written.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The IANA name.
    pub fn timezone(&self) -> &str {
        &self.timezone
    }

    /// The zone itself.
    pub fn zone(&self) -> &jiff::tz::TimeZone {
        &self.zone
    }

    /// In English.
    pub fn describe(&self) -> String {
        self.expression.clone()
    }
}
