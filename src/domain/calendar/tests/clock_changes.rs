//! What clock changes do to a calendar, in the zones where they are strangest.

use super::*;
use expect_test::expect;

#[test]
fn a_daily_cron_is_not_lost_in_the_gap() {
    check(
        "30 2 * * *",
        "Europe/Berlin",
        "2026-03-27T12:00:00Z",
        expect![[r#"
        Sat 2026-03-28 02:30:00+01:00
        Sun 2026-03-29 03:00:00+02:00 gap, for 2026-03-29T02:30:00
        Mon 2026-03-30 02:30:00+02:00
        Tue 2026-03-31 02:30:00+02:00
        Wed 2026-04-01 02:30:00+02:00
    "#]],
    );
}

#[test]
fn a_daily_cron_fires_once_in_the_overlap() {
    check(
        "30 2 * * *",
        "Europe/Berlin",
        "2026-10-24T12:00:00Z",
        expect![[r#"
        Sun 2026-10-25 02:30:00+02:00 first of two passes
        Mon 2026-10-26 02:30:00+01:00
        Tue 2026-10-27 02:30:00+01:00
        Wed 2026-10-28 02:30:00+01:00
        Thu 2026-10-29 02:30:00+01:00
    "#]],
    );
}

#[test]
fn a_fixed_time_cron_in_the_second_pass_waits_for_the_next_day() {
    check(
        "30 2 * * *",
        "Europe/Berlin",
        "2026-10-25T01:10:00Z",
        expect![[r#"
        Mon 2026-10-26 02:30:00+01:00
        Tue 2026-10-27 02:30:00+01:00
        Wed 2026-10-28 02:30:00+01:00
        Thu 2026-10-29 02:30:00+01:00
        Fri 2026-10-30 02:30:00+01:00
    "#]],
    );
}

#[test]
fn a_wildcard_cron_fires_in_both_passes() {
    check(
        "*/30 2 * * *",
        "Europe/Berlin",
        "2026-10-24T12:00:00Z",
        expect![[r#"
        Sun 2026-10-25 02:00:00+02:00 first of two passes
        Sun 2026-10-25 02:30:00+02:00 first of two passes
        Sun 2026-10-25 02:00:00+01:00 second of two passes
        Sun 2026-10-25 02:30:00+01:00 second of two passes
        Mon 2026-10-26 02:00:00+01:00
    "#]],
    );
}

#[test]
fn a_wildcard_cron_in_the_first_pass_sees_the_second() {
    check(
        "*/30 2 * * *",
        "Europe/Berlin",
        "2026-10-25T00:45:00Z",
        expect![[r#"
        Sun 2026-10-25 02:00:00+01:00 second of two passes
        Sun 2026-10-25 02:30:00+01:00 second of two passes
        Mon 2026-10-26 02:00:00+01:00
        Mon 2026-10-26 02:30:00+01:00
        Tue 2026-10-27 02:00:00+01:00
    "#]],
    );
}

#[test]
fn a_wildcard_cron_skips_the_gap() {
    check(
        "*/30 2 * * *",
        "Europe/Berlin",
        "2026-03-28T12:00:00Z",
        expect![[r#"
        Mon 2026-03-30 02:00:00+02:00
        Mon 2026-03-30 02:30:00+02:00
        Tue 2026-03-31 02:00:00+02:00
        Tue 2026-03-31 02:30:00+02:00
        Wed 2026-04-01 02:00:00+02:00
    "#]],
    );
}

#[test]
fn several_skipped_times_fire_once_and_merge_with_a_regular_one() {
    check(
        "15,45 2,3 * * *",
        "Europe/Berlin",
        "2026-03-29T00:30:00Z",
        expect![[r#"
        Sun 2026-03-29 03:00:00+02:00 gap, for 2026-03-29T02:15:00
        Sun 2026-03-29 03:15:00+02:00
        Sun 2026-03-29 03:45:00+02:00
        Mon 2026-03-30 02:15:00+02:00
        Mon 2026-03-30 02:45:00+02:00
    "#]],
    );
}

#[test]
fn a_skipped_time_merges_with_the_regular_occasion_at_the_end_of_the_gap() {
    check(
        "0,30 2,3 * * *",
        "Europe/Berlin",
        "2026-03-29T00:30:00Z",
        expect![[r#"
        Sun 2026-03-29 03:00:00+02:00 gap, for 2026-03-29T02:00:00
        Sun 2026-03-29 03:30:00+02:00
        Mon 2026-03-30 02:00:00+02:00
        Mon 2026-03-30 02:30:00+02:00
        Mon 2026-03-30 03:00:00+02:00
    "#]],
    );
}

#[test]
fn lord_howe_shifts_by_half_an_hour() {
    check(
        "15 2 * * *",
        "Australia/Lord_Howe",
        "2026-10-02T12:00:00Z",
        expect![[r#"
        Sat 2026-10-03 02:15:00+10:30
        Sun 2026-10-04 02:30:00+11:00 gap, for 2026-10-04T02:15:00
        Mon 2026-10-05 02:15:00+11:00
        Tue 2026-10-06 02:15:00+11:00
        Wed 2026-10-07 02:15:00+11:00
    "#]],
    );
}

#[test]
fn lord_howe_shifts_back_by_half_an_hour() {
    check(
        "45 1 * * *",
        "Australia/Lord_Howe",
        "2026-04-03T12:00:00Z",
        expect![[r#"
        Sat 2026-04-04 01:45:00+11:00
        Sun 2026-04-05 01:45:00+11:00 first of two passes
        Mon 2026-04-06 01:45:00+10:30
        Tue 2026-04-07 01:45:00+10:30
        Wed 2026-04-08 01:45:00+10:30
    "#]],
    );
}

#[test]
fn midnight_is_skipped_in_cairo() {
    check(
        "0 0 * * *",
        "Africa/Cairo",
        "2026-04-22T12:00:00Z",
        expect![[r#"
        Thu 2026-04-23 00:00:00+02:00
        Fri 2026-04-24 01:00:00+03:00 gap, for 2026-04-24T00:00:00
        Sat 2026-04-25 00:00:00+03:00
        Sun 2026-04-26 00:00:00+03:00
        Mon 2026-04-27 00:00:00+03:00
    "#]],
    );
}

#[test]
fn midnight_is_skipped_in_beirut() {
    check(
        "15 0 * * *",
        "Asia/Beirut",
        "2026-03-27T12:00:00Z",
        expect![[r#"
        Sat 2026-03-28 00:15:00+02:00
        Sun 2026-03-29 01:00:00+03:00 gap, for 2026-03-29T00:15:00
        Mon 2026-03-30 00:15:00+03:00
        Tue 2026-03-31 00:15:00+03:00
        Wed 2026-04-01 00:15:00+03:00
    "#]],
    );
}

#[test]
fn midnight_is_skipped_in_santiago() {
    check(
        "0 0 * * *",
        "America/Santiago",
        "2026-09-04T12:00:00Z",
        expect![[r#"
        Sat 2026-09-05 00:00:00-04:00
        Sun 2026-09-06 01:00:00-03:00 gap, for 2026-09-06T00:00:00
        Mon 2026-09-07 00:00:00-03:00
        Tue 2026-09-08 00:00:00-03:00
        Wed 2026-09-09 00:00:00-03:00
    "#]],
    );
}

#[test]
fn a_date_that_did_not_exist_in_apia_fires_at_the_end_of_the_gap() {
    check(
        "0 9,18 * * *",
        "Pacific/Apia",
        "2011-12-29T12:00:00Z",
        expect![[r#"
        Thu 2011-12-29 09:00:00-10:00
        Thu 2011-12-29 18:00:00-10:00
        Sat 2011-12-31 00:00:00+14:00 gap, for 2011-12-30T09:00:00
        Sat 2011-12-31 09:00:00+14:00
        Sat 2011-12-31 18:00:00+14:00
    "#]],
    );
}

#[test]
fn a_wildcard_cron_in_apia_has_no_date_to_fire_on() {
    check(
        "0 */8 30 12 *",
        "Pacific/Apia",
        "2011-01-01T00:00:00Z",
        expect![[r#"
        Sun 2012-12-30 00:00:00+14:00
        Sun 2012-12-30 08:00:00+14:00
        Sun 2012-12-30 16:00:00+14:00
        Mon 2013-12-30 00:00:00+14:00
        Mon 2013-12-30 08:00:00+14:00
    "#]],
    );
}

#[test]
fn moscow_changed_for_good_in_2014() {
    check(
        "30 1 * * *",
        "Europe/Moscow",
        "2014-10-25T00:00:00Z",
        expect![[r#"
        Sun 2014-10-26 01:30:00+04:00 first of two passes
        Mon 2014-10-27 01:30:00+03:00
        Tue 2014-10-28 01:30:00+03:00
        Wed 2014-10-29 01:30:00+03:00
        Thu 2014-10-30 01:30:00+03:00
    "#]],
    );
}

#[test]
fn casablanca_leaves_summer_time_for_ramadan() {
    check(
        "30 2 * * *",
        "Africa/Casablanca",
        "2026-02-13T12:00:00Z",
        expect![[r#"
        Sat 2026-02-14 02:30:00+01:00
        Sun 2026-02-15 02:30:00+01:00 first of two passes
        Mon 2026-02-16 02:30:00+00:00
        Tue 2026-02-17 02:30:00+00:00
        Wed 2026-02-18 02:30:00+00:00
    "#]],
    );
}
