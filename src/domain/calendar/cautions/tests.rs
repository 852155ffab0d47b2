//! Which expressions get a warning, and which get none.

use expect_test::{Expect, expect};

use super::super::Calendar;

#[track_caller]
fn check(expression: &str, expected: Expect) {
    let calendar = Calendar::parse(expression, "UTC", "seed").unwrap();
    let lines: Vec<String> = calendar.cautions().iter().map(|caution| format!("{caution}\n")).collect();
    expected.assert_eq(&lines.concat());
}

#[test]
fn quartz_order_is_suspected() {
    check(
        "0 0 9 * * *",
        expect![[r#"
        6 fields are read with the seconds last, so this fires every second of a minute; if the seconds were meant to come first, write 0 9 * * *
    "#]],
    );
    check(
        "30 0 9 * * ?",
        expect![[r#"
        6 fields are read with the seconds last, so this fires every second of a minute; if the seconds were meant to come first, write 0 9 * * ? 30
    "#]],
    );
    check(
        "0 15 10 * 6 ? 2030",
        expect![[r#"
            7 fields are read with the seconds last, so this fires every second of a minute; if the seconds were meant to come first, write 15 10 * 6 ? 0 2030
            day-of-month and day-of-week are both given: the cron fires on days that satisfy either of them
        "#]],
    );
}

#[test]
fn seconds_that_are_meant_get_no_warning() {
    check("* * * * * *", expect![]);
    check("0 9 * * * 30", expect![]);
    // In Quartz's order there would be an hour 25.
    check("0 0 25 * * *", expect![]);
}

#[test]
fn both_day_fields_get_a_warning() {
    check(
        "0 9 13 * fri",
        expect![[r#"
            day-of-month and day-of-week are both given: the cron fires on days that satisfy either of them
        "#]],
    );
    check("0 9 ? * fri", expect![]);
}

#[test]
fn an_uneven_step_gets_a_warning() {
    check(
        "*/7 * * * *",
        expect![[r#"
        minute */7 starts anew with every cycle, so its last interval is 4 instead of 7
    "#]],
    );
    check(
        "*/15 */5 * * *",
        expect![[r#"
        hour */5 starts anew with every cycle, so its last interval is 4 instead of 5
    "#]],
    );
    check(
        "*/90 * * * *",
        expect![[r#"
            minute */90 is longer than its cycle, and fires once in each; write 0 for that
        "#]],
    );
    check("0 0 */2 * *", expect![]);
}

#[test]
fn a_range_from_a_value_to_itself_gets_a_warning() {
    check("0 9 * * 0-7", expect![]);
    check(
        "0 9-9 * * *",
        expect![[r#"
        hour range 9-9 is read as the whole cycle, as croniter does; write 9 for that alone
    "#]],
    );
}
