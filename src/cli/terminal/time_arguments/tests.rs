//! Times as people type them.

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

/// A Monday, 14:00 in Berlin.
fn now() -> Timestamp {
    at("2026-06-01T12:00:00Z")
}

#[test]
fn instants_are_read_as_people_type_them() {
    let cases = [
        ("2026-03-28T00:00Z", "2026-03-28T00:00:00Z"),
        ("2026-03-28T02:30:00+01:00", "2026-03-28T01:30:00Z"),
        ("2026-03-28 02:30", "2026-03-28T01:30:00Z"),
        ("2026-03-28", "2026-03-27T23:00:00Z"),
        ("now", "2026-06-01T12:00:00Z"),
        ("today", "2026-05-31T22:00:00Z"),
        ("yesterday", "2026-05-30T22:00:00Z"),
        ("Yesterday 7am", "2026-05-31T05:00:00Z"),
        ("tomorrow 09:00", "2026-06-02T07:00:00Z"),
        ("07:00", "2026-06-01T05:00:00Z"),
        ("7:00:30", "2026-06-01T05:00:30Z"),
        ("14:00", "2026-06-01T12:00:00Z"),
        ("14:01", "2026-05-31T12:01:00Z"),
        ("12am", "2026-05-31T22:00:00Z"),
        ("12:30 pm", "2026-06-01T10:30:00Z"),
        ("monday", "2026-05-31T22:00:00Z"),
        ("tue", "2026-05-25T22:00:00Z"),
        ("fri 11:30pm", "2026-05-29T21:30:00Z"),
        ("2026-03-28 7pm", "2026-03-28T18:00:00Z"),
    ];
    for (written, expected) in cases {
        assert_eq!(parse_instant(written, &berlin(), now(), BareTime::Past), Ok(at(expected)), "{written}");
    }
    for nonsense in ["soon", "7", "13pm", "0am", "25:00", "07:00 monday", "mon tue", "", "monda", "1:2:3:4"] {
        let message = parse_instant(nonsense, &berlin(), now(), BareTime::Past).unwrap_err();
        assert!(message.contains(&format!("`{nonsense}`, expected a time")), "{message}");
    }
}

#[test]
fn a_time_far_from_every_calendar_is_a_mistake() {
    for text in [
        "9999-01-01",
        "9999-12-01T00:00:00Z",
        "-009998-01-02T00:00:00Z",
        "-009998-01-02",
        "1969-01-01",
        "2101-01-02",
    ] {
        let expected = Err(format!("got `{text}`, expected a time in the years 1970 to 2100"));
        assert_eq!(parse_instant(text, &berlin(), now(), BareTime::Past), expected);
    }
    for text in ["1970-01-01", "2100-12-31"] {
        assert!(parse_instant(text, &berlin(), now(), BareTime::Past).is_ok(), "{text}");
    }
    assert_eq!(parse_past("9999y", &berlin(), now()), Ok(ASKED_EARLIEST));
    let message = parse_coming("9999y", &berlin(), now()).unwrap_err();
    assert!(message.contains("the years 1970 to 2100"), "{message}");
}

#[test]
fn the_past_may_be_a_duration() {
    assert_eq!(parse_past("2h", &berlin(), now()), Ok(at("2026-06-01T10:00:00Z")));
    assert_eq!(parse_past("7d", &berlin(), now()), Ok(at("2026-05-25T12:00:00Z")));
    assert_eq!(parse_past("2026-06-01T11:00:00Z", &berlin(), now()), Ok(at("2026-06-01T11:00:00Z")));
    assert!(parse_past("soon", &berlin(), now()).unwrap_err().contains("2h"));
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
        assert_eq!(parse_occurrence(text, &berlin(), now()), Ok(at(expected)), "{text}");
    }
    assert!(parse_occurrence("soon", &berlin(), now()).is_err());
}

#[test]
fn a_time_without_a_day_is_the_last_one_or_the_next_one() {
    let cases = [
        ("07:00", "2026-06-01T05:00:00Z", "2026-06-02T05:00:00Z"),
        ("14:00", "2026-06-01T12:00:00Z", "2026-06-02T12:00:00Z"),
        ("14:01", "2026-05-31T12:01:00Z", "2026-06-01T12:01:00Z"),
        ("11 PM", "2026-05-31T21:00:00Z", "2026-06-01T21:00:00Z"),
        // Days mean what they say.
        ("today 7am", "2026-06-01T05:00:00Z", "2026-06-01T05:00:00Z"),
        ("tomorrow", "2026-06-01T22:00:00Z", "2026-06-01T22:00:00Z"),
    ];
    for (text, past, coming) in cases {
        let parsed = |bare| parse_instant(text, &berlin(), now(), bare);
        assert_eq!(
            (parsed(BareTime::Past), parsed(BareTime::Coming)),
            (Ok(at(past)), Ok(at(coming))),
            "{text}"
        );
    }
}

#[test]
fn a_period_ends_after_its_beginning_if_its_end_has_no_day() {
    // 06:30 in Berlin.
    let now = at("2026-06-01T04:30:00Z");
    let cases = [
        (Some("23:00"), "07:00", "2026-06-01T05:00:00Z"),
        (Some("yesterday 23:00"), "07:00", "2026-06-01T05:00:00Z"),
        (Some("yesterday"), "06:00", "2026-06-01T04:00:00Z"),
        (Some("yesterday"), "07:00", "2026-05-31T05:00:00Z"),
        (Some("2h"), "1h", "2026-06-01T03:30:00Z"),
        // Whoever writes the day gets it, and is told that it is not after the beginning.
        (Some("today"), "yesterday 07:00", "2026-05-31T05:00:00Z"),
        (None, "07:00", "2026-05-31T05:00:00Z"),
    ];
    for (since, until, expected) in cases {
        let since = since.map(|text| parse_past(text, &berlin(), now).unwrap());
        assert_eq!(parse_end(until, since, &berlin(), now), Ok(at(expected)), "{since:?} {until}");
    }
}

#[test]
fn a_time_to_come_is_the_next_one() {
    let cases = [
        ("2h", Ok("2026-06-01T14:00:00Z")),
        ("14:00", Ok("2026-06-02T12:00:00Z")),
        ("14:01", Ok("2026-06-01T12:01:00Z")),
        ("7am", Ok("2026-06-02T05:00:00Z")),
        ("tomorrow", Ok("2026-06-01T22:00:00Z")),
        ("mon 7am", Ok("2026-06-08T05:00:00Z")),
        ("mon 15:00", Ok("2026-06-01T13:00:00Z")),
        ("tuesday", Ok("2026-06-01T22:00:00Z")),
        ("2026-06-01T12:00:00.001Z", Ok("2026-06-01T12:00:00.001Z")),
        ("now", Err("2026-06-01T14:00:00 has passed")),
        ("yesterday", Err("2026-05-31T00:00:00 has passed")),
    ];
    for (written, expected) in cases {
        let expected = expected.map(at).map_err(str::to_owned);
        assert_eq!(parse_coming(written, &berlin(), now()), expected, "{written}");
    }
    assert!(parse_coming("soon", &berlin(), now()).unwrap_err().ends_with("or in how long, such as 2h"));
}
