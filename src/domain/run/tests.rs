//! The life of a run, every state met with every change.

use expect_test::expect;

use super::*;

fn outcome() -> Outcome {
    Outcome {
        status: Status::Success,
        reason: None,
        error: None,
        values: None,
        ended_at: Timestamp::UNIX_EPOCH,
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
        RunState::Unconfirmed { start_number: 3, sent_at },
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
                Ok(after) => after.phase().to_string(),
                Err(illegal) => format!("- {illegal}"),
            };
            table.push_str(&format!("{:8} {name:8} {after}\n", state.phase()));
        }
    }
    expect![[r#"
        pending  send     sending
        pending  not sent - a run that is pending cannot be not sent
        pending  unconfirm - a run that is pending cannot come into doubt
        pending  rule out - a run that is pending cannot be ruled out
        pending  accept   - a run that is pending cannot be accepted
        pending  cancel   - a run that is pending cannot be cancelled on the backend
        pending  end      ended
        sending  send     - a run that is sending cannot be sent
        sending  not sent pending 3
        sending  unconfirm unconfirmed
        sending  rule out - a run that is sending cannot be ruled out
        sending  accept   running
        sending  cancel   - a run that is sending cannot be cancelled on the backend
        sending  end      ended
        unconfirmed send     - a run that is unconfirmed cannot be sent
        unconfirmed not sent - a run that is unconfirmed cannot be not sent
        unconfirmed unconfirm unconfirmed
        unconfirmed rule out pending 4
        unconfirmed accept   running
        unconfirmed cancel   - a run that is unconfirmed cannot be cancelled on the backend
        unconfirmed end      ended
        running  send     - a run that is running cannot be sent
        running  not sent - a run that is running cannot be not sent
        running  unconfirm - a run that is running cannot come into doubt
        running  rule out - a run that is running cannot be ruled out
        running  accept   - a run that is running cannot be accepted
        running  cancel   running
        running  end      ended
        ended    send     - a run that is ended cannot be sent
        ended    not sent - a run that is ended cannot be not sent
        ended    unconfirm - a run that is ended cannot come into doubt
        ended    rule out - a run that is ended cannot be ruled out
        ended    accept   - a run that is ended cannot be accepted
        ended    cancel   - a run that is ended cannot be cancelled
        ended    end      - a run that is ended cannot end
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
