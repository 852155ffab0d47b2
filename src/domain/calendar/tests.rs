//! The calendar as its users see it: an expression, a zone, an instant, and the occasions after it.

use expect_test::{Expect, expect};
use jiff::{Timestamp, civil};

use super::{Calendar, CalendarError, Oddity};

mod clock_changes;
mod properties;

/// Compares the next five occasions after `from`, in local time and each with its oddity.
#[track_caller]
fn check(expression: &str, zone: &str, from: &str, expected: Expect) {
    let calendar = Calendar::parse(expression, zone, "seed").unwrap();
    let mut after: Timestamp = from.parse().unwrap();
    let mut lines = String::new();
    for _ in 0..5 {
        let Some(occasion) = calendar.next_after(after) else {
            lines.push_str("(no more)\n");
            break;
        };
        let local = occasion.at.to_zoned_datetime(calendar.zone().clone());
        let note = match occasion.oddity {
            None => String::new(),
            Some(Oddity::AfterGap { named }) => format!(" gap, for {named}"),
            Some(Oddity::FirstOfTwoPasses) => " first of two passes".to_owned(),
            Some(Oddity::SecondOfTwoPasses) => " second of two passes".to_owned(),
        };
        lines.push_str(&format!("{}{note}\n", local.strftime("%a %F %T%:z")));
        after = occasion.at;
    }
    expected.assert_eq(&lines);
}

