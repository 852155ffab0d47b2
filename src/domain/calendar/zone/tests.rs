//! What is said about names that are no zones, or not the zone that they seem to be.

use super::super::Calendar;

/// Returns what is said about a name: the hint of the error, or the warnings.
fn said(name: &str) -> String {
    match Calendar::parse("0 9 * * *", name, "") {
        Ok(calendar) => calendar.cautions().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        Err(error) => error.to_string().split_once("; ").unwrap().1.to_owned(),
    }
}

#[test]
fn an_offset_is_explained_with_the_zone_whose_sign_is_reversed() {
    let reversed = |shown: &str, zone: &str| format!("{shown} is `{zone}`: the sign is reversed");
    let cases = [
        ("GMT+5", reversed("UTC+5", "Etc/GMT-5")),
        ("gmt-8", reversed("UTC-8", "Etc/GMT+8")),
        ("UTC+2", reversed("UTC+2", "Etc/GMT-2")),
        ("UTC +2", reversed("UTC+2", "Etc/GMT-2")),
        ("+02:00", reversed("UTC+2", "Etc/GMT-2")),
        ("-0300", reversed("UTC-3", "Etc/GMT+3")),
        ("+14", reversed("UTC+14", "Etc/GMT-14")),
        ("UTC+0", "write `UTC`".to_owned()),
        ("z", "write `UTC`".to_owned()),
    ];
    for (name, expected) in cases {
        assert_eq!(said(name), expected, "{name}");
    }
    for name in ["UTC+05:30", "+0530", "UTC+15", "-13"] {
        assert!(said(name).contains("write the zone of a place"), "{name}: {}", said(name));
    }
    for zone in (1..=12).map(|hours| format!("Etc/GMT+{hours}")) {
        assert!(Calendar::parse("0 9 * * *", &zone, "").is_ok(), "{zone} is suggested");
    }
}

#[test]
fn an_abbreviation_is_explained_with_places() {
    let cases = [
        ("PST", "`America/Los_Angeles`"),
        ("ist", "`Asia/Kolkata` or `Europe/Dublin` or `Asia/Jerusalem`"),
        ("AEST", "`Australia/Sydney` or `Australia/Brisbane`"),
    ];
    for (name, places) in cases {
        assert_eq!(
            said(name),
            format!("an abbreviation is no zone; write the zone of a place, such as {places}")
        );
    }
    for (_, places) in super::hint::ABBREVIATIONS {
        assert!(places.iter().all(|place| Calendar::parse("0 9 * * *", place, "").is_ok()), "{places:?}");
    }
}

#[test]
fn a_zone_that_is_not_what_it_seems_is_warned_about() {
    let cases = [
        ("Etc/GMT+5", "Etc/GMT+5 is UTC-5: the sign is reversed, and there is no summer time"),
        ("etc/gmt-14", "Etc/GMT-14 is UTC+14: the sign is reversed, and there is no summer time"),
        ("EST", "EST has no summer time; if the clock changes of a place are meant, write America/New_York"),
        ("Etc/GMT+0", ""),
        ("Etc/UTC", ""),
        ("GMT", ""),
        ("CET", ""),
        ("HST", ""),
        ("Europe/Berlin", ""),
    ];
    for (name, expected) in cases {
        assert_eq!(said(name), expected, "{name}");
    }
}
