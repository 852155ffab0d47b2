//! Times as people type them.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::fmt::strtime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::domain::bounds::ASKED_EARLIEST;
use crate::present::times::asked;

/// `monday`, `mon`.
const WEEKDAYS: [&str; 2] = ["%A", "%a"];
/// `07:00:30`, `7:00`, `7am`, `7:30pm`.
const TIMES: [&str; 4] = ["%H:%M:%S", "%H:%M", "%I%p", "%I:%M%p"];

/// Which instant a time without a day means: one of them is always within a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum BareTime {
    /// The last one, `now` included.
    Past,
    /// The first one after `now`.
    Coming,
}

/// Parses an instant: RFC 3339, `now`, or a local day, time, or both, such as `yesterday`, `7am` or `mon 07:00`.
pub(in crate::cli) fn parse_instant(
    text: &str,
    zone: &TimeZone,
    now: Timestamp,
    bare: BareTime,
) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return asked(at, text);
    }
    if text == "now" {
        return Ok(now);
    }
    asked(zone.to_timestamp(civil_time(text, zone, now, bare)?).unwrap_or(Timestamp::MAX), text)
}

/// Parses an instant that a calendar names. A local time that a clock change skips means the first instant after the
/// gap, as it does in the calendar.
pub(in crate::cli) fn parse_occurrence(
    text: &str,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<Timestamp, String> {
    let at = parse_instant(text, zone, now, BareTime::Past)?;
    let Ok(civil) = civil_time(text, zone, now, BareTime::Past) else { return Ok(at) };
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
        // However long ago: there is nothing before that.
        return Ok(now.saturating_sub(ago).unwrap_or(ASKED_EARLIEST).max(ASKED_EARLIEST));
    }
    parse_instant(text, zone, now, BareTime::Past)
        .map_err(|message| format!("{message}, or how long ago, such as 2h"))
}

/// Parses an instant after `now`, or how far ahead it is: `2h`, `7d`. A time without a day is the next one.
pub(in crate::cli) fn parse_coming(text: &str, zone: &TimeZone, now: Timestamp) -> Result<Timestamp, String> {
    let at = match humantime::parse_duration(text) {
        Ok(ahead) => {
            let ahead = SignedDuration::try_from(ahead).unwrap_or(SignedDuration::MAX);
            asked(now.saturating_add(ahead).unwrap_or(Timestamp::MAX), text)?
        }
        Err(_) => coming_instant(text, zone, now)
            .map_err(|message| format!("{message}, or in how long, such as 2h"))?,
    };
    match at > now {
        true => Ok(at),
        false => Err(format!("{} has passed", zone.to_datetime(at))),
    }
}

/// Parses an instant. A weekday that has passed is the next one of that name.
fn coming_instant(text: &str, zone: &TimeZone, now: Timestamp) -> Result<Timestamp, String> {
    let at = parse_instant(text, zone, now, BareTime::Coming)?;
    let first = text.trim().to_ascii_lowercase();
    match weekday(first.split(' ').next().unwrap_or_default()) {
        Some(_) if at <= now => {
            let next = civil_time(text, zone, now, BareTime::Coming)?.saturating_add(7.days());
            asked(zone.to_timestamp(next).unwrap_or(Timestamp::MAX), text)
        }
        Some(_) | None => Ok(at),
    }
}

/// Parses the end of a period that begins at `since`, if it has a beginning. A time without a day that is not after that, as
/// in 23:00 to 07:00 before seven o'clock, means the first one after it.
pub(in crate::cli) fn parse_end(
    text: &str,
    since: Option<Timestamp>,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<Timestamp, String> {
    let end = parse_past(text, zone, now)?;
    match since.filter(|since| end <= *since) {
        Some(since) if time(text.trim()).is_some() => parse_instant(text, zone, since, BareTime::Coming),
        Some(_) | None => Ok(end),
    }
}

/// Parses a local day and time. A day alone means its midnight.
fn civil_time(text: &str, zone: &TimeZone, now: Timestamp, bare: BareTime) -> Result<DateTime, String> {
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
            let day = match bare {
                BareTime::Past if today > now => now.date().yesterday(),
                BareTime::Coming if today <= now => now.date().tomorrow(),
                BareTime::Past | BareTime::Coming => Ok(now.date()),
            };
            Some(day.ok()?.to_datetime(time))
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
        "today" => Some(today),
        "yesterday" => today.yesterday().ok(),
        "tomorrow" => today.tomorrow().ok(),
        _ => match weekday(word) {
            Some(weekday) => today.tomorrow().ok()?.nth_weekday(-1, weekday).ok(),
            None => word.parse().ok(),
        },
    }
}

fn weekday(word: &str) -> Option<Weekday> {
    WEEKDAYS.iter().find_map(|format| strtime::parse(format, word).ok()?.weekday())
}

fn time(text: &str) -> Option<Time> {
    let text = text.replace(' ', "").to_ascii_lowercase();
    TIMES.iter().find_map(|format| Time::strptime(format, &text).ok())
}

#[cfg(test)]
mod tests;
