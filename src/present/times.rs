//! Times and durations as people read them.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::domain::bounds::{ASKED_EARLIEST, ASKED_LATEST};

/// Returns the instant if it is one that people may ask about. `text` is how it was written.
///
/// # Errors
/// What was got and what is expected.
pub fn asked(at: Timestamp, text: &str) -> Result<Timestamp, String> {
    match (ASKED_EARLIEST..ASKED_LATEST).contains(&at) {
        true => Ok(at),
        false => Err(format!("got `{text}`, expected a time in the years 1970 to 2100")),
    }
}

/// Returns the name of a zone: `Europe/Berlin`. A machine without a zone uses UTC.
pub fn zone_name(zone: &TimeZone) -> String {
    let unnamed = if zone.is_unknown() { "UTC" } else { "local" };
    let name = zone.iana_name().unwrap_or(unnamed);
    name.strip_prefix("Etc/").unwrap_or(name).to_owned()
}

/// Returns `2026-03-29 09:00:00`, in this zone.
pub fn local(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Returns `Sun 2026-03-29 09:00:00 CEST`, for schedules, where the day of the week and clock changes matter.
pub fn local_with_day(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned_datetime(zone.clone()).strftime("%a %Y-%m-%d %H:%M:%S %Z").to_string()
}

/// Returns `Sun 2026-03-29 07:00:00 UTC (Sun 09:00:00 CEST)`: the time of the reader and, if clocks differ there, of the cron.
pub fn local_to_both(at: Timestamp, reader: &TimeZone, cron: &TimeZone) -> String {
    let local = local_with_day(at, reader);
    let there = |zone: &TimeZone| at.to_zoned_datetime(zone.clone()).strftime("%a %H:%M:%S %Z").to_string();
    if there(reader) == there(cron) { local } else { format!("{local} ({})", there(cron)) }
}

/// Returns the time of day, with the date unless that is today's: `09:00`, `09:00:05`, `Sun 2026-03-29 09:00`.
pub fn short(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (at, today) = (at.to_zoned_datetime(zone.clone()), now.to_zoned_datetime(zone.clone()).date());
    let format = match (at.date() == today, at.second()) {
        (true, 0) => "%H:%M",
        (true, _) => "%H:%M:%S",
        (false, _) => "%a %Y-%m-%d %H:%M",
    };
    at.strftime(format).to_string()
}

/// Returns `2026-03-29 09:00:00.004`, for timelines.
pub fn local_to_the_millisecond(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S.%3f").to_string()
}

/// Returns `09:00:00.004`, for events shown as they happen.
pub fn time_of_day(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned_datetime(zone.clone()).strftime("%H:%M:%S.%3f").to_string()
}

/// Returns the time in RFC 3339 with the offset of this zone.
pub fn rfc3339(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// Returns how far away an instant is: `in 3 min`, `2 h ago`, `now`.
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    let away = at.duration_since(now);
    let rounded = rounded(away.unsigned_abs());
    match (away.is_negative(), rounded) {
        (_, None) => "now".to_owned(),
        (true, Some(text)) => format!("{text} ago"),
        (false, Some(text)) => format!("in {text}"),
    }
}

/// Rounds to one unit. `None` means less than a second.
fn rounded(away: Duration) -> Option<String> {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let seconds = away.as_secs();
    let nearest = |unit: u64| (seconds + unit / 2) / unit;
    // Up to one and a half units, the next smaller unit is more precise.
    Some(match seconds {
        0 => return None,
        1..90 => format!("{seconds} s"),
        90..5400 => format!("{} min", nearest(MINUTE)),
        5400..129_600 => format!("{} h", nearest(HOUR)),
        129_600..63_072_000 => format!("{} d", nearest(DAY)),
        _ => format!("{} years", nearest(365 * DAY)),
    })
}

/// Returns a duration with its two largest units: `4 ms`, `1.2 s`, `3 min 20 s`, `2 h 5 min`.
pub fn took(duration: SignedDuration) -> String {
    let sign = if duration.is_negative() { "-" } else { "" };
    let duration = duration.unsigned_abs();
    let (seconds, milliseconds) = (duration.as_secs(), duration.subsec_millis());
    match seconds {
        0 => format!("{sign}{milliseconds} ms"),
        1..60 => format!("{sign}{seconds}.{} s", milliseconds / 100),
        60..3600 => format!("{sign}{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{sign}{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests;
