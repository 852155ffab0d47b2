//! One sentence for each shape of schedule.

use expect_test::{Expect, expect};

use super::super::Calendar;

#[track_caller]
fn check(expressions: &[&str], expected: Expect) {
    let line = |expression: &&str| {
        let calendar = Calendar::parse(expression, "UTC", "seed").unwrap();
        format!("{expression:<24} {}\n", calendar.describe())
    };
    let lines: String = expressions.iter().map(line).collect();
    expected.assert_eq(&lines);
}

#[test]
fn times_of_day() {
    check(
        &[
            "* * * * *",
            "*/15 * * * *",
            "0 * * * *",
            "5,35 * * * *",
            "0 9 * * *",
            "30 9,17 * * *",
            "0 9-17 * * *",
            "*/20 9-17 * * *",
            "0 */2 * * *",
            "15 */2 * * *",
            "*/7 * * * *",
            "* 9 * * *",
            "0-10 9 * * *",
            "@daily",
        ],
        expect![[r#"
            * * * * *                Every minute
            */15 * * * *             Every 15 minutes
            0 * * * *                Every hour at minute 0
            5,35 * * * *             At minutes 5 and 35 of every hour
            0 9 * * *                At 09:00
            30 9,17 * * *            At 09:30 and 17:30
            0 9-17 * * *             Every hour from 09:00 to 17:00
            */20 9-17 * * *          Every 20 minutes from 09:00 to 17:59
            0 */2 * * *              Every 2 hours from 00:00
            15 */2 * * *             Every 2 hours from 00:15
            */7 * * * *              At minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour
            * 9 * * *                Every minute from 09:00 to 09:59
            0-10 9 * * *             At minutes 0 to 10 of hour 9
            @daily                   At 00:00
        "#]],
    );
}

#[test]
fn seconds() {
    check(
        &[
            "* * * * * *",
            "* * * * * */10",
            "0 9 * * * 30",
            "0 9 * * * *",
            "*/5 * * * * 0,30",
            "5 * * * * 7",
            "*/20 9-17 * * * */30",
            "0 9,10 * * * */30",
        ],
        expect![[r#"
            * * * * * *              Every second
            * * * * * */10           Every 10 seconds
            0 9 * * * 30             At 09:00:30
            0 9 * * * *              Every second of the minute, at 09:00
            */5 * * * * 0,30         At seconds 0 and 30 of the minute, every 5 minutes
            5 * * * * 7              At second 7 of the minute, every hour at minute 5
            */20 9-17 * * * */30     At seconds 0 and 30 of the minute, every 20 minutes from 09:00 to 17:59
            0 9,10 * * * */30        At 09:00:00, 09:00:30, 10:00:00 and 10:00:30
        "#]],
    );
}

#[test]
fn days_months_and_years() {
    check(
        &[
            "0 9 * * mon-fri",
            "0 9 * * fri-mon",
            "0 9 1,15 * *",
            "0 9 L * *",
            "0 9 15W * *",
            "0 9 * * fri#3",
            "0 9 * * L5",
            "0 9 13 * fri",
            "0 9 1 1,7 *",
            "0 9 * 6-8 *",
            "0 9 * * * 0 2027",
            "0 9 */2 * mon",
        ],
        expect![[r#"
            0 9 * * mon-fri          At 09:00 on Monday to Friday
            0 9 * * fri-mon          At 09:00 on Sunday, Monday, Friday and Saturday
            0 9 1,15 * *             At 09:00 on days 1 and 15 of the month
            0 9 L * *                At 09:00 on the last day of the month
            0 9 15W * *              At 09:00 on the working day nearest to day 15 of the month
            0 9 * * fri#3            At 09:00 on the third Friday of the month
            0 9 * * L5               At 09:00 on the last Friday of the month
            0 9 13 * fri             At 09:00 on day 13 of the month, or on Friday
            0 9 1 1,7 *              At 09:00 on day 1 of the month in January and July
            0 9 * 6-8 *              At 09:00 in June to August
            0 9 * * * 0 2027         At 09:00 in 2027
            0 9 */2 * mon            At 09:00 on days 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29 and 31 of the month, or on Monday
        "#]],
    );
}
