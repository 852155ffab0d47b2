//! From the text of a cron expression to the instants at which it fires.
//!
//! ```text
//! text --parse--> Expression --recurrence--> Recurrence --stepping--> local times --clock_change--> instants
//! ```
//!
//! The dialect is croniter's, because the agent server uses croniter. The only outside thing is the database of time
//! zones, which `jiff` reads and caches.

mod cautions;
mod clock_change;
mod describe;
mod error;
mod field;
mod hash;
mod parse;
mod recurrence;
mod stepping;
mod token;
mod zone;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};

pub use cautions::Caution;
pub use error::{CalendarError, ExpressionError};
pub use zone::find as zone_named;

use recurrence::{Recurrence, TimeKind};
use stepping::Stepper;

/// No schedule names a time before 1970, so every earlier instant is treated as this one. It is two days before,
/// because local times differ from UTC.
const EARLIEST_SECOND: i64 = -2 * 86_400;

/// The last year that calendars name, as croniter's.
pub const LAST_YEAR: i16 = 2099;

/// Most crons share a few schedules, and a parsed one takes some kilobytes.
const CALENDARS_REMEMBERED: usize = 1024;

/// The calendars that were parsed last, by what they were parsed from. One whose zone has other rules by now is not used.
fn remembered() -> MutexGuard<'static, HashMap<String, Calendar>> {
    static REMEMBERED: LazyLock<Mutex<HashMap<String, Calendar>>> = LazyLock::new(Mutex::default);
    REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A schedule in a time zone: an ascending sequence of instants from 1970 to 2099. Cheap to clone.
#[derive(Clone)]
pub struct Calendar {
    inner: Arc<Inner>,
}

struct Inner {
    expression: String,
    timezone: String,
    zone: TimeZone,
    recurrence: Recurrence,
    stepper: Stepper,
    cautions: Vec<Caution>,
}

/// One instant of a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occasion {
    pub at: Timestamp,
    /// Set if a clock change affected the occasion, which may surprise a reader of the schedule.
    pub oddity: Option<Oddity>,
}

/// What a clock change did to an occasion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// A clock change skipped the time that the schedule names; this is the first instant after the gap.
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
    /// Parses an expression and an IANA time zone. The seed, which should be the cron's name, decides the numbers
    /// that `H` becomes.
    pub fn parse(expression: &str, timezone: &str, seed: &str) -> Result<Calendar, CalendarError> {
        // `H`, or a part of a name such as `THU`.
        let seed = if expression.contains(['h', 'H']) { seed } else { "" };
        let key = [expression, timezone, seed].join("\0");
        let known = remembered().get(&key).cloned();
        match known {
            Some(calendar) if zone::find(timezone).is_ok_and(|zone| zone == calendar.inner.zone) => {
                Ok(calendar)
            }
            Some(_) | None => {
                let calendar = Self::parse_anew(expression, timezone, seed)?;
                let mut remembered = remembered();
                if remembered.len() >= CALENDARS_REMEMBERED {
                    remembered.clear();
                }
                remembered.insert(key, calendar.clone());
                Ok(calendar)
            }
        }
    }

    fn parse_anew(expression: &str, timezone: &str, seed: &str) -> Result<Calendar, CalendarError> {
        let parsed = parse::parse(expression).map_err(|error| ExpressionError::new(expression, error))?;
        let zone = zone::find(timezone)?;
        let recurrence = recurrence::resolve(&parsed, seed);
        let stepper = Stepper::new(&recurrence).ok_or(CalendarError::NeverMatches)?;
        let timezone = zone.iana_name().unwrap_or(timezone).to_owned();
        let mut cautions = cautions::cautions(&parsed, &recurrence);
        cautions.extend(zone::caution(&timezone));
        let inner =
            Inner { cautions, expression: expression.to_owned(), timezone, zone, recurrence, stepper };
        let calendar = Calendar { inner: Arc::new(inner) };
        // A wildcard schedule whose every time falls into a gap has local times, but no instant.
        match calendar.next_after(Timestamp::MIN) {
            Some(_) => Ok(calendar),
            None => Err(CalendarError::NeverMatches),
        }
    }

    /// Returns the first occasion strictly after `after`, or `None` after the last year that the schedule names, or
    /// 2099.
    pub fn next_after(&self, after: Timestamp) -> Option<Occasion> {
        let Inner { recurrence, stepper, zone, .. } = &*self.inner;
        let after = after.max(Timestamp::from_second(EARLIEST_SECOND).ok()?);
        match recurrence.time_kind {
            TimeKind::Fixed => clock_change::next_fixed(stepper, zone, after),
            TimeKind::Wildcard => clock_change::next_wildcard(stepper, zone, after),
        }
    }

    /// Returns whether the schedule names exactly this instant.
    pub fn names(&self, at: Timestamp) -> bool {
        let just_before = at.checked_sub(SignedDuration::from_millis(1)).unwrap_or(at);
        self.next_after(just_before).is_some_and(|occasion| occasion.at == at)
    }

    /// Returns the expression as it was given.
    pub fn expression(&self) -> &str {
        &self.inner.expression
    }

    /// Returns the IANA name of the time zone, with its proper capitals.
    pub fn timezone(&self) -> &str {
        &self.inner.timezone
    }

    pub fn zone(&self) -> &TimeZone {
        &self.inner.zone
    }

    /// Returns what the instants follow from besides the expression: it differs if the zone had other rules when the calendar was
    /// parsed, and after an update of this program.
    pub fn rules(&self) -> String {
        zone::rules(&self.inner.zone)
    }

    /// Returns the same for a zone as it is in the database; `None` if it is not there.
    pub fn rules_of_zone(name: &str) -> Option<String> {
        zone::find(name).ok().map(|zone| zone::rules(&zone))
    }

    /// Makes [`Calendar::rules_of_zone`] and [`Calendar::parse`] read the zone files anew.
    pub fn reread_zones() {
        zone::reread();
    }

    /// Returns warnings about what is valid in the expression, but seldom meant.
    pub fn cautions(&self) -> &[Caution] {
        &self.inner.cautions
    }

    /// Returns the schedule in plain English, without its time zone.
    pub fn describe(&self) -> String {
        describe::describe(&self.inner.recurrence)
    }
}

impl std::fmt::Debug for Calendar {
    /// Leaves out the sets of numbers behind the expression, which would fill the screen.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Calendar({:?} in {})", self.expression(), self.timezone())
    }
}
