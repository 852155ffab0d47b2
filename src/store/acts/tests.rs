//! What leaves an act, and what leaves none.

use std::path::Path;
use std::sync::Arc;

use expect_test::expect;
use jiff::Timestamp;
use serde_json::Map;

use crate::config::CronDefinition;
use crate::domain::act::{Actor, ActorKind};
use crate::domain::bounds::{ACTS_KEPT, TRIGGERED_WAITING_MAX};
use crate::domain::ids::{CronId, RunId};
use crate::store::TriggerRequest;
use crate::store::tests::{open_store, reader, shell};
use crate::store::{
    ActFilter, ApiCronChange, BackfillOrder, ChangedCron, CronStateChange, Execution, NewApiCron, Purpose,
    RetryRequest, Store, StoreError,
};

const BODY: &str = r#"{"schedule":"* * * * *","assistant_id":"agent","overlap":"allow"}"#;

fn at(text: &str) -> Timestamp {
    format!("2026-03-02T{text}Z").parse().unwrap()
}

fn somebody() -> Actor {
    Actor { kind: ActorKind::Key, name: Some("ops".to_owned()) }
}

/// Returns a store with the cron `digest`, which fires every minute and exists since 09:00.
async fn store(folder: &Path) -> Store {
    let store = open_store(folder, Execution::Inline);
    let definitions: Vec<Arc<CronDefinition>> = vec![CronDefinition::of_body("digest", BODY)];
    store.sync_file_crons(at("09:00:00"), definitions).await.unwrap();
    store
}

/// Returns each act, the first one first: when, what, by whom, to which cron, whether to a run, and its note.
fn acts(folder: &Path) -> String {
    let rows = reader(folder).acts_before(&ActFilter::default(), None, 100).unwrap();
    let line = |act: &crate::domain::act::Act| {
        let cron = act.subject.cron.as_ref().map_or("-", |(_, name)| name.as_str());
        let run = if act.subject.run_id.is_some() { "run" } else { "-" };
        let note = act.note.as_deref().unwrap_or_default();
        format!("{} {} by {}: {cron} {run} {note}", act.at, act.what, act.by).trim_end().to_owned() + "\n"
    };
    rows.iter().rev().map(|(_, act)| line(act)).collect()
}

async fn change(store: &Store, now: &str, change: CronStateChange) {
    store.change_cron_state(at(now), somebody(), "digest".to_owned(), change).await.unwrap();
}

fn order(purpose: Purpose) -> BackfillOrder {
    let (from, to) = (Some(at("09:00:00")), at("09:03:00"));
    BackfillOrder { name: "digest".to_owned(), from, before_beginning: false, to, limit: 10, purpose }
}

