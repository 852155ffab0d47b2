//! The durations, instants and days of a cron.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;

use super::mistakes::{Mistakes, plain_text};
use crate::config::duration::parse_duration;
use crate::config::errors::{Complaint, quoted};
use crate::config::fields::CronFields;
use crate::config::limits::EXCLUDE_MAX;
use crate::domain::cron::DayRange;

pub(super) const CATCHUP_WINDOW_DEFAULT: Duration = Duration::from_secs(24 * 3600);

/// Returns a field's duration, which must not be zero.
pub(super) fn optional_duration(
    mistakes: &mut Mistakes,
    field: &'static str,
    text: &Option<String>,
) -> Option<Duration> {
    let duration = any_duration(mistakes, field, text)?;
    if duration.is_zero() {
        mistakes.add_with_hint(field, "got a duration of zero, expected a longer one", zero_hint(field));
        return None;
    }
    Some(duration)
}

/// Returns the jitter. Zero is the default and means that occurrences are not spread.
pub(super) fn jitter(fields: &CronFields, mistakes: &mut Mistakes) -> Duration {
    any_duration(mistakes, "jitter", &fields.jitter).unwrap_or(Duration::ZERO)
}

fn any_duration(mistakes: &mut Mistakes, field: &'static str, text: &Option<String>) -> Option<Duration> {
    let text = plain_text(mistakes, field, text)?;
    parse_duration(text).map_err(|message| mistakes.add(field, message)).ok()
}

fn zero_hint(field: &str) -> &'static str {
    match field {
        "catchup_window" => "write catchup = \"none\" to catch up on nothing",
        "timeout" => "leave it out to let a run take as long as it wants",
        _ => "leave it out for the default",
    }
}

/// Returns `start_time` and `end_time`.
pub(super) fn window(fields: &CronFields, mistakes: &mut Mistakes) -> (Option<Timestamp>, Option<Timestamp>) {
    let start = instant(mistakes, "start_time", &fields.start_time);
    let end = instant(mistakes, "end_time", &fields.end_time);
    if let (Some(start), Some(end)) = (start, end)
        && end <= start
    {
        mistakes.add("end_time", "not after start_time: this cron would never fire");
    }
    (start, end)
}

fn instant(mistakes: &mut Mistakes, field: &'static str, text: &Option<String>) -> Option<Timestamp> {
    let text = plain_text(mistakes, field, text)?;
    let instant = text.parse::<Timestamp>();
    if instant.is_err() {
        let is_local = text.parse::<jiff::civil::DateTime>().is_ok();
        let expected = "expected a time such as 2027-01-01T00:00:00Z or 2027-01-01T09:00:00+01:00";
        let hint = is_local.then(|| "the offset from UTC is missing: add `Z` or `+01:00`".to_owned());
        let message = format!("got {}, {expected}", quoted(text));
        mistakes.add_complaint(field, "", Complaint { message, hint });
    }
    instant.ok()
}

/// Returns the excluded days, each written `2026-12-25` or `2026-12-24..2027-01-02`.
pub(super) fn exclude(fields: &CronFields, mistakes: &mut Mistakes) -> Vec<DayRange> {
    let written = fields.exclude.as_deref().unwrap_or_default();
    if written.len() > EXCLUDE_MAX {
        mistakes.add("exclude", format!("got {} ranges, expected at most {EXCLUDE_MAX}", written.len()));
        return Vec::new();
    }
    let mut ranges = Vec::with_capacity(written.len());
    for (index, text) in written.iter().enumerate() {
        match day_range(text) {
            Ok(range) => ranges.push(range),
            Err(message) => {
                mistakes.add_complaint("exclude", &format!("/{index}"), Complaint::new(message));
            }
        }
    }
    ranges
}

fn day_range(text: &str) -> Result<DayRange, String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let expected = "expected a day such as 2026-12-25 or a range 2026-12-24..2027-01-02";
    match (day(first.trim()), day(last.trim())) {
        (Some(first), Some(last)) if first <= last => Ok(DayRange { first, last }),
        (Some(_), Some(_)) => Err(format!("got {}, whose last day is before its first", quoted(text))),
        _ => Err(format!("got {}, {expected}", quoted(text))),
    }
}

/// Parses a date with nothing after it. jiff alone would accept a date with a time, too.
fn day(text: &str) -> Option<Date> {
    text.parse().ok().filter(|day: &Date| day.to_string() == text)
}
