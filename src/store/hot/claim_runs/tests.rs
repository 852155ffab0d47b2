//! Crons take turns, clients leave places to crons from files, and neither costs a scan.

use std::path::Path;

use serde_json::Map;

use super::*;
use crate::config::CronDefinition;
use crate::domain::act::Actor;
use crate::domain::bounds::TRIGGERED_WAITING_MAX;
use crate::domain::cron::{OnRunCompleted, Template};
use crate::domain::ids::{BackendRunId, CronId, RunId, ThreadId};
use crate::domain::run::{Outcome, Status};
use crate::domain::run_spec::ClientRunSpec;
use crate::store::TriggerRequest;
use crate::store::tests::{hold, open_store};
use crate::store::{BackfillOrder, Execution, NewApiCron, Purpose, RunEnding, Step, TriggeredRun};

const DAILY: &str = r#"{"schedule":"0 0 * * *","assistant_id":"agent","overlap":"allow"}"#;
const EVERY_SECOND: &str = r#"{"schedule":"* * * * * *","assistant_id":"agent","overlap":"allow"}"#;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-03-02T09:00:00.500Z")
}

/// Returns a store with these crons from files.
async fn with_files(folder: &Path, names: &[&str]) -> Store {
    let store = open_store(folder, Execution::Inline);
    let definitions = names.iter().map(|name| CronDefinition::of_body(name, DAILY));
    store.sync_file_crons(at("2026-03-02T08:00:00Z"), definitions.collect()).await.unwrap();
    store
}

async fn make(store: &Store, name: &str, body: &str) {
    let cron_id = CronId(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()));
    let (name, body) = (Some(name.to_owned()), body.to_owned());
    let new = NewApiCron { cron_id, name, body, request: Map::new() };
    store.create_api_cron(at("2026-03-02T08:00:00Z"), Actor::AGENTCRON, new).await.unwrap();
}

async fn trigger(store: &Store, name: &str, times: usize) -> Result<Vec<RunId>, StoreError> {
    let mut triggered = Vec::new();
    for _ in 0..times {
        let TriggeredRun { run, .. } = store
            .trigger(now(), Actor::AGENTCRON, TriggerRequest { name: name.to_owned(), input: None })
            .await?
            .unwrap();
        triggered.push(run.run_id);
    }
    Ok(triggered)
}

/// Claims what may be sent, and returns whose runs those are, in their order.
async fn claim(store: &Store, starts: usize, running_max: usize) -> Vec<String> {
    let later = at("2026-03-02T09:00:01Z");
    let claim = store
        .claim_runs(later, ClaimLimits { starts, in_flight: 0, running_max, own_places: usize::MAX })
        .await
        .unwrap();
    claim.starts.iter().map(|claimed| claimed.run.called().to_owned()).collect()
}

async fn end(store: &Store, run_id: RunId) {
    let accept = RunChange::Accept {
        thread_id: ThreadId(run_id.0),
        backend_run_id: BackendRunId(run_id.0),
        at: now(),
    };
    let run = hold(store, run_id).await;
    store.step_run(Step::of(run, accept)).await.unwrap();
    let outcome = Outcome {
        status: Status::Success,
        reason: None,
        error: None,
        values: None,
        interrupts: None,
        ended_at: now(),
        learnt_at: now(),
    };
    let ending = RunEnding::of(run, outcome);
    store.end_run(ending).await.unwrap();
}

#[tokio::test]
async fn a_cron_with_many_waiting_runs_takes_turns_with_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_files(folder.path(), &["greedy", "modest", "late"]).await;
    trigger(&store, "greedy", 4).await.unwrap();
    trigger(&store, "modest", 2).await.unwrap();
    assert_eq!(claim(&store, 5, 100).await, ["greedy", "modest", "greedy", "modest", "greedy"]);
    // It begins at the third turn, which is being served, and makes up for nothing.
    trigger(&store, "late", 3).await.unwrap();
    trigger(&store, "greedy", 2).await.unwrap();
    assert_eq!(claim(&store, 9, 100).await, ["late", "late", "greedy", "late", "greedy", "greedy"]);
}

#[tokio::test]
async fn a_client_leaves_a_place_to_crons_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_files(folder.path(), &["file"]).await;
    make(&store, "client", DAILY).await;
    let runs = trigger(&store, "client", 40).await.unwrap();
    assert_eq!(claim(&store, 100, 5).await, ["client"; 4]);
    trigger(&store, "file", 3).await.unwrap();
    assert_eq!(claim(&store, 100, 5).await, ["file"]);
    // Each place that becomes free goes to the source that holds fewer.
    end(&store, runs[0]).await;
    assert_eq!(claim(&store, 100, 5).await, ["file"]);
    end(&store, runs[1]).await;
    assert_eq!(claim(&store, 100, 5).await, ["file"]);
    end(&store, runs[2]).await;
    assert_eq!(claim(&store, 100, 5).await, ["client"]);
    assert_eq!(claim(&store, 100, 1).await, [""; 0]);
}

