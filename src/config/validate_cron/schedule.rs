//! The schedule and the time zone of a cron, parsed into a calendar.

use super::mistakes::{Mistakes, plain_text};
use crate::config::errors::{Complaint, quoted};
use crate::config::fields::CronFields;
use crate::domain::calendar::{Calendar, CalendarError};

const TIMEZONE_DEFAULT: &str = "UTC";
/// A schedule that is valid in every zone.
const SCHEDULE_ANY: &str = "0 0 * * *";

pub(super) fn calendar(name: &str, fields: &CronFields, mistakes: &mut Mistakes) -> Option<Calendar> {
    if fields.schedule.is_none() {
        mistakes.add_missing("schedule", "five fields, such as \"0 9 * * mon-fri\"");
    }
    let schedule = plain_text(mistakes, "schedule", &fields.schedule);
    let timezone = match &fields.timezone {
        None => Some(TIMEZONE_DEFAULT),
        some => plain_text(mistakes, "timezone", some),
    }?;
    let together = Calendar::parse(schedule.unwrap_or(SCHEDULE_ANY), timezone, name);
    let Err(error) = together else { return together.ok().filter(|_| schedule.is_some()) };
    // The calendar stops at the first of the two that is wrong; parsing each alone shows whether both are.
    let alone = [schedule.map(|schedule| (schedule, TIMEZONE_DEFAULT)), Some((SCHEDULE_ANY, timezone))];
    let alone = alone.into_iter().flatten();
    let mut errors: Vec<CalendarError> =
        alone.filter_map(|(schedule, timezone)| Calendar::parse(schedule, timezone, name).err()).collect();
    if errors.is_empty() {
        errors.push(error);
    }
    for error in errors {
        add(&error, schedule.unwrap_or_default(), mistakes);
    }
    None
}

/// Turns an error of the calendar into a mistake of the field that it is about.
fn add(error: &CalendarError, schedule: &str, mistakes: &mut Mistakes) {
    match error {
        CalendarError::UnknownTimezone { name, hint } => {
            let message =
                format!("unknown time zone {}, expected an IANA name such as Europe/Berlin", quoted(name));
            mistakes.add_complaint("timezone", "", Complaint { message, hint: hint.clone() });
        }
        CalendarError::Expression(error) => {
            mistakes.add_excerpt("schedule", error.to_string(), error.caret());
        }
        CalendarError::NeverMatches => mistakes.add("schedule", format!("got {}: {error}", quoted(schedule))),
    }
}
