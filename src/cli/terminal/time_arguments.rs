//! Times as people type them.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

/// Parses an instant: RFC 3339, `now`, or a local day, time, or both, such as `yesterday`, `7am` or `mon 07:00`.
pub(in crate::cli) fn parse_instant(
    text: &str,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    if text == "now" {
        return Ok(now);
    }
    zone.to_timestamp(civil_time(text, zone, now)?).map_err(|error| format!("got `{text}`: {error}"))
}

/// Parses an instant that a calendar names. A local time that a clock change skips means the first instant after the
/// gap, as it does in the calendar.
pub(in crate::cli) fn parse_occurrence(
    text: &str,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<Timestamp, String> {
    let at = parse_instant(text, zone, now)?;
    let Ok(civil) = civil_time(text, zone, now) else { return Ok(at) };
    if text.parse::<Timestamp>().is_ok() {
        return Ok(at);
    }
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => return Ok(at),
        AmbiguousOffset::Gap { .. } => {}
    }
    let just_before = at.saturating_sub(SignedDuration::from_hours(12)).unwrap_or(Timestamp::MIN);
    let change = zone.following(just_before).next().map(|change| change.timestamp());
    Ok(change.filter(|change| *change <= at).unwrap_or(at))
}

/// Parses an instant, or how long ago it was: `2h`, `7d`.
pub(in crate::cli) fn parse_past(text: &str, zone: &TimeZone, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        let ago = SignedDuration::try_from(ago).unwrap_or(SignedDuration::MAX);
        return Ok(now.saturating_sub(ago).unwrap_or(Timestamp::MIN));
    }
    parse_instant(text, zone, now).map_err(|message| format!("{message}, or how long ago, such as 2h"))
}

/// Parses a local day and time. A day alone means its midnight, and a time alone the last one that has passed.
fn civil_time(text: &str, zone: &TimeZone, now: Timestamp) -> Result<DateTime, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let now = zone.to_datetime(now);
    let words = text.to_ascii_lowercase();
    let (first, rest) = words.trim().split_once(' ').unwrap_or((words.trim(), ""));
    let found = match (day(first, now.date()), rest.trim()) {
        (Some(day), "") => Some(day.to_datetime(Time::midnight())),
        (Some(day), rest) => time(rest).map(|time| day.to_datetime(time)),
        (None, _) => time(words.trim()).and_then(|time| {
            let today = now.date().to_datetime(time);
            if today <= now { Some(today) } else { Some(now.date().yesterday().ok()?.to_datetime(time)) }
        }),
    };
    found.ok_or_else(|| {
        format!(
            "got `{text}`, expected a time such as 2026-03-29T02:30:00Z, \"2026-03-29 02:30\", 2026-03-29, today, \
             yesterday, monday, 07:00, 7am or \"mon 7am\""
        )
    })
}

/// Parses a day. A weekday is the last one of that name, today included.
fn day(word: &str, today: Date) -> Option<Date> {
    match word {
        "today" => return Some(today),
        "yesterday" => return today.yesterday().ok(),
        "tomorrow" => return today.tomorrow().ok(),
        _ => {}
    }
    let weekday = WEEKDAYS.iter().find(|(name, _)| *name == word || &name[..3] == word);
    match weekday {
        Some((_, weekday)) if today.weekday() == *weekday => Some(today),
        Some((_, weekday)) => today.nth_weekday(-1, *weekday).ok(),
        None => word.parse().ok(),
    }
}

/// Parses `07:00`, `7:00:30`, `7am` or `7:30pm`.
fn time(text: &str) -> Option<Time> {
    let (digits, noon) = match (text.strip_suffix("am"), text.strip_suffix("pm")) {
        (Some(digits), _) => (digits, Some(0)),
        (None, Some(digits)) => (digits, Some(12)),
        (None, None) => (text, None),
    };
    let parts: Option<Vec<i8>> = digits.trim().split(':').map(|part| part.parse().ok()).collect();
    let (hour, minute, second) = match (parts?.as_slice(), noon) {
        ([hour], Some(_)) => (*hour, 0, 0),
        ([hour, minute], _) => (*hour, *minute, 0),
        ([hour, minute, second], _) => (*hour, *minute, *second),
        (_, _) => return None,
    };
    let hour = match noon {
        Some(noon) if (1..=12).contains(&hour) => hour % 12 + noon,
        Some(_) => return None,
        None => hour,
    };
    Time::new(hour, minute, second, 0).ok()
}

#[cfg(test)]
mod tests;
