//! What follows from the end of a run, as tables.

use super::*;
use crate::domain::ids::{BackendRunId, CronId, InstallationId, RunId};
use crate::domain::plan::tests::cron;
use crate::domain::reason::Reason;
use crate::domain::run::{BackendRun, RunError};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn policy(max: u32) -> Policy {
    let retry = RetryPolicy {
        max,
        backoff: Duration::from_secs(60),
        factor: 2.0,
        on: vec![RetryOn::Error, RetryOn::Timeout],
        timeout_each: None,
        webhook_each: false,
    };
    Policy { retry: Some(retry), ..cron("0 9 * * *").policy }
}

/// The run of 09:00 that started at once, or a retry of it that started at 09:10.
fn run(retry: u32) -> Run {
    let nine = at("2026-03-02T09:00:00Z");
    let started_at = if retry == 0 { nine } else { at("2026-03-02T09:10:00Z") };
    let run_id = RunId::of_occurrence(CronId::of_name(InstallationId::default(), "digest"), nine, retry);
    let backend_run = BackendRun {
        start_number: 1,
        thread_id: run_id.thread_of_start(1),
        backend_run_id: BackendRunId(run_id.0),
        started_at,
        cancelling: None,
    };
    Run {
        run_id,
        cron: None,
        trigger: Trigger::Schedule,
        scheduled_for: nine,
        retry,
        first_started_at: (retry > 0).then_some(nine),
        due_at: nine,
        start_before: at("2026-03-02T09:30:00Z"),
        send_count: 1,
        not_found_count: 0,
        reason: None,
        state: RunState::Running(backend_run),
    }
}

fn failed(status: Status, code: ReasonCode) -> Outcome {
    let ended_at = at("2026-03-02T09:11:00Z");
    Outcome::without_backend(status, Reason::bare(code), ended_at)
}

fn wait(after: &AfterRun) -> Duration {
    match after {
        AfterRun::Retry(next) => backoff::between(at("2026-03-02T09:11:00Z"), next.due_at),
        AfterRun::Final(why) => panic!("{why}"),
    }
}

#[test]
fn each_status_and_each_reason_is_retried_or_not() {
    let statuses = |policy: &Policy| -> Vec<&str> {
        let is_retried = |status: &&Status| {
            let outcome = failed(**status, ReasonCode::GraphError);
            matches!(after_run(policy, &run(0), &outcome), AfterRun::Retry(_))
        };
        Status::ALL.iter().filter(is_retried).map(|status| status.as_str()).collect()
    };
    assert_eq!(statuses(&policy(2)), ["error", "timeout"]);
    let mut only_error = policy(2);
    only_error.retry.as_mut().unwrap().on = vec![RetryOn::Error];
    assert_eq!(statuses(&only_error), ["error"]);
    assert!(statuses(&Policy { retry: None, ..policy(2) }).is_empty());
    let is_retried = |code: &&ReasonCode| {
        let outcome = failed(Status::Error, **code);
        matches!(after_run(&policy(2), &run(0), &outcome), AfterRun::Retry(_))
    };
    let codes: Vec<&str> = ReasonCode::ALL.iter().filter(is_retried).map(|code| code.as_str()).collect();
    let expected = [
        "started_late",
        "adopted",
        "lost",
        "graph_error",
        "overloaded",
        "timeout",
        "after_timeout",
        "backend_timeout",
        "values_too_large",
        "values_gone",
    ];
    assert_eq!(codes, expected);
    let never_accepted = Run { state: RunState::Pending { start_number: 1 }, ..run(0) };
    let outcome = failed(Status::Error, ReasonCode::GraphError);
    assert_eq!(after_run(&policy(2), &never_accepted, &outcome), AfterRun::Final(WhyFinal::WouldNotHelp));
}

#[test]
fn the_waits_grow_and_end_with_the_last_retry() {
    let outcome = failed(Status::Error, ReasonCode::GraphError);
    for (retry, seconds) in [(0, 60), (1, 120), (2, 240), (9, 3600)] {
        let wait = wait(&after_run(&policy(10), &run(retry), &outcome)).as_secs();
        assert!((seconds..=seconds * 12 / 10).contains(&wait), "{retry}: {wait} s");
    }
    assert_eq!(after_run(&policy(2), &run(2), &outcome), AfterRun::Final(WhyFinal::UsedUp));
}

