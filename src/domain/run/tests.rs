//! The life of a run, every state met with every change.

use expect_test::expect;

use super::*;

fn outcome() -> Outcome {
    Outcome {
        status: Status::Success,
        reason: None,
        error: None,
        values: None,
        interrupts: None,
        ended_at: Timestamp::UNIX_EPOCH,
        learnt_at: Timestamp::UNIX_EPOCH,
    }
}

fn backend_run() -> BackendRun {
    BackendRun {
        start_number: 3,
        thread_id: ThreadId(uuid::Uuid::nil()),
        backend_run_id: BackendRunId(uuid::Uuid::nil()),
        started_at: Timestamp::UNIX_EPOCH,
        cancelling: None,
    }
}

#[test]
fn every_state_meets_every_change() {
    let sent_at = Timestamp::UNIX_EPOCH;
    let states = [
        RunState::Pending { start_number: 3 },
        RunState::Sending { start_number: 3, sent_at },
        RunState::Unconfirmed { start_number: 3, sent_at, ahead: 0 },
        RunState::Unconfirmed { start_number: 3, sent_at, ahead: 2 },
        RunState::Running(backend_run()),
        RunState::Ended { backend_run: Some(backend_run()), outcome: outcome() },
    ];
    let BackendRun { thread_id, backend_run_id, started_at: at, .. } = backend_run();
    let changes = [
        ("send", RunChange::Send { at }),
        ("not sent", RunChange::NotSent),
        ("unconfirm", RunChange::Unconfirm),
        ("rule out", RunChange::RuleOut),
        ("accept", RunChange::Accept { thread_id, backend_run_id, at }),
        ("cancel", RunChange::Cancel(CancelCause::Timeout)),
        ("end", RunChange::End(outcome())),
    ];
    let mut table = String::new();
    for state in &states {
        for (name, change) in &changes {
            let after = match state.clone().apply(change.clone()) {
                Ok(RunState::Pending { start_number }) => format!("pending {start_number}"),
                Ok(RunState::Unconfirmed { start_number, ahead, .. }) => {
                    format!("unconfirmed {start_number}, {ahead} ahead")
                }
                Ok(after) => after.phase().to_string(),
                Err(illegal) => format!("- {illegal}"),
            };
            table.push_str(&format!("{:11} {name:9} {after}\n", state.phase()));
        }
    }
    expect![[r#"
        pending     send      sending
        pending     not sent  - invalid transition: NotSent while pending
        pending     unconfirm - invalid transition: Unconfirm while pending
        pending     rule out  - invalid transition: RuleOut while pending
        pending     accept    - invalid transition: Accept while pending
        pending     cancel    - invalid transition: Cancel while pending
        pending     end       ended
        sending     send      - invalid transition: Send while sending
        sending     not sent  pending 3
        sending     unconfirm unconfirmed 3, 0 ahead
        sending     rule out  - invalid transition: RuleOut while sending
        sending     accept    running
        sending     cancel    - invalid transition: Cancel while sending
        sending     end       ended
        unconfirmed send      - invalid transition: Send while unconfirmed
        unconfirmed not sent  - invalid transition: NotSent while unconfirmed
        unconfirmed unconfirm unconfirmed 3, 0 ahead
        unconfirmed rule out  pending 4
        unconfirmed accept    running
        unconfirmed cancel    - invalid transition: Cancel while unconfirmed
        unconfirmed end       ended
        unconfirmed send      - invalid transition: Send while unconfirmed
        unconfirmed not sent  - invalid transition: NotSent while unconfirmed
        unconfirmed unconfirm unconfirmed 3, 2 ahead
        unconfirmed rule out  unconfirmed 4, 1 ahead
        unconfirmed accept    running
        unconfirmed cancel    - invalid transition: Cancel while unconfirmed
        unconfirmed end       ended
        running     send      - invalid transition: Send while running
        running     not sent  - invalid transition: NotSent while running
        running     unconfirm - invalid transition: Unconfirm while running
        running     rule out  - invalid transition: RuleOut while running
        running     accept    - invalid transition: Accept while running
        running     cancel    running
        running     end       ended
        ended       send      - invalid transition: Send while ended
        ended       not sent  - invalid transition: NotSent while ended
        ended       unconfirm - invalid transition: Unconfirm while ended
        ended       rule out  - invalid transition: RuleOut while ended
        ended       accept    - invalid transition: Accept while ended
        ended       cancel    - invalid transition: Cancel while ended
        ended       end       - invalid transition: End while ended
    "#]]
    .assert_eq(&table);
}

#[test]
fn the_first_cause_of_a_cancellation_is_kept() {
    let state = RunState::Running(backend_run());
    let state = state.apply(RunChange::Cancel(CancelCause::Timeout)).unwrap();
    let RunState::Running(backend_run) = state.apply(RunChange::Cancel(CancelCause::Request)).unwrap() else {
        panic!()
    };
    assert_eq!(backend_run.cancelling, Some(CancelCause::Timeout));
}

#[test]
fn words_are_read_back_as_they_are_written() {
    for status in Status::ALL {
        assert_eq!(status.as_str().parse(), Ok(*status));
    }
    assert!("Success".parse::<Status>().unwrap_err().to_string().contains("success, error, timeout"));
    assert!("gone".parse::<Phase>().is_err());
}

#[test]
fn how_long_a_run_took_that_was_lost_is_not_known() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let took = |code| Outcome::without_backend(Status::Error, Reason::new(code, ""), at(9)).took(at(2));
    assert_eq!(took(ReasonCode::GraphError), Some(Duration::from_secs(7)));
    assert_eq!(took(ReasonCode::Lost), None);
}
