//! Times and durations, as people write and read them.

use std::time::Duration;

use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, civil};

/// An instant: RFC 3339, or a local date with or without a time.
pub(super) fn parse_instant(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    zone.to_timestamp(civil_time(text)?).map_err(|error| format!("got `{text}`: {error}"))
}

/// The same for a time that a calendar names: one that a clock change skips stands for the first instant after the gap,
/// as it does in the calendar.
pub(super) fn parse_occurrence(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
    let at = parse_instant(text, zone)?;
    if text.parse::<Timestamp>().is_ok() {
        return Ok(at);
    }
    match zone.to_ambiguous_timestamp(civil_time(text)?).offset() {
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => return Ok(at),
        AmbiguousOffset::Gap { .. } => {}
    }
    let just_before = at.saturating_sub(SignedDuration::from_hours(12)).unwrap_or(Timestamp::MIN);
    let change = zone.following(just_before).next().map(|change| change.timestamp());
    Ok(change.filter(|change| *change <= at).unwrap_or(at))
}

/// A date without a time means its midnight.
fn civil_time(text: &str) -> Result<civil::DateTime, String> {
    text.parse().map_err(|_| {
        format!(
            "got `{text}`, expected a time such as 2026-03-29T02:30:00Z, \"2026-03-29 02:30\" or 2026-03-29"
        )
    })
}

/// An instant, or how long ago it was: `2h`, `7d`.
pub(super) fn parse_past(text: &str, zone: &TimeZone, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        let ago = SignedDuration::try_from(ago).unwrap_or(SignedDuration::MAX);
        return Ok(now.saturating_sub(ago).unwrap_or(Timestamp::MIN));
    }
    parse_instant(text, zone).map_err(|message| format!("{message}, or a duration such as 2h ago"))
}

/// `Europe/Berlin`; a machine without a zone goes by UTC.
pub(super) fn zone_name(zone: &TimeZone) -> String {
    let unnamed = if zone.is_unknown() { "UTC" } else { "local" };
    let name = zone.iana_name().unwrap_or(unnamed);
    name.strip_prefix("Etc/").unwrap_or(name).to_owned()
}

/// `2026-03-29 09:00:00`, in this zone.
pub(super) fn local(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `Mon 2026-03-29 09:00:00 CEST`, for schedules, where the day of the week and the clock change matter.
pub(super) fn local_with_day(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned_datetime(zone.clone()).strftime("%a %Y-%m-%d %H:%M:%S %Z").to_string()
}

/// `2026-03-29 09:00:00.004`, for timelines.
pub(super) fn local_to_the_millisecond(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S.%3f").to_string()
}

/// `09:00:00.004`, for what happens while one looks.
pub(super) fn time_of_day(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned_datetime(zone.clone()).strftime("%H:%M:%S.%3f").to_string()
}

/// RFC 3339 with the offset of this zone.
pub(super) fn rfc3339(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// `in 3 min`, `2 h ago`, `now`.
pub(super) fn relative(at: Timestamp, now: Timestamp) -> String {
    let away = at.duration_since(now);
    let rounded = rounded(away.unsigned_abs());
    match (away.is_negative(), rounded) {
        (_, None) => "now".to_owned(),
        (true, Some(text)) => format!("{text} ago"),
        (false, Some(text)) => format!("in {text}"),
    }
}

/// To the nearest of one unit; what is under a second away is now.
fn rounded(away: Duration) -> Option<String> {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let seconds = away.as_secs();
    let nearest = |unit: u64| (seconds + unit / 2) / unit;
    // Up to one and a half of a unit the smaller unit says more.
    Some(match seconds {
        0 => return None,
        1..90 => format!("{seconds} s"),
        90..5400 => format!("{} min", nearest(MINUTE)),
        5400..129_600 => format!("{} h", nearest(HOUR)),
        129_600..63_072_000 => format!("{} d", nearest(DAY)),
        _ => format!("{} years", nearest(365 * DAY)),
    })
}

/// How long something took: `4 ms`, `1.2 s`, `3 min 20 s`, `2 h 5 min`.
pub(super) fn took(duration: SignedDuration) -> String {
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
