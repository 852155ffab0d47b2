//! Pitfalls by schedule.

use expect_test::{Expect, expect};

use super::*;
use crate::config::{CronFields, validate_cron};

fn cron(name: &str, schedule: &str, timezone: &str) -> Cron {
    let body = format!(r#"{{"schedule":"{schedule}","timezone":"{timezone}","assistant_id":"agent"}}"#);
    let fields: CronFields = serde_json::from_str(&body).unwrap();
    validate_cron(name, &fields).unwrap()
}

fn now() -> Timestamp {
    "2026-01-15T12:00:00Z".parse().unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "expect! makes a value")]
fn check(schedule: &str, timezone: &str, expected: Expect) {
    expected.assert_eq(&of_cron(&cron("digest", schedule, timezone), now(), &[]).join("\n"));
}

#[test]
fn a_clock_change_that_skips_or_repeats_a_named_time_is_warned_about() {
    check(
        "30 2 * * *",
        "Europe/Berlin",
        expect![[r#"
            a clock change skips 02:30 on 2026-03-29: it fires at 03:00 instead
            a clock change repeats 02:30 on 2026-10-25: it fires in the first pass only"#]],
    );
    check(
        "*/15 2 * * *",
        "Europe/Berlin",
        expect![[r#"
            a clock change skips 02:00 on 2026-03-29: it does not fire then, since its minutes start with `*`
            a clock change repeats 02:00 on 2026-10-25: it fires in both passes, since its minutes start with `*`"#]],
    );
    check("30 4 * * *", "Europe/Berlin", expect![""]);
    check("30 2 * * mon", "Europe/Berlin", expect![""]);
    check("*/15 * * * *", "Europe/Berlin", expect![""]);
    check("30 2 * * *", "Asia/Kolkata", expect![""]);
}

#[test]
fn pitfalls_of_the_expression_are_warned_about() {
    check(
        "*/7 9 1 * mon",
        "UTC",
        expect![[r#"
            day-of-month and day-of-week are both given: the cron fires on days that satisfy either of them
            minute */7 starts anew with every cycle, so its last interval is 4 instead of 7"#]],
    );
}

#[test]
fn a_cron_that_is_faster_than_its_runs_is_warned_about() {
    let minutely = cron("digest", "* * * * *", "UTC");
    let took = |seconds: &[u64]| seconds.iter().map(|s| Duration::from_secs(*s)).collect::<Vec<_>>();
    assert_eq!(of_cron(&minutely, now(), &took(&[30, 30, 300])), Vec::<String>::new());
    assert_eq!(of_cron(&minutely, now(), &took(&[300, 300])), Vec::<String>::new(), "too few to know");
    let warnings = of_cron(&minutely, now(), &took(&[200, 30, 300]));
    let warning = "fires every 1 min 0 s, but its last 3 runs took 3 min 20 s (median): occurrences in between \
                   are skipped (overlap = \"skip\")";
    assert_eq!(warnings, [warning]);
}

#[test]
fn a_crowded_second_is_warned_about() {
    let crons: Vec<Cron> = (0..101).map(|n| cron(&format!("cron-{n}"), "0 9 * * *", "UTC")).collect();
    let all: Vec<&Cron> = crons.iter().collect();
    assert_eq!(crowded_second(&all[..100], now()), None);
    let warning = crowded_second(&all, now()).unwrap();
    assert!(
        warning.starts_with("101 crons fire in the same second, the first time at 2026-01-16T09:00:00Z"),
        "{warning}"
    );
    let spread: Vec<Cron> = (0..101).map(|n| cron(&format!("cron-{n}"), "H 9 * * *", "UTC")).collect();
    assert_eq!(crowded_second(&spread.iter().collect::<Vec<_>>(), now()), None);
}