#[tokio::test]
async fn clients_have_all_places_if_there_is_no_cron_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_files(folder.path(), &["file"]).await;
    make(&store, "client", DAILY).await;
    store.sync_file_crons(now(), Vec::new()).await.unwrap();
    trigger(&store, "client", 9).await.unwrap();
    assert_eq!(claim(&store, 100, 2).await, ["client"; 2]);
}

#[tokio::test]
async fn runs_that_clients_start_themselves_take_no_place() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_files(folder.path(), &["file"]).await;
    let spec =
        || ClientRunSpec::new("agent".to_owned(), None, OnRunCompleted::Delete, Template(String::new()));
    let runs = (1..5).map(|number| (RunId(uuid::Uuid::from_u128(number)), spec()));
    store.insert_client_runs(now(), runs.collect()).await.unwrap();
    trigger(&store, "file", 3).await.unwrap();
    assert_eq!(claim(&store, 100, 2).await, ["file"; 2]);
}

#[tokio::test]
async fn with_a_single_place_crons_from_files_go_first() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_files(folder.path(), &["file"]).await;
    make(&store, "client", DAILY).await;
    let runs = trigger(&store, "client", 2).await.unwrap();
    assert_eq!(claim(&store, 100, 1).await, ["client"]);
    let file = trigger(&store, "file", 1).await.unwrap();
    end(&store, runs[0]).await;
    assert_eq!(claim(&store, 100, 1).await, ["file"]);
    end(&store, file[0]).await;
    assert_eq!(claim(&store, 100, 1).await, ["client"]);
}

#[tokio::test]
async fn only_so_many_triggered_runs_of_a_cron_may_wait() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_files(folder.path(), &["file", "other"]).await;
    trigger(&store, "file", TRIGGERED_WAITING_MAX).await.unwrap();
    let refused = trigger(&store, "file", 1).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "100 triggered runs of file wait to start, and at most 100 may; nothing was done; try again once some of \
         them have started, or cancel some"
    );
    // Other crons are not affected, and neither is a backfill of this one.
    trigger(&store, "other", 1).await.unwrap();
    backfill(&store, "file", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z").await.unwrap();
    claim(&store, 2, 100).await;
    trigger(&store, "file", 1).await.unwrap();
}

#[tokio::test]
async fn backfills_one_after_the_other_do_not_pile_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_files(folder.path(), &[]).await;
    make(&store, "busy", EVERY_SECOND).await;
    make(&store, "second", EVERY_SECOND).await;
    make(&store, "third", EVERY_SECOND).await;
    trigger(&store, "busy", 1).await.unwrap();
    trigger(&store, "second", 1).await.unwrap();
    wait_in_store(&store, "busy", 10_000).await;
    let refused = backfill(&store, "busy", "2026-03-01T03:00:00Z", "2026-03-01T03:00:01Z").await.unwrap_err();
    assert!(refused.to_string().starts_with("10000 backfilled runs of busy wait to start"), "{refused}");
    wait_in_store(&store, "second", 10_000).await;
    let refused = trigger(&store, "third", 1).await.unwrap_err();
    assert!(refused.to_string().starts_with("20002 runs of crons that clients made"), "{refused}");
}

/// Adds backfilled runs of a cron without planning each of them, which would take long.
async fn wait_in_store(store: &Store, name: &'static str, count: usize) {
    store
        .write(move |tx| {
            tx.execute(
                "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?2) \
                 INSERT INTO runs (run_id, cron_id, cron_name, cron_source, definition_id, trigger, scheduled_for, \
                 due_at, start_before, exclusive, phase, start_number, act_at) \
                 SELECT cron_id || n, cron_id, cron_name, cron_source, definition_id, 'backfill', n, 0, ?3, 0, \
                 'pending', 1, 0 FROM n, (SELECT * FROM runs WHERE cron_name = ?1) AS first_one",
                (name, i64::try_from(count).unwrap(), i64::MAX),
            )?;
            Ok(())
        })
        .await
        .unwrap();
}

async fn backfill(store: &Store, name: &str, from: &str, to: &str) -> Result<usize, StoreError> {
    let (name, limit, purpose) = (name.to_owned(), 10_000, Purpose::Act);
    let order =
        BackfillOrder { name, from: Some(at(from)), before_beginning: true, to: at(to), limit, purpose };
    Ok(store.backfill(now(), Actor::AGENTCRON, order).await?.unwrap().lines.len())
}

