//! Times as people type them.

use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, civil};

/// Parses an instant: RFC 3339, or a local date with or without a time.
pub(in crate::cli) fn parse_instant(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    zone.to_timestamp(civil_time(text)?).map_err(|error| format!("got `{text}`: {error}"))
}

/// Parses an instant that a calendar names. A local time that a clock change skips means the first instant after the
/// gap, as it does in the calendar.
pub(in crate::cli) fn parse_occurrence(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
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

/// Parses a local date and time. A date alone means its midnight.
fn civil_time(text: &str) -> Result<civil::DateTime, String> {
    text.parse().map_err(|_| {
        format!(
            "got `{text}`, expected a time such as 2026-03-29T02:30:00Z, \"2026-03-29 02:30\" or 2026-03-29"
        )
    })
}

/// Parses an instant, or how long ago it was: `2h`, `7d`.
pub(in crate::cli) fn parse_past(text: &str, zone: &TimeZone, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        let ago = SignedDuration::try_from(ago).unwrap_or(SignedDuration::MAX);
        return Ok(now.saturating_sub(ago).unwrap_or(Timestamp::MIN));
    }
    parse_instant(text, zone).map_err(|message| format!("{message}, or how long ago, such as 2h"))
}

#[cfg(test)]
mod tests;
