//! What is found late, and what is looked for because it may have been started already.

use std::time::Duration;

use expect_test::expect;
use jiff::Timestamp;

use super::{at, check, cron, facts, line, running};
use crate::domain::cron::Catchup;
use crate::domain::cron_state::CronState;
use crate::domain::plan::{Active, PlanFacts, plan};

#[test]
fn a_short_stall_is_no_misfire() {
    let mut cron = cron("* * * * *");
    cron.policy.catchup = Catchup::None;
    check(
        &cron,
        "2026-03-02T08:59:00Z",
        Active::default(),
        "2026-03-02T09:00:05Z",
        expect![[r#"
        fire 2026-03-02T09:00:00Z +0s before 2026-03-02T09:01:00Z (schedule)
        cursor 2026-03-02T09:00:00Z
        wake 2026-03-02T09:01:00Z"#]],
    );
}

#[test]
fn what_can_no_longer_start_before_its_deadline_is_found_late() {
    let (cursor, now) = ("2026-03-02T09:00:28Z", "2026-03-02T09:00:44.930Z");
    let mut cron = cron("* * * * * */4");
    check(
        &cron,
        cursor,
        Active::default(),
        now,
        expect![[r#"
        miss 3: 2026-03-02T09:00:32Z..2026-03-02T09:00:40Z LaterOne
        fire 2026-03-02T09:00:44Z +0s before 2026-03-02T09:00:48Z (schedule)
        cursor 2026-03-02T09:00:44Z
        wake 2026-03-02T09:00:48Z"#]],
    );
    cron.policy.start_deadline = Some(Duration::from_millis(500));
    check(
        &cron,
        cursor,
        Active::default(),
        now,
        expect![[r#"
        miss 3: 2026-03-02T09:00:32Z..2026-03-02T09:00:40Z LaterOne
        fire 2026-03-02T09:00:44Z +0s before 2026-03-02T09:00:45.43Z (catchup)
        cursor 2026-03-02T09:00:44Z
        wake 2026-03-02T09:00:48Z"#]],
    );
}

#[test]
fn what_may_have_started_already_is_looked_for_whatever_else_is_decided() {
    let mut cron = cron("* * * * *");
    cron.policy.catchup = Catchup::None;
    let state = CronState::default();
    let span = |since: &str, until: &str| [(at(since), at(until))];
    let lines = |active, unsure: &[(Timestamp, Timestamp)]| {
        let facts = facts(&state, at("2026-03-02T08:57:00Z"), active, at("2026-03-02T09:00:01Z"));
        let plan = plan(&cron, None, &PlanFacts { unsure, ..facts });
        plan.decisions.iter().map(line).collect::<Vec<_>>()
    };
    let one = span("2026-03-02T08:59:00Z", "2026-03-02T08:59:30Z");
    let both = span("2026-03-02T08:59:00Z", "2026-03-02T09:00:00Z");
    let free = Active::default();
    let table = [lines(free, &[]), lines(free, &one), lines(running(), &one), lines(running(), &both)];
    expect![[r#"
        miss 2: 2026-03-02T08:58:00Z..2026-03-02T08:59:00Z NoCatchup
        fire 2026-03-02T09:00:00Z +0s before 2026-03-02T09:01:00Z (schedule)

        miss 1: 2026-03-02T08:58:00Z..2026-03-02T08:58:00Z NoCatchup
        fire 2026-03-02T08:59:00Z +0s before 2026-03-02T09:00:01Z (schedule)
        fire 2026-03-02T09:00:00Z +0s before 2026-03-02T09:01:00Z (schedule)

        miss 1: 2026-03-02T08:58:00Z..2026-03-02T08:58:00Z NoCatchup
        fire 2026-03-02T08:59:00Z +0s before 2026-03-02T09:00:01Z (schedule)
        skip 2026-03-02T09:00:00Z Overlap(RunId(00000000-0000-0000-0000-000000000000))

        miss 1: 2026-03-02T08:58:00Z..2026-03-02T08:58:00Z NoCatchup
        fire 2026-03-02T08:59:00Z +0s before 2026-03-02T09:00:01Z (schedule)
        fire 2026-03-02T09:00:00Z +0s before 2026-03-02T09:00:01Z (schedule)"#]]
    .assert_eq(&table.map(|lines| lines.join("\n")).join("\n\n"));
}
