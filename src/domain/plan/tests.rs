//! The plan as tables: what was set up -> what is decided.

mod lateness;
mod outages;
mod pauses;

use std::time::Duration;

use expect_test::{Expect, expect};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::Map;

use super::*;
use crate::domain::bounds::OCCURRENCES_PER_PASS;
use crate::domain::calendar::Calendar;
use crate::domain::cron::{CronSource, DayRange, Mode, OnRunCompleted, Policy, Request, Target};
use crate::domain::cron_state::PauseCause;
use crate::domain::ids::{CronId, InstallationId};
use crate::domain::retention::OwnRetention;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A cron with the default policies.
pub(in crate::domain) fn cron(schedule: &str) -> Cron {
    Cron {
        cron_id: CronId::of_name(InstallationId::default(), "digest"),
        name: "digest".to_owned(),
        source: CronSource::File,
        calendar: Calendar::parse(schedule, "UTC", "digest").unwrap(),
        enabled: true,
        start_time: None,
        end_time: None,
        request: Request {
            assistant_id: "agent".to_owned(),
            target: Target::Stateless(OnRunCompleted::Delete),
            mode: Mode::Background,
            payload: Map::new(),
            metadata: Map::new(),
            multitask_strategy: None,
        },
        webhook: None,
        ping: None,
        policy: Policy {
            overlap: Overlap::Skip,
            catchup: Catchup::Latest,
            catchup_window: Duration::from_secs(24 * 3600),
            start_deadline: None,
            timeout: None,
            jitter: Duration::ZERO,
            exclude: Vec::new(),
            pause_after_failures: None,
            retry: None,
            retention: OwnRetention::default(),
        },
    }
}

fn running() -> Active {
    Active {
        running: Some(Going {
            run_id: RunId(uuid::Uuid::nil()),
            since: None,
            is_confirmed: true,
            is_denied: false,
        }),
        ..Active::default()
    }
}

/// Facts without outages, and with nothing that was decided before.
fn facts<'a>(state: &'a CronState, cursor: Timestamp, active: Active, now: Timestamp) -> PlanFacts<'a> {
    static NOTHING: Decided = Decided::NOTHING;
    PlanFacts {
        state,
        pauses_of_all: &[],
        cursor,
        decided: &NOTHING,
        active,
        outages: &[],
        unsure: &[],
        occurrences_max: OCCURRENCES_PER_PASS,
        now,
    }
}

fn check(cron: &Cron, cursor: &str, active: Active, now: &str, expected: Expect) {
    check_in_state(cron, &CronState::default(), cursor, active, now, expected);
}

#[expect(clippy::needless_pass_by_value, reason = "expect! makes a value")]
fn check_in_state(cron: &Cron, state: &CronState, cursor: &str, active: Active, now: &str, expected: Expect) {
    let plan = plan(cron, None, &facts(state, at(cursor), active, at(now)));
    let mut lines: Vec<String> = plan.decisions.iter().map(line).collect();
    lines.push(format!("cursor {}", plan.cursor));
    lines.push(plan.next_wake.map_or("the end".to_owned(), |at| format!("wake {at}")));
    expected.assert_eq(&lines.join("\n"));
}

/// Plans for a cron without a pause or active runs.
fn plan_free(cron: &Cron, cursor: Timestamp, now: Timestamp) -> Plan {
    plan(cron, None, &facts(&CronState::default(), cursor, Active::default(), now))
}

fn line(decision: &Decision) -> String {
    match decision {
        Decision::Fire { scheduled_for, due_at, start_before, trigger } => {
            let delay = due_at.duration_since(*scheduled_for).as_secs();
            format!("fire {scheduled_for} +{delay}s before {start_before} ({trigger})")
        }
        Decision::Skip { scheduled_for, reason } => format!("skip {scheduled_for} {reason:?}"),
        Decision::Pause { first, last, count, pause } => {
            let of_all = if pause.cause == PauseCause::All { " (all)" } else { "" };
            format!("pause {count}: {first}..{last}{of_all}")
        }
        Decision::Drop { first, last, count, reason } => {
            format!("drop {count}: {first}..{last} ({})", reason.code)
        }
        Decision::Miss { first, last, count, reason, outage } => {
            let during = outage.as_ref().map_or(String::new(), |outage| format!(" ({})", outage.what));
            format!("miss {count}: {first}..{last} {reason:?}{during}")
        }
    }
}