#[test]
fn an_overload_is_waited_out() {
    let overloaded = |message: &str| {
        let error = Some(RunError { error: "RateLimitError".to_owned(), message: message.to_owned() });
        Outcome { error, ..failed(Status::Error, ReasonCode::Overloaded) }
    };
    let mut soon = policy(2);
    soon.retry.as_mut().unwrap().backoff = Duration::from_secs(1);
    for (message, seconds) in
        [("try again in 20ms", 60), ("try again in 6m0s", 360), ("insufficient_quota", 3600)]
    {
        let wait = wait(&after_run(&soon, &run(0), &overloaded(message))).as_secs();
        assert!((seconds..=seconds * 12 / 10).contains(&wait), "{message}: {wait} s");
    }
}

#[test]
fn the_limits_count_from_the_occurrence() {
    let outcome = failed(Status::Error, ReasonCode::GraphError);
    let minutes = |minutes: u64| Some(Duration::from_secs(minutes * 60));
    let after = |change: fn(&mut Policy, Option<Duration>), limit| {
        let mut policy = policy(9);
        change(&mut policy, limit);
        after_run(&policy, &run(1), &outcome)
    };
    let timeout: fn(&mut Policy, _) = |policy, limit| policy.timeout = limit;
    assert_eq!(after(timeout, minutes(12)), AfterRun::Final(WhyFinal::Timeout));
    assert!(matches!(after(timeout, minutes(15)), AfterRun::Retry(_)));
    let start_deadline: fn(&mut Policy, _) = |policy, limit| policy.start_deadline = limit;
    let AfterRun::Retry(next) = after(start_deadline, minutes(30)) else { panic!("final") };
    assert_eq!((next.retry, next.start_before), (2, at("2026-03-02T09:30:00Z")));
    assert_eq!(next.first_started_at, at("2026-03-02T09:00:00Z"));
    let late = Run { start_before: at("2026-03-02T09:12:00Z"), ..run(1) };
    let explicit = Policy { start_deadline: minutes(12), ..policy(9) };
    assert_eq!(after_run(&explicit, &late, &outcome), AfterRun::Final(WhyFinal::StartDeadline));
    // Without one, a retry may be late by as much as any run.
    let AfterRun::Retry(next) = after_run(&policy(9), &late, &outcome) else { panic!("final") };
    assert_eq!(backoff::between(next.due_at, next.start_before), START_DEADLINE_MAX);
}

#[test]
fn a_retry_that_never_ran_leaves_the_webhook_to_the_run_before_it() {
    let ended = |status, code, backend_run: bool| {
        let RunState::Running(running) = run(1).state else { panic!("not running") };
        let backend_run = backend_run.then_some(running);
        owes_former_webhook(&RunState::Ended { backend_run, outcome: failed(status, code) })
    };
    let cases = [
        (Status::Skipped, ReasonCode::Paused, false, true),
        (Status::Missed, ReasonCode::CatchupNone, false, true),
        (Status::Cancelled, ReasonCode::CancelRequest, false, true),
        (Status::Cancelled, ReasonCode::CancelRequest, true, false),
        (Status::Error, ReasonCode::StartDeadline, false, true),
        (Status::Error, ReasonCode::Internal, true, true),
        (Status::Error, ReasonCode::Rejected, false, false),
        (Status::Error, ReasonCode::GraphError, true, false),
        (Status::Success, ReasonCode::Adopted, true, false),
    ];
    for (status, code, had, expected) in cases {
        assert_eq!(ended(status, code, had), expected, "{status} {code} {had}");
    }
}

#[test]
fn a_further_run_does_not_start_once_the_timeout_of_its_occurrence_is_over() {
    let timeout = Some(Duration::from_secs(20 * 60));
    let policy = Policy { timeout, ..policy(2) };
    let AfterRun::Retry(next) = after_run(&policy, &run(0), &failed(Status::Error, ReasonCode::GraphError))
    else {
        panic!("it is retried")
    };
    assert_eq!(next.start_before, at("2026-03-02T09:20:00Z"));
}