#[test]
fn day_fields_are_joined_by_or() {
    check(
        "0 9 13 * fri",
        "UTC",
        "2026-01-01T00:00:00Z",
        expect![[r#"
        Fri 2026-01-02 09:00:00+00:00
        Fri 2026-01-09 09:00:00+00:00
        Tue 2026-01-13 09:00:00+00:00
        Fri 2026-01-16 09:00:00+00:00
        Fri 2026-01-23 09:00:00+00:00
    "#]],
    );
}

#[test]
fn a_step_in_a_day_field_is_a_restriction() {
    check(
        "0 0 */10 * mon",
        "UTC",
        "2026-01-01T00:00:00Z",
        expect![[r#"
        Mon 2026-01-05 00:00:00+00:00
        Sun 2026-01-11 00:00:00+00:00
        Mon 2026-01-12 00:00:00+00:00
        Mon 2026-01-19 00:00:00+00:00
        Wed 2026-01-21 00:00:00+00:00
    "#]],
    );
}

#[test]
fn the_last_day_of_the_month() {
    check(
        "0 0 L * *",
        "UTC",
        "2028-01-01T00:00:00Z",
        expect![[r#"
        Mon 2028-01-31 00:00:00+00:00
        Tue 2028-02-29 00:00:00+00:00
        Fri 2028-03-31 00:00:00+00:00
        Sun 2028-04-30 00:00:00+00:00
        Wed 2028-05-31 00:00:00+00:00
    "#]],
    );
}

#[test]
fn the_third_friday() {
    check(
        "0 0 * * fri#3",
        "UTC",
        "2026-01-01T00:00:00Z",
        expect![[r#"
        Fri 2026-01-16 00:00:00+00:00
        Fri 2026-02-20 00:00:00+00:00
        Fri 2026-03-20 00:00:00+00:00
        Fri 2026-04-17 00:00:00+00:00
        Fri 2026-05-15 00:00:00+00:00
    "#]],
    );
}

#[test]
fn the_fifth_friday_skips_short_months() {
    check(
        "0 0 * * 5#5",
        "UTC",
        "2026-01-01T00:00:00Z",
        expect![[r#"
        Fri 2026-01-30 00:00:00+00:00
        Fri 2026-05-29 00:00:00+00:00
        Fri 2026-07-31 00:00:00+00:00
        Fri 2026-10-30 00:00:00+00:00
        Fri 2027-01-29 00:00:00+00:00
    "#]],
    );
}

#[test]
fn the_last_friday() {
    check(
        "0 0 * * L5",
        "UTC",
        "2026-01-01T00:00:00Z",
        expect![[r#"
        Fri 2026-01-30 00:00:00+00:00
        Fri 2026-02-27 00:00:00+00:00
        Fri 2026-03-27 00:00:00+00:00
        Fri 2026-04-24 00:00:00+00:00
        Fri 2026-05-29 00:00:00+00:00
    "#]],
    );
}

#[test]
fn the_working_day_nearest_to_the_15th() {
    check(
        "0 0 15W * *",
        "UTC",
        "2026-01-01T00:00:00Z",
        expect![[r#"
        Thu 2026-01-15 00:00:00+00:00
        Mon 2026-02-16 00:00:00+00:00
        Mon 2026-03-16 00:00:00+00:00
        Wed 2026-04-15 00:00:00+00:00
        Fri 2026-05-15 00:00:00+00:00
    "#]],
    );
}

#[test]
fn the_working_day_nearest_to_the_first_stays_in_the_month() {
    check(
        "0 0 1W * *",
        "UTC",
        "2026-07-15T00:00:00Z",
        expect![[r#"
        Mon 2026-08-03 00:00:00+00:00
        Tue 2026-09-01 00:00:00+00:00
        Thu 2026-10-01 00:00:00+00:00
        Mon 2026-11-02 00:00:00+00:00
        Tue 2026-12-01 00:00:00+00:00
    "#]],
    );
}

#[test]
fn the_31w_of_a_short_month_is_about_its_last_day() {
    check(
        "0 0 31W * *",
        "UTC",
        "2026-01-15T00:00:00Z",
        expect![[r#"
        Fri 2026-01-30 00:00:00+00:00
        Fri 2026-02-27 00:00:00+00:00
        Tue 2026-03-31 00:00:00+00:00
        Thu 2026-04-30 00:00:00+00:00
        Fri 2026-05-29 00:00:00+00:00
    "#]],
    );
}

#[test]
fn sunday_is_0_and_7() {
    check(
        "0 0 * * 7",
        "UTC",
        "2026-01-01T00:00:00Z",
        expect![[r#"
        Sun 2026-01-04 00:00:00+00:00
        Sun 2026-01-11 00:00:00+00:00
        Sun 2026-01-18 00:00:00+00:00
        Sun 2026-01-25 00:00:00+00:00
        Sun 2026-02-01 00:00:00+00:00
    "#]],
    );
}

#[test]
fn weekdays_wrap() {
    check(
        "0 0 * * fri-mon",
        "UTC",
        "2026-01-01T00:00:00Z",
        expect![[r#"
        Fri 2026-01-02 00:00:00+00:00
        Sat 2026-01-03 00:00:00+00:00
        Sun 2026-01-04 00:00:00+00:00
        Mon 2026-01-05 00:00:00+00:00
        Fri 2026-01-09 00:00:00+00:00
    "#]],
    );
}

#[test]
fn seconds_are_last() {
    check(
        "0 9 * * * */20",
        "UTC",
        "2026-01-01T00:00:00Z",
        expect![[r#"
        Thu 2026-01-01 09:00:00+00:00
        Thu 2026-01-01 09:00:20+00:00
        Thu 2026-01-01 09:00:40+00:00
        Fri 2026-01-02 09:00:00+00:00
        Fri 2026-01-02 09:00:20+00:00
    "#]],
    );
}

#[test]
fn a_year_ends_the_sequence() {
    check(
        "0 0 1 1 * 0 2027",
        "UTC",
        "2026-01-01T00:00:00Z",
        expect![[r#"
        Fri 2027-01-01 00:00:00+00:00
        (no more)
    "#]],
    );
}

#[test]
fn years_end_with_2099() {
    check(
        "0 0 1 1 *",
        "UTC",
        "2098-06-01T00:00:00Z",
        expect![[r#"
        Thu 2099-01-01 00:00:00+00:00
        (no more)
    "#]],
    );
}

#[test]
fn february_29_waits_for_a_leap_year() {
    check(
        "0 0 29 2 *",
        "UTC",
        "2096-03-01T00:00:00Z",
        expect![[r#"
        (no more)
    "#]],
    );
}

#[test]
fn an_impossible_day_of_month_leaves_the_day_of_week() {
    check(
        "0 0 31 2 mon",
        "UTC",
        "2026-01-20T00:00:00Z",
        expect![[r#"
        Mon 2026-02-02 00:00:00+00:00
        Mon 2026-02-09 00:00:00+00:00
        Mon 2026-02-16 00:00:00+00:00
        Mon 2026-02-23 00:00:00+00:00
        Mon 2027-02-01 00:00:00+00:00
    "#]],
    );
}

#[test]
fn nothing_is_before_1970() {
    check(
        "0 0 1 * *",
        "UTC",
        "-001000-01-01T00:00:00Z",
        expect![[r#"
        Thu 1970-01-01 00:00:00+00:00
        Sun 1970-02-01 00:00:00+00:00
        Sun 1970-03-01 00:00:00+00:00
        Wed 1970-04-01 00:00:00+00:00
        Fri 1970-05-01 00:00:00+00:00
    "#]],
    );
}

#[test]
fn a_fraction_of_a_second_after_is_not_the_same_instant() {
    check(
        "* * * * * *",
        "UTC",
        "2026-01-01T00:00:00.5Z",
        expect![[r#"
        Thu 2026-01-01 00:00:01+00:00
        Thu 2026-01-01 00:00:02+00:00
        Thu 2026-01-01 00:00:03+00:00
        Thu 2026-01-01 00:00:04+00:00
        Thu 2026-01-01 00:00:05+00:00
    "#]],
    );
}

#[test]
fn a_schedule_without_an_instant_is_refused() {
    for (expression, zone) in [
        ("0 0 31 2 *", "UTC"),
        ("0 0 30 2 * 0 2026", "Europe/Berlin"),
        ("0 0 29 2 * 0 2097-2099", "UTC"),
        // Every time on that date falls into the gap, and a wildcard cron does not make up for it.
        ("*/30 2 29 3 * 0 2026", "Europe/Berlin"),
    ] {
        let refused = Calendar::parse(expression, zone, "seed");
        assert!(matches!(refused, Err(CalendarError::NeverMatches)), "{expression}: {refused:?}");
    }
}

#[test]
fn aliases_are_read_in_any_case() {
    check(
        "@Hourly",
        "UTC",
        "2026-01-01T00:00:00Z",
        expect![[r#"
        Thu 2026-01-01 01:00:00+00:00
        Thu 2026-01-01 02:00:00+00:00
        Thu 2026-01-01 03:00:00+00:00
        Thu 2026-01-01 04:00:00+00:00
        Thu 2026-01-01 05:00:00+00:00
    "#]],
    );
    check(
        "@weekly",
        "UTC",
        "2026-01-01T00:00:00Z",
        expect![[r#"
        Sun 2026-01-04 00:00:00+00:00
        Sun 2026-01-11 00:00:00+00:00
        Sun 2026-01-18 00:00:00+00:00
        Sun 2026-01-25 00:00:00+00:00
        Sun 2026-02-01 00:00:00+00:00
    "#]],
    );
    check(
        "@annually",
        "UTC",
        "2026-01-01T00:00:00Z",
        expect![[r#"
        Fri 2027-01-01 00:00:00+00:00
        Sat 2028-01-01 00:00:00+00:00
        Mon 2029-01-01 00:00:00+00:00
        Tue 2030-01-01 00:00:00+00:00
        Wed 2031-01-01 00:00:00+00:00
    "#]],
    );
}

/// A change of these numbers would move every cron that uses `H` at its next upgrade.
#[test]
fn the_hash_of_a_name_stays_the_same_for_ever() {
    check(
        "H H * * *",
        "UTC",
        "2026-01-01T00:00:00Z",
        expect![[r#"
        Thu 2026-01-01 22:33:00+00:00
        Fri 2026-01-02 22:33:00+00:00
        Sat 2026-01-03 22:33:00+00:00
        Sun 2026-01-04 22:33:00+00:00
        Mon 2026-01-05 22:33:00+00:00
    "#]],
    );
    check(
        "H(0-29)/10 H/6 * * *",
        "UTC",
        "2026-01-01T00:00:00Z",
        expect![[r#"
        Thu 2026-01-01 04:03:00+00:00
        Thu 2026-01-01 04:13:00+00:00
        Thu 2026-01-01 04:23:00+00:00
        Thu 2026-01-01 10:03:00+00:00
        Thu 2026-01-01 10:13:00+00:00
    "#]],
    );
    check(
        "0 0 H H H",
        "UTC",
        "2026-01-01T00:00:00Z",
        expect![[r#"
        Mon 2026-11-02 00:00:00+00:00
        Tue 2026-11-03 00:00:00+00:00
        Tue 2026-11-10 00:00:00+00:00
        Tue 2026-11-17 00:00:00+00:00
        Tue 2026-11-24 00:00:00+00:00
    "#]],
    );
}

#[test]
fn the_hash_spreads_names_over_the_day() {
    let next = |index: i64| {
        let calendar = Calendar::parse("H H * * *", "UTC", &format!("cron-{index}")).unwrap();
        calendar.next_after(Timestamp::UNIX_EPOCH).unwrap().at.as_second() / 60
    };
    let minutes: std::collections::BTreeSet<i64> = (0..1000).map(next).collect();
    // 1000 balls thrown into 1440 boxes hit 721 of them on average.
    assert!(minutes.len() > 690, "{}", minutes.len());
}

#[test]
fn a_hashed_day_exists_in_every_month() {
    for index in 0..200 {
        let calendar = Calendar::parse("0 0 H 2 *", "UTC", &format!("cron-{index}")).unwrap();
        let at = calendar.next_after(Timestamp::UNIX_EPOCH).unwrap().at;
        assert!(at < "1970-03-01T00:00:00Z".parse().unwrap(), "{at}");
    }
}

#[test]
fn a_zone_is_found_in_any_case_and_an_unknown_one_is_refused() {
    let refused = |zone: &str| Calendar::parse("@daily", zone, "").unwrap_err().to_string();
    assert_eq!(Calendar::parse("@daily", "europe/berlin", "").unwrap().timezone(), "Europe/Berlin");
    assert_eq!(Calendar::parse("@daily", "US/Eastern", "").unwrap().timezone(), "US/Eastern");
    assert_eq!(refused("Europe/Berln"), "unknown time zone Europe/Berln; did you mean `Europe/Berlin`?");
    assert_eq!(refused("new york"), "unknown time zone new york; did you mean `America/New_York`?");
    let advice = "; expected an IANA name such as Europe/Berlin";
    for zone in ["", "Etc/Unknown", "../../etc/passwd", "Middle/Earth", "EST5EDT4,M3"] {
        assert_eq!(refused(zone), format!("unknown time zone {zone}{advice}"));
    }
}

#[derive(serde::Deserialize)]
struct ClockChangeCases {
    zone: String,
    gap_day: String,
    overlap_day: String,
    cases: Vec<ClockChangeCase>,
}

#[derive(serde::Deserialize)]
struct ClockChangeCase {
    day: String,
    schedule: String,
    fires: Vec<String>,
}

#[test]
fn the_clock_changes_of_new_york_are_as_agreed() {
    let text = include_str!("../../../tests/fixtures/calendar/dst_new_york.json");
    let agreed: ClockChangeCases = serde_json::from_str(text).unwrap();
    for case in agreed.cases {
        let day = if case.day == "gap" { &agreed.gap_day } else { &agreed.overlap_day };
        let day: civil::Date = day.parse().unwrap();
        let calendar = Calendar::parse(&case.schedule, &agreed.zone, "seed").unwrap();
        let midnight = day.to_zoned_datetime(calendar.zone().clone()).unwrap();
        let before = midnight.timestamp() - jiff::SignedDuration::from_nanos(1);
        let sequence =
            std::iter::successors(calendar.next_after(before), |last| calendar.next_after(last.at));
        let local = sequence.map(|occasion| occasion.at.to_zoned_datetime(calendar.zone().clone()));
        let fires: Vec<String> = local
            .take_while(|local| local.date() == day)
            .map(|local| local.strftime("%H:%M%:z").to_string())
            .collect();
        assert_eq!(fires, case.fires, "{} on the day of the {}", case.schedule, case.day);
    }
}
