//! What becomes of a waiting run when its cron is edited or paused, as tables.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::domain::cron::Catchup;
use crate::domain::cron_state::{Pause, PauseCause};
use crate::domain::ids::{CronId, InstallationId, RunId};
use crate::domain::plan::tests::cron;
use crate::domain::run::RunState;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The run of 09:00, which waits until 10:00 at most.
fn run(trigger: Trigger) -> Run {
    let nine = at("2026-03-02T09:00:00Z");
    Run {
        run_id: RunId::of_occurrence(CronId::of_name(InstallationId::default(), "digest"), nine, 0),
        cron: None,
        trigger,
        scheduled_for: nine,
        retry: 0,
        first_started_at: None,
        due_at: nine,
        start_before: at("2026-03-02T10:00:00Z"),
        send_count: 0,
        not_found_count: 0,
        reason: None,
        state: RunState::Pending { start_number: 1 },
    }
}

#[test]
fn an_edit_ends_what_the_present_definition_would_not_fire() {
    type Change = fn(&mut Cron);
    let cases: [(&str, Change, &str); 9] = [
        ("0 * * * *", |_| {}, "sent"),
        ("0 9 * * *", |_| {}, "sent"),
        ("30 * * * *", |_| {}, "skipped edited"),
        ("0 * * * *", |cron| cron.enabled = false, "skipped disabled"),
        ("0 * * * *", |cron| cron.start_time = Some(at("2026-03-02T09:00:01Z")), "skipped edited"),
        ("0 * * * *", |cron| cron.end_time = Some(at("2026-03-02T09:00:00Z")), "skipped edited"),
        ("0 * * * *", |cron| cron.policy.catchup = Catchup::None, "missed catchup_none"),
        ("0 * * * *", |cron| cron.policy.catchup_window = Duration::from_secs(60), "missed catchup_window"),
        // Nothing is too late that was in time by the same rules.
        ("0 * * * *", |cron| cron.policy.timeout = Some(Duration::from_secs(1)), "sent"),
    ];
    let (former, now) = (cron("0 * * * *"), at("2026-03-02T09:20:00Z"));
    for (schedule, change, expected) in cases {
        let mut cron = cron(schedule);
        change(&mut cron);
        for trigger in [Trigger::Schedule, Trigger::Catchup] {
            let unsent = unsent_after_edit(&run(trigger), &cron, Some(&former), now);
            let fate = unsent.map(|unsent| format!("{} {}", unsent.status, unsent.reason.code));
            assert_eq!(fate.as_deref().unwrap_or("sent"), expected, "{schedule} {:?}", cron.policy);
        }
        for trigger in [Trigger::Manual, Trigger::Backfill] {
            assert_eq!(unsent_after_edit(&run(trigger), &cron, Some(&former), now), None, "{trigger}");
        }
    }
}

#[test]
fn a_pause_ends_what_the_calendar_has_made_wait() {
    let pause = Pause::since(at("2026-03-02T09:10:00Z"), PauseCause::Request);
    let (free, now) = (CronState::default(), at("2026-03-02T09:20:00Z"));
    let paused = CronState { paused: Some(pause.clone()), ..CronState::default() };
    let of_all = Pause { cause: PauseCause::All, until: Some(at("2026-03-02T09:30:00Z")), ..pause };
    for (trigger, ends) in [
        (Trigger::Schedule, true),
        (Trigger::Catchup, true),
        (Trigger::Manual, false),
        (Trigger::Backfill, false),
    ] {
        let unsent = |state: &CronState, of_all: Option<&Pause>, now| {
            let unsent = unsent_while_paused(&run(trigger), state, of_all, now);
            unsent.map(|unsent| unsent.reason.text().to_owned())
        };
        let one = ends.then(|| "the cron was paused on request".to_owned());
        let all = ends.then(|| "all crons were paused on request".to_owned());
        assert_eq!(unsent(&paused, None, now), one, "{trigger}");
        assert_eq!(unsent(&paused, Some(&of_all), now), one, "{trigger}");
        assert_eq!(unsent(&free, Some(&of_all), now), all, "{trigger}");
        assert_eq!(unsent(&free, Some(&of_all), at("2026-03-02T09:30:00Z")), None, "it is over");
        assert_eq!(unsent(&free, None, now), None);
    }
}

#[test]
fn another_start_deadline_counts_from_where_the_former_one_did() {
    let former = cron("0 * * * *");
    let minutes = |count: u64| Some(Duration::from_secs(60 * count));
    for (trigger, deadline, expected) in [
        (Trigger::Schedule, None, "2026-03-02T10:00:00Z"),
        (Trigger::Schedule, minutes(5), "2026-03-02T09:05:00Z"),
        (Trigger::Manual, minutes(120), "2026-03-02T11:00:00Z"),
        (Trigger::Backfill, minutes(5), "2026-03-02T10:00:00Z"),
    ] {
        let mut cron = cron("0 * * * *");
        cron.policy.start_deadline = deadline;
        let start_before = start_before_after_edit(&run(trigger), &cron, Some(&former));
        assert_eq!(start_before, at(expected), "{trigger} {deadline:?}");
    }
}

#[test]
fn another_jitter_moves_what_was_never_sent_and_its_deadline() {
    let former = cron("0 * * * *");
    let mut cron = cron("0 * * * *");
    cron.policy.jitter = Duration::from_secs(600);
    let due = due_after_edit(&run(Trigger::Schedule), &cron);
    assert!(due > at("2026-03-02T09:00:00Z") && due < at("2026-03-02T09:10:00Z"), "{due}");
    let later = |trigger| start_before_after_edit(&run(trigger), &cron, Some(&former));
    assert_eq!(later(Trigger::Schedule).duration_since(due), SignedDuration::from_hours(1));
    assert_eq!(later(Trigger::Catchup), at("2026-03-02T10:00:00Z"));
    let back = Run { due_at: due, start_before: later(Trigger::Schedule), ..run(Trigger::Schedule) };
    assert_eq!(due_after_edit(&back, &former), at("2026-03-02T09:00:00Z"));
    assert_eq!(start_before_after_edit(&back, &former, Some(&cron)), at("2026-03-02T10:00:00Z"));
    let sent = Run { send_count: 1, ..run(Trigger::Schedule) };
    assert_eq!(due_after_edit(&sent, &cron), at("2026-03-02T09:00:00Z"));
    assert_eq!(due_after_edit(&run(Trigger::Manual), &cron), at("2026-03-02T09:00:00Z"));
}

#[test]
fn nobody_has_asked_for_the_retries_of_a_run_that_a_person_asked_for() {
    let pause = Pause::since(at("2026-03-02T09:10:00Z"), PauseCause::Request);
    let paused = CronState { paused: Some(pause), ..CronState::default() };
    let (cron, now) = (cron("0 * * * *"), at("2026-03-02T09:30:00Z"));
    for (first_started_at, ends) in [(Some(at("2026-03-02T09:00:00Z")), true), (None, false)] {
        let retry = Run { retry: 1, first_started_at, ..run(Trigger::Manual) };
        assert_eq!(unsent_while_paused(&retry, &paused, None, now).is_some(), ends);
        assert_eq!(unsent_after_edit(&retry, &cron, None, now).is_some(), ends, "it has no `retry` any more");
    }
}
