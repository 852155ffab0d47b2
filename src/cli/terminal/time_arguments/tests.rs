//! Times as people type them.

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

#[test]
fn instants_are_read_as_people_type_them() {
    let cases = [
        ("2026-03-28T00:00Z", "2026-03-28T00:00:00Z"),
        ("2026-03-28T02:30:00+01:00", "2026-03-28T01:30:00Z"),
        ("2026-03-28 02:30", "2026-03-28T01:30:00Z"),
        ("2026-03-28", "2026-03-27T23:00:00Z"),
    ];
    for (written, expected) in cases {
        assert_eq!(parse_instant(written, &berlin()), Ok(at(expected)), "{written}");
    }
    let message = parse_instant("soon", &berlin()).unwrap_err();
    assert!(message.contains("`soon`") && message.contains("expected a time"), "{message}");
}

#[test]
fn the_past_may_be_a_duration() {
    let now = at("2026-06-01T12:00:00Z");
    assert_eq!(parse_past("2h", &berlin(), now), Ok(at("2026-06-01T10:00:00Z")));
    assert_eq!(parse_past("7d", &berlin(), now), Ok(at("2026-05-25T12:00:00Z")));
    assert_eq!(parse_past("2026-06-01T11:00:00Z", &berlin(), now), Ok(at("2026-06-01T11:00:00Z")));
    assert!(parse_past("yesterday", &berlin(), now).unwrap_err().contains("2h"));
}

#[test]
fn a_time_that_the_clock_skips_means_the_end_of_the_gap() {
    let cases = [
        ("2026-03-29 02:30", "2026-03-29T01:00:00Z"),
        ("2026-03-29 02:00", "2026-03-29T01:00:00Z"),
        ("2026-03-29 03:30", "2026-03-29T01:30:00Z"),
        ("2026-10-25 02:30", "2026-10-25T00:30:00Z"),
        ("2026-06-01 09:00", "2026-06-01T07:00:00Z"),
        ("2026-03-29T02:30:00Z", "2026-03-29T02:30:00Z"),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_occurrence(text, &berlin()), Ok(at(expected)), "{text}");
    }
    assert!(parse_occurrence("tomorrow", &berlin()).is_err());
}
