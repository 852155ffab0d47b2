//! Times as people read them.

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
fn rfc3339_has_the_offset_of_the_zone() {
    assert_eq!(rfc3339(at("2026-06-01T12:00:00Z"), &berlin()), "2026-06-01T14:00:00+02:00");
}

#[test]
fn a_zone_has_its_name() {
    assert_eq!(zone_name(&berlin()), "Europe/Berlin");
    assert_eq!(zone_name(&TimeZone::UTC), "UTC");
    assert_eq!(zone_name(&TimeZone::get("Etc/UTC").unwrap()), "UTC");
    assert_eq!(zone_name(&TimeZone::unknown()), "UTC");
}
