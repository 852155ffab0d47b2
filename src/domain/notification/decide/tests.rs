//! Stories of things that come and go, and what is told of them.

use expect_test::{Expect, expect};

use super::super::notification;
use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn condition(kind: NotificationKind, name: &str, since: i64, until: Option<i64>) -> Condition {
    Condition {
        kind,
        subject: name.to_owned(),
        name: name.to_owned(),
        since: at(since),
        until: until.map(at),
        text: "so".to_owned(),
    }
}

fn failing(name: &str, since: i64) -> Condition {
    condition(NotificationKind::Failing, name, since, None)
}

/// Looks every second at what is so, and shows what is told.
fn check(seconds: i64, so: impl Fn(i64) -> Vec<Condition>, expected: Expect) {
    let (mut told, mut story): (Vec<Announced>, String) = (Vec::new(), String::new());
    for second in 0..seconds {
        let conditions = so(second);
        let changes = decide(&told, &conditions, InstallationId::default(), at(second));
        assert!(changes.next_at.is_none_or(|next| next > at(second)), "{changes:?}");
        let again = decide(&told, &conditions, InstallationId::default(), at(second));
        assert_eq!(changes, again, "the same is decided again, with the same ids");
        for row in changes.rows {
            told.retain(|other| (other.kind, &other.subject) != (row.kind, &row.subject));
            told.push(row);
        }
        for group in changes.groups {
            let changes: Vec<&Change> = group.changes.iter().collect();
            let one = notification(group.kind, group.ended, &changes, group.id, "host", at(second));
            story.push_str(&format!("{second}: {} [{}]\n", one.data.title, one.data.severity));
            for (item, change) in one.data.items.iter().zip(&changes) {
                let incident = if change.incident.is_some() { ", of an incident" } else { "" };
                let (_, said) = item.text.split_once(": ").map_or(("", ""), |(times, said)| (times, said));
                story.push_str(&format!("    {} {said}{incident}\n", item.name));
            }
        }
    }
    expected.assert_eq(&story);
}

#[test]
fn what_fails_together_is_told_together_and_what_works_again_is_told_once() {
    let so = |second: i64| {
        let names = ["a", "b", "c", "d"];
        let begun = names.iter().zip(0..).filter(|(_, index)| second >= 100 + index * 2);
        begun
            .map(|(name, index)| match second < 300 {
                true => failing(name, 100 + index * 2),
                false => condition(NotificationKind::Failing, name, 100 + index * 2, Some(300)),
            })
            .collect()
    };
    check(
        1000,
        so,
        expect![[r#"
        110: a, b, c and 1 more are failing [error]
            a so
            b so
            c so
            d so
        310: a, b, c and 1 more work again [info]
            a so, of an incident
            b so, of an incident
            c so, of an incident
            d so, of an incident
    "#]],
    );
}

#[test]
fn crons_that_fail_one_after_the_other_make_a_message_a_minute_at_most() {
    let so = |second: i64| {
        (0..20).map(|n| failing(&format!("c{n:02}"), n * 6)).filter(|c| c.since <= at(second)).collect()
    };
    check(
        400,
        so,
        expect![[r#"
        10: c00 and c01 are failing [error]
            c00 so
            c01 so
        70: c02, c03, c04 and 7 more are failing [error]
            c02 so
            c03 so
            c04 so
            c05 so
            c06 so
            c07 so
            c08 so
            c09 so
            c10 so
            c11 so
        130: c12, c13, c14 and 5 more are failing [error]
            c12 so
            c13 so
            c14 so
            c15 so
            c16 so
            c17 so
            c18 so
            c19 so
    "#]],
    );
}

#[test]
fn what_is_over_before_it_is_told_is_not_told() {
    let so = |second: i64| if (100..105).contains(&second) { vec![failing("a", 100)] } else { Vec::new() };
    check(400, so, expect![[""]]);
}

#[test]
fn what_comes_and_goes_is_told_seldom_and_counted() {
    // Ten minutes each: failing for five, working for five.
    let so = |second: i64| {
        let round = second / 600 * 600;
        match second % 600 < 300 {
            true => vec![failing("a", round)],
            false => vec![condition(NotificationKind::Failing, "a", round, Some(round + 300))],
        }
    };
    check(
        3 * 3600,
        so,
        expect![[r#"
        10: a is failing [error]
            a so
        310: a works again [info]
            a so, of an incident
        2410: a is failing [error]
            a so (it came and went 3 times since the last message)
        4510: a works again [info]
            a so (it came and went 3 times since the last message), of an incident
        6610: a is failing [error]
            a so (it came and went 3 times since the last message)
        8710: a works again [info]
            a so (it came and went 3 times since the last message), of an incident
    "#]],
    );
}

#[test]
fn an_outage_that_nobody_was_told_of_is_told_if_it_was_long() {
    let outage = |name: &str, since, until| condition(NotificationKind::Outage, name, since, Some(until));
    let so = |second: i64| match second {
        ..200 => Vec::new(),
        _ => vec![outage("daemon", 100, 199), outage("store", 190, 199)],
    };
    check(
        400,
        so,
        expect![[r#"
        209: daemon is back [info]
            daemon so
    "#]],
    );
}

#[test]
fn what_was_missed_is_told_once_for_each_time() {
    let missed = |at: i64| condition(NotificationKind::Missed, "a", at, Some(at + 1));
    let so = |second: i64| match second {
        ..100 => Vec::new(),
        100..4000 => vec![missed(99)],
        _ => vec![missed(3999)],
    };
    check(
        5000,
        so,
        expect![[r#"
        110: a missed its time [warning]
            a so
        4010: a missed its time [warning]
            a so
    "#]],
    );
}

#[test]
fn what_is_no_longer_known_has_ended() {
    let pause = |name: &str| condition(NotificationKind::Paused, name, 100, None);
    let so = |second: i64| if (100..200).contains(&second) { vec![pause("a")] } else { Vec::new() };
    check(
        400,
        so,
        expect![[r#"
        110: a is paused [warning]
            a so
        200: a is no longer paused [info]
            a , of an incident
    "#]],
    );
}

#[test]
fn a_clock_that_is_set_back_delays_nothing() {
    let row = Announced {
        kind: NotificationKind::Failing,
        subject: "a".to_owned(),
        name: "a".to_owned(),
        holds: true,
        since: at(0),
        told_at: at(100_000),
        burst: 1,
        seen_since: at(0),
        untold: 0,
        incident: Uuid::nil(),
    };
    let over = [condition(NotificationKind::Failing, "a", 0, Some(10))];
    let changes = decide(&[row], &over, InstallationId::default(), at(100));
    assert_eq!(changes.groups.len(), 1, "{changes:?}");
}
