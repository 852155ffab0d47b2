//! From the text of a cron expression to the instants at which it fires.
//!
//! ```text
//! text --parse--> Expression --meaning--> Meaning --stepping--> times on the wall --clock_change--> instants
//! ```
//!
//! The dialect is croniter's, as the server reads it. The only outside thing is the database of time zones, which
//! `jiff` reads and caches.

mod cautions;
mod clock_change;
mod describe;
mod error;
mod field;
mod hash;
mod meaning;
mod parse;
mod stepping;
mod word;
mod zone;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};

pub use cautions::Caution;
pub use error::{CalendarError, ExpressionError};

use meaning::{Meaning, Nature};
use stepping::Stepping;

/// No schedule names a time before 1970, so an earlier instant is as good as this one. Two days before: zones differ.
const EARLIEST_SECOND: i64 = -2 * 86_400;

/// A schedule in a time zone: an ascending sequence of instants from 1970 to 2099. Cheap to clone.
#[derive(Clone)]
pub struct Calendar {
    inner: Arc<Inner>,
}

struct Inner {
    expression: String,
    timezone: String,
    zone: TimeZone,
    meaning: Meaning,
    stepping: Stepping,
    cautions: Vec<Caution>,
}

/// One instant of a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occasion {
    /// When it is due.
    pub at: Timestamp,
    /// Why a reader of the schedule might be surprised.
    pub oddity: Option<Oddity>,
}

/// What a clock change did to an occasion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// A clock change skipped what the schedule names; this is the first instant after the gap.
    AfterGap {
        /// The earliest skipped time that the schedule names.
        named: civil::DateTime,
    },
    /// The local time occurs twice; this is the first time.
    FirstOfTwoPasses,
    /// The local time occurs twice; this is the second time.
    SecondOfTwoPasses,
}

impl Calendar {
    /// `timezone` is an IANA name; `seed` feeds `H` and should be the cron's name.
    pub fn parse(expression: &str, timezone: &str, seed: &str) -> Result<Calendar, CalendarError> {
        let typed = parse::parse(expression).map_err(|fault| ExpressionError::new(expression, fault))?;
        let zone = zone::find(timezone)?;
        let meaning = meaning::settle(&typed, seed);
        let stepping = Stepping::new(&meaning).ok_or(CalendarError::NeverMatches)?;
        let inner = Inner {
            cautions: cautions::cautions(&typed, &meaning),
            expression: expression.to_owned(),
            timezone: zone.iana_name().unwrap_or(timezone).to_owned(),
            zone,
            meaning,
            stepping,
        };
        let calendar = Calendar { inner: Arc::new(inner) };
        // A wild cron whose every time falls into gaps has times on the wall, but no instant.
        match calendar.next_after(Timestamp::MIN) {
            Some(_) => Ok(calendar),
            None => Err(CalendarError::NeverMatches),
        }
    }

    /// The first occasion strictly after an instant; nothing after 2099, or after the last year that is named.
    pub fn next_after(&self, after: Timestamp) -> Option<Occasion> {
        let Inner { meaning, stepping, zone, .. } = &*self.inner;
        let after = after.max(Timestamp::from_second(EARLIEST_SECOND).ok()?);
        match meaning.nature {
            Nature::Fixed => clock_change::next_fixed(stepping, zone, after),
            Nature::Wild => clock_change::next_wild(stepping, zone, after),
        }
    }

    /// As it was given.
    pub fn expression(&self) -> &str {
        &self.inner.expression
    }

    /// The IANA name, with its proper capitals.
    pub fn timezone(&self) -> &str {
        &self.inner.timezone
    }

    /// The rules of the time zone.
    pub fn zone(&self) -> &TimeZone {
        &self.inner.zone
    }

    /// What in the expression is right but seldom meant; for `check`.
    pub fn cautions(&self) -> &[Caution] {
        &self.inner.cautions
    }

    /// The schedule in plain English, without its time zone.
    pub fn describe(&self) -> String {
        describe::describe(&self.inner.meaning)
    }
}

impl std::fmt::Debug for Calendar {
    /// The sets of numbers behind the expression would fill the screen.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Calendar({:?} in {})", self.expression(), self.timezone())
    }
}