#[tokio::test]
async fn a_claim_neither_sorts_nor_scans() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_files(folder.path(), &["file"]).await;
    let plan = store
        .write(|tx| {
            let sql = format!("EXPLAIN QUERY PLAN {}", by_turn(CronSource::File));
            tx.query(&sql, named_params! { ":now": 0 }, |row| row.get::<String>("detail"))
        })
        .await
        .unwrap();
    expect_test::expect![[r#"
        SEARCH runs USING INDEX runs_by_turn (cron_source=?)
        CORRELATED SCALAR SUBQUERY 1
        SEARCH other USING INDEX runs_in_progress (cron_id=? AND phase=?)
        CORRELATED SCALAR SUBQUERY 2
        SEARCH other USING INDEX runs_retried (cron_id=?)
        CORRELATED SCALAR SUBQUERY 3
        SEARCH other USING INDEX runs_in_progress (cron_id=? AND phase=?)"#]]
    .assert_eq(&plan.join("\n"));
}

const EVERY_MINUTE: &str =
    r#"{"schedule":"* * * * *","assistant_id":"agent","overlap":"allow","catchup":"none"}"#;

#[tokio::test]
async fn what_is_due_is_sent_as_it_is_planned_as_far_as_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path(), Execution::Inline);
    let files = ["f1", "f2", "f3"].map(|name| CronDefinition::of_body(name, EVERY_MINUTE));
    for name in ["c1", "c2", "c3", "c4"] {
        make(&store, name, EVERY_MINUTE).await;
    }
    store.sync_file_crons(at("2026-03-02T08:00:00Z"), files.into()).await.unwrap();
    store.plan_due(at("2026-03-02T08:59:30Z")).await.unwrap();
    let phases = || async {
        let sql = "SELECT group_concat(cron_name || ' ' || phase, ', ' ORDER BY cron_name) FROM runs \
                   WHERE trigger = 'schedule' AND phase <> 'ended'";
        store.read_at_one_moment(move |tx| tx.query_value::<String>(sql, ())).await.unwrap()
    };
    let claim = |now: &str, starts, in_flight| {
        let limits = ClaimLimits { starts, in_flight, running_max: 100, own_places: usize::MAX };
        store.claim_runs(at(now), limits)
    };
    // Neither source crowds out the other, and what has no room yet is not planned yet.
    let first = claim("2026-03-02T09:00:00Z", 3, 0).await.unwrap();
    assert_eq!(phases().await, "c1 sending, f1 sending, f2 sending");
    assert_eq!((first.planned.fired, first.starts.len(), first.more_to_start), (3, 3, true));
    assert_eq!(first.planned.pass_at, Some(at("2026-03-02T09:00:01Z")), "or when a start has ended");
    let run = &first.starts[0].run;
    assert_eq!(store.run(run.run_id).await.unwrap(), *run, "what is sent is what is stored");
    let full = claim("2026-03-02T09:00:00.5Z", 0, 3).await.unwrap();
    assert_eq!((full.planned.fired, full.starts.len()), (0, 0));
    // What has waited for room for a second waits in the store.
    let late = claim("2026-03-02T09:00:01Z", 0, 3).await.unwrap();
    assert_eq!((late.planned.fired, late.starts.len(), late.has_waiting), (4, 0, true));
    assert_eq!(
        phases().await,
        "c1 sending, c2 pending, c3 pending, c4 pending, f1 sending, f2 sending, f3 pending"
    );
    let rest = claim("2026-03-02T09:00:01.2Z", 9, 0).await.unwrap();
    assert_eq!((rest.planned.fired, rest.starts.len(), rest.has_waiting), (0, 4, false));
    // If no room is to be expected, everything is planned at once.
    let away = claim("2026-03-02T09:01:00Z", 0, 0).await.unwrap();
    assert_eq!((away.planned.fired, away.starts.len()), (7, 0));
}

#[tokio::test]
async fn an_exclusive_run_is_sent_at_once_only_if_its_cron_has_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path(), Execution::Inline);
    for overlap in ["skip", "queue", "cancel"] {
        let body = EVERY_MINUTE.replace("allow", overlap);
        make(&store, overlap, &body).await;
    }
    store.plan_due(at("2026-03-02T08:59:30Z")).await.unwrap();
    let limits = ClaimLimits { starts: 100, in_flight: 0, running_max: 100, own_places: usize::MAX };
    let mut sent = store.claim_runs(at("2026-03-02T09:00:00Z"), limits).await.unwrap().starts;
    sent.sort_by_key(|claimed| claimed.run.called().to_owned());
    let unwanted: Vec<_> = sent.iter().map(|claimed| (claimed.run.called(), claimed.unwanted)).collect();
    assert_eq!(unwanted, [("cancel", None), ("queue", None), ("skip", None)]);
    let next = store.claim_runs(at("2026-03-02T09:01:00Z"), limits).await.unwrap();
    assert_eq!((next.planned.fired, next.starts.len()), (2, 0), "those of `cancel` and `queue` wait");
    end(&store, sent[1].run.run_id).await;
    let queued = store.claim_runs(at("2026-03-02T09:01:00Z"), limits).await.unwrap().starts;
    assert_eq!(queued.iter().map(|claimed| claimed.run.called()).collect::<Vec<_>>(), ["queue"]);
}
