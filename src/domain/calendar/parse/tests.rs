//! Which expressions are refused, where the caret is, and what the message says.

use expect_test::{Expect, expect};

use super::super::{Calendar, CalendarError};

/// Compares the message as a user sees it, below the expression and its carets.
#[track_caller]
fn check(expression: &str, expected: Expect) {
    let shown = match Calendar::parse(expression, "UTC", "seed") {
        Err(CalendarError::Expression(error)) => format!("{}\n{error}\n", error.caret()),
        other => format!("{other:?}"),
    };
    expected.assert_eq(&shown);
}

#[test]
fn a_number_out_of_range() {
    check(
        "60 9 * * *",
        expect![[r#"
        60 9 * * *
        ^^
        minute 60 is out of range 0-59
    "#]],
    );
    check(
        "0 24 * * *",
        expect![[r#"
        0 24 * * *
          ^^
        hour 24 is out of range 0-23
    "#]],
    );
    check(
        "0 9 0 * *",
        expect![[r#"
        0 9 0 * *
            ^
        day-of-month 0 is out of range 1-31
    "#]],
    );
    check(
        "0 9 * 1-13 *",
        expect![[r#"
        0 9 * 1-13 *
                ^^
        month 13 is out of range 1-12
    "#]],
    );
    check(
        "0 9 * * 8",
        expect![[r#"
        0 9 * * 8
                ^
        day-of-week 8 is out of range 0-7
    "#]],
    );
    check(
        "0 0 1 1 * 0 2100",
        expect![[r#"
        0 0 1 1 * 0 2100
                    ^^^^
        year 2100 is out of range 1970-2099; 7 fields are read as minute hour day-of-month month day-of-week second year, not seconds first
    "#]],
    );
    check(
        "0,5,99999999999999999999 * * * *",
        expect![[r#"
        0,5,99999999999999999999 * * * *
            ^^^^^^^^^^^^^^^^^^^^
        minute 99999999999999999999 is out of range 0-59
    "#]],
    );
}

#[test]
fn a_random_value_is_replaced_by_one_that_stays() {
    check(
        "0~30 9 * * *",
        expect![[r#"
        0~30 9 * * *
        ^^^^
        minute 0~30 is random; write H or H(a-b): a value that follows from the cron's name, and stays
    "#]],
    );
    check(
        "R R(0-5) * * *",
        expect![[r#"
        R R(0-5) * * *
        ^
        minute r is random; write H or H(a-b): a value that follows from the cron's name, and stays
    "#]],
    );
}

#[test]
fn a_space_that_is_none_is_named() {
    check(
        "0 9 *\u{a0}* *",
        expect![[r#"
        0 9 * * *
                 ^
        got 4 fields, expected 5 fields (minute hour day-of-month month day-of-week), 6 (and second) or 7 (and year); write a plain space instead of U+00A0
    "#]],
    );
    check(
        "0 9 *\u{a0}* * *",
        expect![[r#"
        0 9 * * * *
            ^^^
        day-of-month * * is not a number, expected 1-31; write a plain space instead of U+00A0
    "#]],
    );
}

#[test]
fn not_a_number() {
    check(
        "0 nine * * *",
        expect![[r#"
            0 nine * * *
              ^^^^
            hour nine is not a number, expected 0-23
        "#]],
    );
    check(
        "0 9 * * monday",
        expect![[r#"
            0 9 * * monday
                    ^^^^^^
            day-of-week monday is neither a name (three letters) nor a number, expected 0-7; write mon
        "#]],
    );
    check(
        "0 9 * october-dec *",
        expect![[r#"
            0 9 * october-dec *
                  ^^^^^^^
            month october is neither a name (three letters) nor a number, expected 1-12; write oct
        "#]],
    );
    check(
        "-5 9 * * *",
        expect![[r#"
            -5 9 * * *
            ^
            minute (nothing) is not a number, expected 0-59
        "#]],
    );
    check(
        "1,,2 9 * * *",
        expect![[r#"
            1,,2 9 * * *
              ^
            minute has an empty item in its list
        "#]],
    );
    check(
        "*/x 9 * * *",
        expect![[r#"
            */x 9 * * *
              ^
            minute step x is not a number, expected 1 or more
        "#]],
    );
    check(
        "*/ 9 * * *",
        expect![[r#"
            */ 9 * * *
              ^
            minute step (nothing) is not a number, expected 1 or more
        "#]],
    );
    check(
        "*/0 9 * * *",
        expect![[r#"
            */0 9 * * *
              ^
            minute step 0 is out of range, expected 1 or more
        "#]],
    );
    check(
        "5-3-1 9 * * *",
        expect![[r#"
            5-3-1 9 * * *
              ^^^
            minute 3-1 is not a number, expected 0-59
        "#]],
    );
    check(
        "é 9 ü * *",
        expect![[r#"
            é 9 ü * *
            ^
            minute é is not a number, expected 0-59
        "#]],
    );
}

#[test]
fn specials_in_the_wrong_place() {
    check(
        "0 9 ?/2 * *",
        expect![[r#"
            0 9 ?/2 * *
                ^
            day-of-month ? is not a number, expected 1-31
        "#]],
    );
    check(
        "0 9 * * L",
        expect![[r#"
            0 9 * * L
                    ^
            day-of-week L needs a day; L5 is the last Friday of the month
        "#]],
    );
    check(
        "0 9 * * fri#6",
        expect![[r#"
        0 9 * * fri#6
                    ^
        day-of-week # 6 is out of range 1-5
    "#]],
    );
    check(
        "0 9 * * fri#",
        expect![[r#"
        0 9 * * fri#
                    ^
        day-of-week # (nothing) is out of range 1-5
    "#]],
    );
    check(
        "0 9 32W * *",
        expect![[r#"
        0 9 32W * *
            ^^
        day-of-month 32 is out of range 1-31
    "#]],
    );
    check(
        "0 9 L-3 * *",
        expect![[r#"
            0 9 L-3 * *
                ^
            day-of-month l is not a number, expected 1-31
        "#]],
    );
    check(
        "0 9 * * 5L",
        expect![[r#"
            0 9 * * 5L
                    ^^
            day-of-week 5l has its L at the end; write L5
        "#]],
    );
    check(
        "L 9 * * *",
        expect![[r#"
            L 9 * * *
            ^
            minute l is not a number, expected 0-59
        "#]],
    );
    check(
        "H(5) 9 * * *",
        expect![[r#"
            H(5) 9 * * *
            ^^^^
            minute h(5) is not understood, expected H, H(a-b) or H/n
        "#]],
    );
    check(
        "H(30-10) 9 * * *",
        expect![[r#"
            H(30-10) 9 * * *
              ^^^^^
            minute H(30-10) does not ascend
        "#]],
    );
    check(
        "0 9 * * * 0 2030-2020",
        expect![[r#"
        0 9 * * * 0 2030-2020
                    ^^^^^^^^^
        year range 2030-2020 runs backwards; 7 fields are read as minute hour day-of-month month day-of-week second year, not seconds first
    "#]],
    );
}

#[test]
fn too_few_or_too_many_fields() {
    check(
        "",
        expect![[r#"

            ^
            expression is empty, expected 5 fields (minute hour day-of-month month day-of-week), 6 (and second) or 7 (and year)
        "#]],
    );
    check(
        "0 9 * *",
        expect![[r#"
            0 9 * *
                   ^
            got 4 fields, expected 5 fields (minute hour day-of-month month day-of-week), 6 (and second) or 7 (and year)
        "#]],
    );
    check(
        "hourly",
        expect![[r#"
            hourly
                  ^
            got 1 field, expected 5 fields (minute hour day-of-month month day-of-week), 6 (and second) or 7 (and year); did you mean @hourly?
        "#]],
    );
    check(
        "0 9 * * * 0 2026 1 2",
        expect![[r#"
            0 9 * * * 0 2026 1 2
                             ^^^
            got 9 fields, expected 5 fields (minute hour day-of-month month day-of-week), 6 (and second) or 7 (and year)
        "#]],
    );
    check(
        "@reboot",
        expect![[r#"
            @reboot
            ^^^^^^^
            @reboot is unknown, expected one of @hourly @daily @midnight @weekly @monthly @yearly @annually; a start of the daemon is not an instant of a calendar
        "#]],
    );
    check(
        "@every 5m",
        expect![[r#"
            @every 5m
            ^^^^^^
            @every is unknown, expected one of @hourly @daily @midnight @weekly @monthly @yearly @annually; write other intervals in fields: */5 * * * * is every five minutes
        "#]],
    );
    check(
        "@daily 9",
        expect![[r#"
            @daily 9
                   ^
            @daily must be alone
        "#]],
    );
    check(
        "@dayly",
        expect![[r#"
            @dayly
            ^^^^^^
            @dayly is unknown, expected one of @hourly @daily @midnight @weekly @monthly @yearly @annually; write other intervals in fields: */5 * * * * is every five minutes
        "#]],
    );
}

#[test]
fn quartz_order_is_explained() {
    check(
        "0 0 9 ? * MON-FRI",
        expect![[r#"
            0 0 9 ? * MON-FRI
                      ^^^
            second mon is not a number, expected 0-59; 6 fields are read as minute hour day-of-month month day-of-week second; if the seconds were meant to come first, write 0 9 ? * mon-fri
        "#]],
    );
    check(
        "0 30 9 * * * 2026",
        expect![[r#"
            0 30 9 * * * 2026
              ^^
            hour 30 is out of range 0-23; 7 fields are read as minute hour day-of-month month day-of-week second year; if the seconds were meant to come first, write 30 9 * * * 0 2026
        "#]],
    );
    check(
        "0 0 9 1 13 ? 2026",
        expect![[r#"
        0 0 9 1 13 ? 2026
                ^^
        day-of-week 13 is out of range 0-7; 7 fields are read as minute hour day-of-month month day-of-week second year, not seconds first
    "#]],
    );
}

#[test]
fn white_space_does_not_move_the_caret() {
    check(
        "  0\t61   * * *",
        expect![[r#"
          0 61   * * *
            ^^
        hour 61 is out of range 0-23
    "#]],
    );
}

#[test]
fn a_kilobyte_is_enough() {
    let expression = format!("{} * * * *", ["0"; 600].join(","));
    let refused = Calendar::parse(&expression, "UTC", "seed").unwrap_err();
    assert_eq!(refused.to_string(), "expression is 1207 bytes long, expected at most 1024");
}
