//! Schedule and time zone -> calendar.

use super::{Calendar, CronFields, MISSING, Mistakes, plain, quoted};
use crate::domain::calendar::CalendarError;

const TIMEZONE_DEFAULT: &str = "UTC";

pub(super) fn calendar(name: &str, fields: &CronFields, mistakes: &mut Mistakes) -> Option<Calendar> {
    if fields.schedule.is_none() {
        mistakes.add_with_hint("schedule", MISSING, "five fields, such as \"0 9 * * mon-fri\"");
    }
    let schedule = plain(mistakes, "schedule", &fields.schedule);
    let timezone = match &fields.timezone {
        None => Some(TIMEZONE_DEFAULT),
        some => plain(mistakes, "timezone", some),
    }?;
    // The zone is judged even if there is no schedule to go with it.
    match Calendar::parse(schedule.unwrap_or("0 0 * * *"), timezone, name) {
        Ok(calendar) => schedule.map(|_| calendar),
        Err(error) => {
            add(&error, schedule.unwrap_or_default(), mistakes);
            // The calendar stops at the zone; the schedule may be wrong as well.
            if let (CalendarError::UnknownTimezone { .. }, Some(schedule)) = (&error, schedule)
                && let Err(error) = Calendar::parse(schedule, TIMEZONE_DEFAULT, name)
            {
                add(&error, schedule, mistakes);
            }
            None
        }
    }
}

/// The one place that turns the calendar's complaints into ours.
fn add(error: &CalendarError, schedule: &str, mistakes: &mut Mistakes) {
    match error {
        CalendarError::UnknownTimezone { name, nearest } => {
            let message =
                format!("unknown time zone {}, expected an IANA name such as Europe/Berlin", quoted(name));
            let hint = nearest.as_ref().map(|nearest| format!("did you mean `{nearest}`?"));
            mistakes.add_at("timezone", String::new(), message, hint);
        }
        CalendarError::Expression(error) => {
            let caret = error.caret();
            let hint = error.hint().map(str::to_owned);
            mistakes.add_at("schedule", String::new(), format!("{}\n{caret}", error.message()), hint);
        }
        CalendarError::NeverMatches => mistakes.add("schedule", format!("got {}: {error}", quoted(schedule))),
    }
}
