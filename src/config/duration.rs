//! Durations as they are written in a configuration: `90s`, `5m`, `1h30m`, `7d`, and for how long something is kept: `90d`,
//! `1y`, `forever`.

use std::time::Duration;

use super::errors::quoted;
use super::limits::{DURATION_MAX, DURATION_MIN};
use crate::domain::bounds::{KEEP_MAX, KEEP_MIN};
use crate::domain::retention::Keep;

/// Parses a duration: zero, or one within the limits.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let Ok(duration) = humantime::parse_duration(text) else {
        return Err(format!("got {}, expected a duration such as 90s, 5m, 1h30m or 7d", quoted(text)));
    };
    if !duration.is_zero() && !(DURATION_MIN..=DURATION_MAX).contains(&duration) {
        return Err(format!("got {}, expected a duration from 1ms to 366d", quoted(text)));
    }
    Ok(duration)
}

/// Whether something may be kept for no time at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeepNothing {
    Allowed,
    Refused,
}

/// Parses how long something is kept.
pub(super) fn parse_keep(text: &str, nothing: KeepNothing) -> Result<Keep, String> {
    if text == Keep::FOREVER {
        return Ok(Keep::Forever);
    }
    let Ok(length) = humantime::parse_duration(text) else {
        return Err(format!("got {}, expected a duration such as 14d or 1y, or \"forever\"", quoted(text)));
    };
    match (length.is_zero(), nothing) {
        (true, KeepNothing::Allowed) => Ok(Keep::For(length)),
        (true, KeepNothing::Refused) => Err("got a duration of zero, expected 1h or more".to_owned()),
        (false, _) if (KEEP_MIN..=KEEP_MAX).contains(&length) => Ok(Keep::For(length)),
        (false, _) => Err(format!("got {}, expected a duration from 1h to 100y", quoted(text))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_bounded() {
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("0s"), Ok(Duration::ZERO));
        for text in ["", "5", "-5s", "1e308s", "NaN", "5 parsecs", "1us", "367d", "99999999999999999999s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_kept_is_kept_for_a_while_or_for_ever() {
        use KeepNothing::{Allowed, Refused};
        let hours = |hours: u64| Ok(Keep::For(Duration::from_secs(hours * 3600)));
        for (text, nothing, expected) in [
            ("90d", Refused, hours(90 * 24)),
            ("2w", Refused, hours(14 * 24)),
            ("1h", Refused, hours(1)),
            ("forever", Refused, Ok(Keep::Forever)),
            ("0", Allowed, hours(0)),
            ("0s", Allowed, hours(0)),
        ] {
            assert_eq!(parse_keep(text, nothing), expected, "{text}");
        }
        let year = parse_keep("1y", Refused).unwrap().length().unwrap();
        assert!((365..=366).contains(&(year.as_secs() / (24 * 3600))));
        for text in ["", "90", "0", "0d", "59m", "101y", "ever", "Forever", "99999999999999999999y"] {
            assert!(parse_keep(text, Refused).is_err(), "{text}");
        }
        for text in ["1m", "-1d"] {
            assert!(parse_keep(text, Allowed).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_bounded_duration_or_refused(text in "([0-9]{1,20}(ns|us|ms|s|m|h|d|w|y)?){0,4}|\\PC*") {
            if let Ok(duration) = parse_duration(&text) {
                prop_assert!(duration <= DURATION_MAX);
            }
        }
    }
}
