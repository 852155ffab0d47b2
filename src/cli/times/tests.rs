//! Times as people write and read them.

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

#[test]
fn relative_times_are_rounded_to_one_unit() {
    let now = at("2026-06-01T12:00:00Z");
    let cases = [
        ("2026-06-01T12:00:00Z", "now"),
        ("2026-06-01T12:00:00.900Z", "now"),
        ("2026-06-01T12:00:05Z", "in 5 s"),
        ("2026-06-01T12:01:29Z", "in 89 s"),
        ("2026-06-01T12:02:40Z", "in 3 min"),
        ("2026-06-01T10:01:00Z", "2 h ago"),
        ("2026-06-01T13:29:59Z", "in 90 min"),
        ("2026-06-03T12:00:00Z", "in 2 d"),
        ("2025-06-01T12:00:00Z", "365 d ago"),
        ("2036-06-01T12:00:00Z", "in 10 years"),
    ];
    for (then, expected) in cases {
        assert_eq!(relative(at(then), now), expected, "{then}");
    }
}

#[test]
fn durations_say_as_much_as_matters() {
    let cases = [
        (0, "0 ms"),
        (4, "4 ms"),
        (-12, "-12 ms"),
        (1_250, "1.2 s"),
        (59_999, "59.9 s"),
        (200_000, "3 min 20 s"),
        (7_500_000, "2 h 5 min"),
    ];
    for (milliseconds, expected) in cases {
        assert_eq!(took(SignedDuration::from_millis(milliseconds)), expected);
    }
}

#[test]
fn instants_are_read_as_people_write_them() {
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
fn rfc3339_has_the_offset_of_the_zone() {
    assert_eq!(rfc3339(at("2026-06-01T12:00:00Z"), &berlin()), "2026-06-01T14:00:00+02:00");
}

#[test]
fn a_time_that_the_clock_skips_stands_for_the_end_of_the_gap() {
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

#[test]
fn a_zone_goes_by_its_name() {
    assert_eq!(zone_name(&berlin()), "Europe/Berlin");
    assert_eq!(zone_name(&TimeZone::UTC), "UTC");
    assert_eq!(zone_name(&TimeZone::get("Etc/UTC").unwrap()), "UTC");
    assert_eq!(zone_name(&TimeZone::unknown()), "UTC");
}