#[test]
fn nothing_is_due_before_its_time() {
    let cron = cron("0 9 * * *");
    let now = "2026-03-02T08:59:59.999Z";
    check(
        &cron,
        "2026-03-01T09:00:00Z",
        Active::default(),
        now,
        expect![[r#"
        cursor 2026-03-01T09:00:00Z
        wake 2026-03-02T09:00:00Z"#]],
    );
}

#[test]
fn what_is_due_is_fired_with_the_next_occurrence_as_its_deadline_but_an_hour_at_most() {
    let now = "2026-03-02T09:00:00.004Z";
    check(
        &cron("*/5 * * * *"),
        "2026-03-02T08:55:00Z",
        Active::default(),
        now,
        expect![[r#"
        fire 2026-03-02T09:00:00Z +0s before 2026-03-02T09:05:00Z (schedule)
        cursor 2026-03-02T09:00:00Z
        wake 2026-03-02T09:05:00Z"#]],
    );
    check(
        &cron("0 9 * * *"),
        "2026-03-02T08:55:00Z",
        Active::default(),
        now,
        expect![[r#"
        fire 2026-03-02T09:00:00Z +0s before 2026-03-02T10:00:00Z (schedule)
        cursor 2026-03-02T09:00:00Z
        wake 2026-03-03T09:00:00Z"#]],
    );
}

#[test]
fn nothing_is_judged_by_a_recovered_run_before_it_was_looked_at_or_too_long_ago_to_wait() {
    let cron = cron("* * * * *");
    let reason = Reason::bare(ReasonCode::Edited);
    let mut table = String::new();
    for (recovered_at, now) in [
        ("09:00:00", "09:00:02"),
        ("09:00:00", "09:00:03"),
        ("09:30:00", "09:00:02"),
        ("08:59:00", "09:00:00"),
    ] {
        let instant = |time: &str| at(&format!("2026-03-02T{time}Z"));
        let active = Active { recovered_at: Some(instant(recovered_at)), ..running() };
        for former in [None, Some(Former { cron: &cron, until: Timestamp::MAX, reason: &reason })] {
            let (state, cursor) = (CronState::default(), instant("08:59:00"));
            let plan = plan(&cron, former, &facts(&state, cursor, active, instant(now)));
            let decisions: Vec<_> = plan.decisions.iter().map(line).collect();
            let how = if former.is_some() { "edited " } else { "" };
            let wake = plan.next_wake.unwrap();
            table.push_str(&format!("{how}recovered {recovered_at}, at {now}: {decisions:?}, wake {wake}\n"));
        }
    }
    expect![[r#"
        recovered 09:00:00, at 09:00:02: [], wake 2026-03-02T09:00:03Z
        edited recovered 09:00:00, at 09:00:02: ["fire 2026-03-02T09:00:00Z +0s before 2026-03-02T09:01:00Z (schedule)"], wake 2026-03-02T09:01:00Z
        recovered 09:00:00, at 09:00:03: ["skip 2026-03-02T09:00:00Z Overlap(RunId(00000000-0000-0000-0000-000000000000))"], wake 2026-03-02T09:01:00Z
        edited recovered 09:00:00, at 09:00:03: ["skip 2026-03-02T09:00:00Z Overlap(RunId(00000000-0000-0000-0000-000000000000))"], wake 2026-03-02T09:01:00Z
        recovered 09:30:00, at 09:00:02: ["skip 2026-03-02T09:00:00Z Overlap(RunId(00000000-0000-0000-0000-000000000000))"], wake 2026-03-02T09:01:00Z
        edited recovered 09:30:00, at 09:00:02: ["skip 2026-03-02T09:00:00Z Overlap(RunId(00000000-0000-0000-0000-000000000000))"], wake 2026-03-02T09:01:00Z
        recovered 08:59:00, at 09:00:00: ["skip 2026-03-02T09:00:00Z Overlap(RunId(00000000-0000-0000-0000-000000000000))"], wake 2026-03-02T09:01:00Z
        edited recovered 08:59:00, at 09:00:00: ["skip 2026-03-02T09:00:00Z Overlap(RunId(00000000-0000-0000-0000-000000000000))"], wake 2026-03-02T09:01:00Z
    "#]].assert_eq(&table);
}

#[test]
fn an_occurrence_during_a_run_is_skipped_queued_or_allowed() {
    let (cursor, now) = ("2026-03-02T08:59:00Z", "2026-03-02T09:00:00Z");
    let mut cron = cron("* * * * *");
    check(
        &cron,
        cursor,
        running(),
        now,
        expect![[r#"
        skip 2026-03-02T09:00:00Z Overlap(RunId(00000000-0000-0000-0000-000000000000))
        cursor 2026-03-02T09:00:00Z
        wake 2026-03-02T09:01:00Z"#]],
    );
    cron.policy.overlap = Overlap::Allow;
    check(
        &cron,
        cursor,
        running(),
        now,
        expect![[r#"
        fire 2026-03-02T09:00:00Z +0s before 2026-03-02T09:01:00Z (schedule)
        cursor 2026-03-02T09:00:00Z
        wake 2026-03-02T09:01:00Z"#]],
    );
    cron.policy.overlap = Overlap::Queue;
    check(
        &cron,
        cursor,
        Active { waiting: 1, ..running() },
        now,
        expect![[r#"
        skip 2026-03-02T09:00:00Z QueueFull
        cursor 2026-03-02T09:00:00Z
        wake 2026-03-02T09:01:00Z"#]],
    );
}

#[test]
fn skip_next_skips_exactly_one_and_no_excluded_day_uses_it_up() {
    let mut cron = cron("0 0,12 * * *");
    cron.policy.catchup = Catchup::All;
    cron.policy.catchup_window = Duration::from_secs(7 * 24 * 3600);
    let day = "2026-03-03".parse().unwrap();
    cron.policy.exclude = vec![DayRange { first: day, last: day }];
    let state = CronState { skip_next: true, ..CronState::default() };
    check_in_state(
        &cron,
        &state,
        "2026-03-02T12:00:00Z",
        Active::default(),
        "2026-03-04T12:00:00Z",
        expect![[r#"
            skip 2026-03-03T00:00:00Z Excluded
            skip 2026-03-03T12:00:00Z Excluded
            skip 2026-03-04T00:00:00Z Requested
            fire 2026-03-04T12:00:00Z +0s before 2026-03-04T13:00:00Z (schedule)
            cursor 2026-03-04T12:00:00Z
            wake 2026-03-05T00:00:00Z"#]],
    );
    let now = at("2026-03-02T13:00:00Z");
    let before = plan(&cron, None, &facts(&state, at("2026-03-02T12:00:00Z"), Active::default(), now));
    assert!(!before.used_skip_next);
}

#[test]
fn excluded_days_are_local_days_and_are_recorded() {
    let mut cron = cron("0 9 * * *");
    cron.calendar = Calendar::parse("0 1 * * *", "Pacific/Auckland", "digest").unwrap();
    let day = "2026-03-03".parse().unwrap();
    cron.policy.exclude = vec![DayRange { first: day, last: day }];
    check(
        &cron,
        "2026-03-02T00:00:00Z",
        Active::default(),
        "2026-03-02T12:00:00Z",
        expect![[r#"
        skip 2026-03-02T12:00:00Z Excluded
        cursor 2026-03-02T12:00:00Z
        wake 2026-03-03T12:00:00Z"#]],
    );
}

#[test]
fn start_and_end_bound_the_calendar_and_a_disabled_cron_has_none() {
    let mut cron = cron("0 * * * *");
    cron.start_time = Some(at("2026-03-02T08:00:00Z"));
    cron.end_time = Some(at("2026-03-02T09:00:00Z"));
    check(
        &cron,
        "2026-03-01T00:00:00Z",
        Active::default(),
        "2026-03-02T08:00:01Z",
        expect![[r#"
        fire 2026-03-02T08:00:00Z +0s before 2026-03-02T09:00:00Z (schedule)
        cursor 2026-03-02T08:00:00Z
        the end"#]],
    );
    cron.enabled = false;
    check(
        &cron,
        "2026-03-01T00:00:00Z",
        Active::default(),
        "2026-03-02T08:00:01Z",
        expect![[r#"
        cursor 2026-03-01T00:00:00Z
        the end"#]],
    );
}

#[test]
fn jitter_only_delays_and_is_the_same_each_time() {
    let mut cron = cron("0 * * * *");
    cron.policy.jitter = Duration::from_secs(600);
    let due = |now: &str| match plan_free(&cron, at("2026-03-02T08:00:00Z"), at(now)).decisions[0] {
        Decision::Fire { due_at, .. } => due_at,
        ref other => panic!("{other:?}"),
    };
    let first = due("2026-03-02T09:00:00Z");
    assert_eq!(first, due("2026-03-02T09:00:02Z"));
    assert!(first >= at("2026-03-02T09:00:00Z") && first < at("2026-03-02T09:10:00Z"), "{first}");
}

#[test]
fn a_clock_set_back_fires_nothing_again() {
    let cron = cron("* * * * *");
    check(
        &cron,
        "2026-03-02T09:00:00Z",
        Active::default(),
        "2026-03-02T05:00:00Z",
        expect![[r#"
        cursor 2026-03-02T09:00:00Z
        wake 2026-03-02T09:01:00Z"#]],
    );
}

#[test]
fn an_instant_that_is_decided_is_passed_over_and_uses_up_no_skip() {
    let cron = cron("* * * * *");
    let recorded = ["2026-03-02T09:01:00Z", "2026-03-02T09:02:00Z", "2026-03-02T09:04:00Z"];
    let decided = recorded.iter().map(|text| (cron.cron_id, at(text))).collect();
    let state = CronState { skip_next: true, ..CronState::default() };
    let plan = |now| {
        let facts = facts(&state, at("2026-03-02T09:00:30Z"), Active::default(), at(now));
        plan(&cron, None, &PlanFacts { decided: &decided, ..facts })
    };
    let before = plan("2026-03-02T09:02:30Z");
    assert_eq!((before.decisions.len(), before.next_wake), (0, Some(at("2026-03-02T09:03:00Z"))));
    let then = plan("2026-03-02T09:03:00Z");
    let skip = Decision::Skip { scheduled_for: at("2026-03-02T09:03:00Z"), reason: SkipReason::Requested };
    assert_eq!((then.decisions, then.next_wake), (vec![skip], Some(at("2026-03-02T09:05:00Z"))));
}

#[test]
fn a_year_of_a_cron_that_fires_every_second_is_taken_up_in_bounded_passes() {
    let cron = cron("* * * * * *");
    let plan = plan_free(&cron, at("2025-03-02T09:00:00Z"), at("2026-03-02T09:00:00Z"));
    assert_eq!(plan.decisions.len(), 1);
    assert_eq!(plan.next_wake, Some(at("2025-03-02T11:46:41Z")));
}

#[test]
fn an_edit_is_planned_by_the_new_definition_from_the_first_occurrence_that_the_old_one_left_undecided() {
    // The old definition, the new one, and what is decided about the time from 08:30 to 11:20.
    let nothing = "";
    let cases = [
        ("0 * * * *", "0 * * * *", "miss 2: 09:00..10:00 LaterOne, fire 11:00"),
        // 08:45 lies before everything that was open.
        (
            "0 * * * *",
            "45 * * * *",
            "drop 2: 09:00..10:00, miss 1: 09:45..09:45 LaterOne, fire 10:45, drop 1: 11:00..11:00",
        ),
        ("0 * * * *", "0 8 1 1 *", "drop 3: 09:00..11:00"),
        ("0 8 1 1 *", "0 * * * *", nothing),
        ("0 10 * * *", "0 * * * *", "miss 1: 10:00..10:00 LaterOne, fire 11:00"),
    ];
    let (cursor, now) = (at("2026-03-02T08:30:00Z"), at("2026-03-02T11:20:00Z"));
    let reason = Reason::bare(ReasonCode::Edited);
    for (old, new, expected) in cases {
        let (old, new) = (cron(old), cron(new));
        let (former, state) = (Former { cron: &old, until: now, reason: &reason }, CronState::default());
        let decisions = match undecided_after(&old, cursor, now) {
            Some(after) => plan(&new, Some(former), &facts(&state, after, Active::default(), now)).decisions,
            None => Vec::new(),
        };
        let short = |decision: &Decision| {
            let line = line(decision).replace("2026-03-02T", "").replace(":00Z", "").replace(" (edited)", "");
            line.split(" +").next().unwrap().to_owned()
        };
        assert_eq!(
            decisions.iter().map(short).collect::<Vec<_>>().join(", "),
            expected,
            "{old:?} -> {new:?}"
        );
    }
}

proptest! {
    /// For any readings of the clock, in any order, no instant is decided about twice and none in between is
    /// left out.
    #[test]
    fn every_instant_is_decided_about_once(readings in prop::collection::vec(0_i64..200_000, 1..40), all in any::<bool>()) {
        let mut cron = cron("*/7 * * * *");
        cron.policy.catchup = if all { Catchup::All } else { Catchup::Latest };
        let start = at("2026-03-02T09:00:00Z");
        let mut cursor = start;
        let mut seen = Vec::new();
        for reading in readings {
            let now = Timestamp::from_second(start.as_second() + reading).unwrap();
            let plan = plan_free(&cron, cursor, now);
            prop_assert!(plan.cursor >= cursor);
            cursor = plan.cursor;
            for decision in &plan.decisions {
                match decision {
                    Decision::Fire { scheduled_for, due_at, start_before, .. } => {
                        prop_assert!(scheduled_for <= &now && due_at >= scheduled_for && start_before > due_at);
                        seen.push((*scheduled_for, 1));
                    }
                    Decision::Skip { scheduled_for, .. } => seen.push((*scheduled_for, 1)),
                    Decision::Pause { first, count, .. }
                    | Decision::Drop { first, count, .. }
                    | Decision::Miss { first, count, .. } => seen.push((*first, *count)),
                }
            }
        }
        let mut expected = Vec::new();
        let mut next = cron.calendar.next_after(start).map(|occasion| occasion.at);
        while let Some(at) = next && at <= cursor {
            expected.push(at);
            next = cron.calendar.next_after(at).map(|occasion| occasion.at);
        }
        let total: u64 = seen.iter().map(|(_, count)| count).sum();
        prop_assert_eq!(total, expected.len() as u64);
        prop_assert!(seen.is_sorted() && seen.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