#[tokio::test]
async fn every_act_leaves_a_row_and_what_changes_nothing_leaves_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    change(&store, "09:00:01", CronStateChange::Resume).await;
    change(&store, "09:00:02", CronStateChange::Pause { note: Some("moving".to_owned()), until: None }).await;
    change(&store, "09:00:03", CronStateChange::Pause { note: None, until: None }).await;
    store.plan_due(at("09:05:00")).await.unwrap();
    store.backfill(at("09:05:01"), somebody(), order(Purpose::DryRun)).await.unwrap();
    store.backfill(at("09:05:02"), somebody(), order(Purpose::Act)).await.unwrap();
    store.backfill(at("09:05:03"), somebody(), order(Purpose::Act)).await.unwrap();
    change(&store, "09:05:04", CronStateChange::Resume).await;
    change(&store, "09:05:05", CronStateChange::SkipNext).await;
    change(&store, "09:05:06", CronStateChange::SkipNext).await;
    let run = store
        .trigger(at("09:05:07.5"), somebody(), TriggerRequest { name: "digest".to_owned(), input: None })
        .await
        .unwrap()
        .unwrap()
        .run;
    store.cancel_run(at("09:05:08"), somebody(), run.run_id).await.unwrap();
    store.cancel_run(at("09:05:09"), somebody(), RunId::default()).await.unwrap();
    let again = RetryRequest { run_id: run.run_id, input: None };
    assert!(matches!(store.retry_run(at("09:05:10"), somebody(), again).await, Err(StoreError::Conflict(_))));
    store.hold_webhooks(at("09:05:11"), somebody(), Some("it moves".to_owned())).await.unwrap();
    store.hold_webhooks(at("09:05:12"), somebody(), Some("it moves".to_owned())).await.unwrap();
    store.release_webhooks(at("09:05:13"), somebody(), None).await.unwrap();
    store.release_webhooks(at("09:05:14"), somebody(), None).await.unwrap();
    store.resume_urls(at("09:05:15"), somebody(), "https://".to_owned()).await.unwrap();
    expect![[r#"
        2026-03-02T09:00:02Z paused by key ops: digest - moving
        2026-03-02T09:05:02Z backfilled by key ops: digest - 3 of the occurrences from 2026-03-02T09:00:00Z to 2026-03-02T09:03:00Z
        2026-03-02T09:05:04Z resumed by key ops: digest -
        2026-03-02T09:05:05Z skip_next by key ops: digest -
        2026-03-02T09:05:07.5Z triggered by key ops: digest run
        2026-03-02T09:05:08Z cancelled by key ops: digest run
        2026-03-02T09:05:11Z webhooks_held by key ops: - - it moves
        2026-03-02T09:05:13Z webhooks_released by key ops: - -
    "#]].assert_eq(&acts(folder.path()));
}

#[tokio::test]
async fn what_a_client_does_to_its_crons_is_an_act() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    let cron_id = CronId::default();
    let new =
        NewApiCron { cron_id, name: Some("mine".to_owned()), body: BODY.to_owned(), request: Map::new() };
    store.create_api_cron(at("09:00:01"), somebody(), new).await.unwrap();
    let refuse = |_: &crate::store::StoredCron| Err("no");
    let refused = store.change_api_cron(at("09:00:02"), somebody(), cron_id, refuse).await.unwrap();
    assert!(matches!(refused, ApiCronChange::Refused("no")));
    let change = |_: &crate::store::StoredCron| {
        Ok::<_, ()>(ChangedCron { body: BODY.replace("* *\"", "* 1\""), request: Map::new() })
    };
    store.change_api_cron(at("09:00:03"), somebody(), cron_id, change).await.unwrap();
    store.remove_api_cron(at("09:00:04"), somebody(), cron_id).await.unwrap();
    store.remove_api_cron(at("09:00:05"), somebody(), cron_id).await.unwrap();
    expect![[r#"
        2026-03-02T09:00:01Z created by key ops: mine -
        2026-03-02T09:00:03Z updated by key ops: mine -
        2026-03-02T09:00:04Z deleted by key ops: mine -
    "#]]
    .assert_eq(&acts(folder.path()));
    let of_other = ActFilter { crons: Some(vec![CronId(uuid::Uuid::max())]), ..ActFilter::default() };
    assert!(reader(folder.path()).acts_before(&of_other, None, 9).unwrap().is_empty());
    let since = Some(at("09:00:03"));
    let until = Some(at("09:00:04"));
    let filter = ActFilter { crons: Some(vec![cron_id]), since, until };
    assert_eq!(reader(folder.path()).acts_before(&filter, None, 9).unwrap().len(), 1);
}

#[tokio::test]
async fn a_refused_trigger_leaves_no_act_and_old_acts_make_room() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    for _ in 0..TRIGGERED_WAITING_MAX {
        store
            .trigger(at("09:00:01.5"), somebody(), TriggerRequest { name: "digest".to_owned(), input: None })
            .await
            .unwrap();
    }
    let database = shell(folder.path());
    let count = |sql: &str| database.count(sql);
    let refused = store
        .trigger(at("09:00:02.5"), somebody(), TriggerRequest { name: "digest".to_owned(), input: None })
        .await;
    assert!(matches!(refused, Err(StoreError::TooManyWaiting { .. })));
    assert_eq!(count("SELECT count(*) FROM acts"), TRIGGERED_WAITING_MAX as i64);
    database.execute("UPDATE acts SET seq = seq + ?1", [ACTS_KEPT - 50]);
    change(&store, "09:00:03", CronStateChange::SkipNext).await;
    assert_eq!(
        (count("SELECT count(*) FROM acts"), count("SELECT max(seq) - min(seq) + 1 FROM acts")),
        (101, 101)
    );
    database.execute(
        "UPDATE acts SET seq = seq - ?1 WHERE seq <= (SELECT min(seq) + 9 FROM acts)",
        [ACTS_KEPT - 60],
    );
    change(&store, "09:00:04", CronStateChange::Pause { note: None, until: None }).await;
    assert_eq!(count("SELECT count(*) FROM acts"), 92);
}
