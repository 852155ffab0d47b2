//! Durations as they are written in a configuration: `90s`, `5m`, `1h30m`, `7d`.

use std::time::Duration;

use super::errors::quoted;
use super::limits::{DURATION_MAX, DURATION_MIN};

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

    proptest! {
        #[test]
        fn any_text_is_a_bounded_duration_or_refused(text in "([0-9]{1,20}(ns|us|ms|s|m|h|d|w|y)?){0,4}|\\PC*") {
            if let Ok(duration) = parse_duration(&text) {
                prop_assert!(duration <= DURATION_MAX);
            }
        }
    }
}
