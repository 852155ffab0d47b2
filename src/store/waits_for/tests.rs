//! What exclusive runs wait for, and for how long.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::config::CronDefinition;
use crate::domain::act::Actor;
use crate::domain::ids::{BackendRunId, ThreadId};
use crate::domain::reason::{Reason, ReasonCode};
use crate::domain::run::{Outcome, RunChange, Status};
use crate::store::TriggerRequest;
use crate::store::tests::{hold, open_store, shell};
use crate::store::{Claim, ClaimLimits, Execution, Planned, RunEnding, Step, Store};

fn at(time: &str) -> Timestamp {
    format!("2026-03-02T{time}Z").parse().unwrap()
}

fn digest(more: &str) -> Vec<Arc<CronDefinition>> {
    let body = format!(r#"{{"schedule":"* * * * *","assistant_id":"agent"{more}}}"#);
    vec![CronDefinition::of_body("digest", &body)]
}

/// A store with one cron, which fires each minute from 09:01 on.
async fn store(folder: &Path, more: &str) -> Store {
    let store = open_store(folder, Execution::Inline);
    store.sync_file_crons(at("09:00:00"), digest(more)).await.unwrap();
    store
}

async fn plan(store: &Store, now: &str) -> Planned {
    store.plan_due(at(now)).await.unwrap()
}

async fn claim(store: &Store, now: &str) -> Claim {
    store
        .claim_runs(
            at(now),
            ClaimLimits { starts: 10, in_flight: 0, running_max: 10, own_places: usize::MAX },
        )
        .await
        .unwrap()
}

/// Claims the one run that may start, and records that the backend has it.
async fn start(store: &Store, now: &str) -> RunId {
    let starts = claim(store, now).await.starts;
    assert_eq!(starts.len(), 1, "{starts:?}");
    let run_id = starts[0].run.run_id;
    let (thread_id, backend_run_id) = (ThreadId(run_id.0), BackendRunId(run_id.0));
    let accept = RunChange::Accept { thread_id, backend_run_id, at: at(now) };
    store.step_run(Step::of(starts[0].held(), accept)).await.unwrap();
    run_id
}

async fn end(store: &Store, run_id: RunId, now: &str) -> bool {
    let reason = Reason::bare(ReasonCode::GraphError);
    let outcome = Outcome::without_backend(Status::Error, reason, at(now));
    let run = hold(store, run_id).await;
    let ending = RunEnding::of(run, outcome);
    store.end_run(ending).await.unwrap().may_act
}

#[tokio::test]
async fn a_queued_run_waits_as_long_as_the_one_before_it_takes_and_its_deadline_counts_from_then() {
    let folder = tempfile::tempdir().unwrap();
    let first = {
        let store = store(folder.path(), r#","overlap":"queue""#).await;
        plan(&store, "09:01:00").await;
        let first = start(&store, "09:01:00").await;
        plan(&store, "09:02:00").await;
        assert!(claim(&store, "09:10:00").await.expired.is_empty());
        first
    };
    let store = open_store(folder.path(), Execution::Inline);
    store.recover(at("09:20:00")).await.unwrap();
    let due = claim(&store, "09:20:00").await;
    assert!(due.expired.is_empty() && due.starts.is_empty(), "{due:?}");
    end(&store, first, "09:30:00").await;
    let second = claim(&store, "09:30:59").await.starts.remove(0).run;
    assert_eq!((second.scheduled_for, second.start_before), (at("09:02:00"), at("09:31:00")));
}

#[tokio::test]
async fn every_run_of_a_queue_has_its_whole_deadline_after_the_one_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), r#","catchup":"all""#).await;
    plan(&store, "09:03:30").await;
    store
        .trigger(at("09:03:30"), Actor::AGENTCRON, TriggerRequest { name: "digest".to_owned(), input: None })
        .await
        .unwrap();
    let ends = ["09:10:00", "09:20:00", "09:30:00"];
    let mut now = "09:03:31";
    for end_at in ends {
        let run_id = start(&store, now).await;
        end(&store, run_id, end_at).await;
        now = end_at;
    }
    // A minute for an occurrence, and an hour for what somebody has asked for.
    let triggered = claim(&store, "09:30:00").await.starts.remove(0).run;
    assert_eq!(triggered.start_before, at("10:30:00"));
}

#[tokio::test]
async fn in_an_outage_nobody_waits_for_the_end_of_what_was_never_sent() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), r#","overlap":"queue""#).await;
    for now in ["09:01:00", "09:02:00", "09:03:00"] {
        plan(&store, now).await;
    }
    // The deadline of the first two has passed.
    let mut expired = Vec::new();
    while let Some(claimed) = claim(&store, "09:03:30").await.expired.pop() {
        expired.push(claimed.run.scheduled_for);
        end(&store, claimed.run.run_id, "09:03:30").await;
    }
    assert_eq!(expired, [at("09:01:00"), at("09:02:00")]);
}

/// What happens to a run that was recovered at 09:05.
#[derive(Clone, Copy, Debug)]
enum Recovered {
    HasEnded,
    GoesOn,
    IsNotReached,
}

#[tokio::test]
async fn a_recovered_run_is_looked_at_before_anything_is_judged_by_it() {
    for (recovered, expected) in [
        (Recovered::HasEnded, "09:05 pending"),
        (Recovered::GoesOn, "09:05 skipped overlap"),
        (Recovered::IsNotReached, "09:05 skipped overlap"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), "").await;
        plan(&store, "09:01:00").await;
        let run_id = start(&store, "09:01:00").await;
        store.hand_over(at("09:05:00")).await.unwrap();
        let waiting = plan(&store, "09:05:00.500").await;
        assert_eq!(waiting.next.map(|(at, _)| at), Some(at("09:05:03")), "{recovered:?}");
        let now = match recovered {
            Recovered::HasEnded => {
                assert!(end(&store, run_id, "09:05:01").await);
                "09:05:01"
            }
            Recovered::GoesOn => {
                let run = hold(&store, run_id).await;
                assert!(store.looked_at(run).await.unwrap());
                assert!(!store.looked_at(run).await.unwrap(), "once");
                "09:05:01"
            }
            Recovered::IsNotReached => "09:05:03",
        };
        plan(&store, now).await;
        assert_eq!(latest(folder.path()), expected, "{recovered:?}");
    }
}

#[tokio::test]
async fn what_an_edit_fires_waits_for_a_run_that_was_recovered() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), "").await;
    plan(&store, "09:01:00").await;
    let run_id = start(&store, "09:01:00").await;
    store.hand_over(at("09:05:00")).await.unwrap();
    store.sync_file_crons(at("09:05:00"), digest(r#","input":{"n":2}"#)).await.unwrap();
    assert_eq!(latest(folder.path()), "09:05 pending");
    assert!(claim(&store, "09:05:01").await.starts.is_empty());
    end(&store, run_id, "09:05:02").await;
    assert_eq!(claim(&store, "09:05:02").await.starts.len(), 1);
}

/// Returns the instant and the state of the latest occurrence.
fn latest(folder: &Path) -> String {
    let sql = "SELECT strftime('%H:%M', scheduled_for / 1000, 'unixepoch') || ' ' || coalesce(status, phase) \
               || coalesce(' ' || reason_code, '') FROM runs ORDER BY scheduled_for DESC LIMIT 1";
    shell(folder).lines(sql, ()).remove(0)
}
