//! Pauses of all crons, and pauses with an end, as they are stored.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::Map;

use super::*;
use crate::config::CronDefinition;
use crate::domain::act::Actor;
use crate::store::TriggerRequest;
use crate::store::tests::{open_store, reader, shell};
use crate::store::{
    ActFilter, ClaimLimits, CronStateChange, DaemonState, Execution, NewApiCron, Sharing, StatusSnapshot,
};

const BODY: &str = r#"{"schedule":"* * * * *","assistant_id":"agent","overlap":"allow","catchup":"all"}"#;

fn at(time: &str) -> Timestamp {
    format!("2026-03-02T{time}Z").parse().unwrap()
}

fn file(folder: &Path) -> std::path::PathBuf {
    folder.join("agentcron.db")
}

/// Returns a store with the crons `one` and `two`, which fire every minute and exist since 09:00.
async fn store(folder: &Path) -> Store {
    let store = open_store(folder, Execution::Inline);
    let definitions = ["one", "two"].map(|name| CronDefinition::of_body(name, BODY));
    store.sync_file_crons(at("09:00:00"), definitions.to_vec()).await.unwrap();
    store
}

fn pause(note: Option<&str>, until: Option<&str>) -> PauseOfAllChange {
    PauseOfAllChange::Pause { note: note.map(str::to_owned), until: until.map(at) }
}

async fn change(store: &Store, now: &str, change: PauseOfAllChange) -> ChangedPauseOfAll {
    store.change_pause_of_all(at(now), Actor::AGENTCRON, change).await.unwrap()
}

/// Returns `HH:MM status xCOUNT reason` of each record of a cron, in the order of time.
fn rows(folder: &Path, cron: &str) -> Vec<String> {
    let sql = "SELECT strftime('%H:%M', scheduled_for / 1000, 'unixepoch') || ' ' || coalesce(status, phase) \
               || ' x' || occurrences || coalesce(' ' || reason, '') FROM runs WHERE cron_name = ?1 ORDER BY scheduled_for";
    shell(folder).lines(sql, [cron])
}

/// Returns the time and the kind of each act, the first one first.
fn acts(folder: &Path) -> Vec<String> {
    let acts = reader(folder).acts_before(&ActFilter::default(), None, 100).unwrap();
    acts.iter().rev().map(|(_, act)| format!("{} {}", act.at.strftime("%H:%M:%S"), act.what)).collect()
}

#[tokio::test]
async fn a_pause_of_all_covers_new_crons_too_and_leaves_single_pauses_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    store.plan_due(at("09:01:00")).await.unwrap();
    let own = CronStateChange::Pause { note: Some("mine".to_owned()), until: None };
    store.change_cron_state(at("09:01:10"), Actor::AGENTCRON, "two".to_owned(), own).await.unwrap();
    let changed = change(&store, "09:01:30", pause(Some("upgrade"), None)).await;
    assert_eq!((changed.before, changed.skipped), (None, 1), "the run of `one` that waited");
    let new =
        NewApiCron { cron_id: CronId::default(), name: None, body: BODY.to_owned(), request: Map::new() };
    store.create_api_cron(at("09:01:40"), Actor::AGENTCRON, new).await.unwrap();
    store.plan_due(at("09:02:00")).await.unwrap();
    store.plan_due(at("09:03:00")).await.unwrap();
    let triggered = store
        .trigger(at("09:03:10.5"), Actor::AGENTCRON, TriggerRequest { name: "one".to_owned(), input: None })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(change(&store, "09:03:15", pause(None, None)).await.skipped, 0, "somebody asked for it");
    store.cancel_run(at("09:03:20"), Actor::AGENTCRON, triggered.run.run_id).await.unwrap();
    change(&store, "09:03:30", PauseOfAllChange::Resume).await;
    store.plan_due(at("09:04:00")).await.unwrap();
    let all = "all crons were paused: upgrade";
    assert_eq!(
        rows(folder.path(), "one"),
        [
            format!("09:01 skipped x1 {all}"),
            format!("09:02 skipped x2 {all}"),
            "09:03 pending x1".to_owned(),
            "09:04 pending x1".to_owned()
        ]
    );
    assert_eq!(
        rows(folder.path(), &CronId::default().to_string()),
        [format!("09:02 skipped x2 {all}"), "09:04 pending x1".to_owned()]
    );
    assert_eq!(
        rows(folder.path(), "two"),
        ["09:01 skipped x1 the cron was paused: mine", "09:02 skipped x3 the cron was paused: mine"]
    );
    assert_eq!(
        acts(folder.path()),
        [
            "09:01:10 paused",
            "09:01:30 all_paused",
            "09:01:40 created",
            "09:03:10 triggered",
            "09:03:20 cancelled",
            "09:03:30 all_resumed"
        ]
    );
}

#[tokio::test]
async fn a_pause_that_was_set_and_lifted_while_no_daemon_ran_says_what_becomes_of_what_was_due_then() {
    let folder = tempfile::tempdir().unwrap();
    drop(store(folder.path()).await);
    let alone = |now: &str, change: PauseOfAllChange| {
        change_pause_of_all_alone(
            &file(folder.path()).as_path().into(),
            at(now),
            &Actor::uid(Some(7)),
            &change,
        )
    };
    alone("09:01:30", pause(None, None)).unwrap();
    alone("09:03:30", PauseOfAllChange::Resume).unwrap();
    alone("09:05:30", pause(Some("again"), None)).unwrap();
    let store = open_store(folder.path(), Execution::Inline);
    assert!(matches!(alone("09:06:10", PauseOfAllChange::Resume), Err(StoreError::Taken { .. })));
    store.plan_due(at("09:06:20")).await.unwrap();
    drop(store);
    alone("09:07:30", PauseOfAllChange::Resume).unwrap();
    alone("09:07:40", PauseOfAllChange::Resume).unwrap();
    let store = open_store(folder.path(), Execution::Inline);
    store.plan_due(at("09:08:00")).await.unwrap();
    let (first, again) = ("all crons were paused on request", "all crons were paused: again");
    assert_eq!(
        rows(folder.path(), "one"),
        [
            // Found while all crons are paused again.
            format!("09:01 skipped x1 {again}"),
            format!("09:02 skipped x2 {first}"),
            format!("09:04 skipped x3 {again}"),
            format!("09:07 skipped x1 {again}"),
            "09:08 pending x1".to_owned()
        ]
    );
    assert_eq!(acts(folder.path()).len(), 4);
    let wrong = include_str!("../../../tests/fixtures/rollups/wrong.sql");
    let wrong = shell(folder.path()).count(wrong);
    assert_eq!(wrong, 0, "the roll-ups and the runs disagree");
    let missing = change_pause_of_all_alone(
        &folder.path().join("none.db").as_path().into(),
        at("09:00:00"),
        &Actor::AGENTCRON,
        &pause(None, None),
    );
    assert!(missing.is_err() && !folder.path().join("none.db.lock").exists());
}

#[tokio::test]
async fn pauses_end_by_themselves_and_are_in_force_again_if_the_clock_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    change(&store, "09:00:10", pause(None, Some("09:02:30"))).await;
    let own = CronStateChange::Pause { note: None, until: Some(at("09:04:30")) };
    store.change_cron_state(at("09:00:20"), Actor::AGENTCRON, "two".to_owned(), own).await.unwrap();
    let wakes = async |now: &str| {
        let planned = store.plan_due(at(now)).await.unwrap();
        planned.pass_at.unwrap().strftime("%H:%M:%S").to_string()
    };
    assert_eq!(wakes("09:00:30").await, "09:01:00");
    assert_eq!(wakes("09:02:00").await, "09:02:30", "to record the end");
    assert_eq!(wakes("09:02:30").await, "09:03:00");
    assert_eq!(wakes("09:04:00").await, "09:04:30");
    assert_eq!(wakes("09:04:30").await, "09:05:00");
    store.plan_due(at("09:05:00")).await.unwrap();
    let (all, own) = ("all crons were paused on request", "the cron was paused on request");
    assert_eq!(
        rows(folder.path(), "one"),
        [
            format!("09:01 skipped x2 {all}"),
            "09:03 pending x1".to_owned(),
            "09:04 pending x1".to_owned(),
            "09:05 pending x1".to_owned()
        ]
    );
    assert_eq!(
        rows(folder.path(), "two"),
        [format!("09:01 skipped x4 {own}"), "09:05 pending x1".to_owned()]
    );
    let ends = ["09:02:30 all_resumed", "09:04:30 resumed"];
    assert_eq!(acts(folder.path())[2..], ends);
    // By the new clock, neither pause is over. What has a run keeps it.
    store.clock_set_back(at("09:01:30"), SignedDuration::from_secs(-210)).await.unwrap();
    store.plan_due(at("09:02:00")).await.unwrap();
    store.plan_due(at("09:06:00")).await.unwrap();
    assert_eq!(rows(folder.path(), "one")[0], format!("09:01 skipped x2 {all}"));
    assert_eq!(
        rows(folder.path(), "two"),
        [format!("09:01 skipped x4 {own}"), "09:05 pending x1".to_owned(), "09:06 pending x1".to_owned()]
    );
    assert_eq!(acts(folder.path())[2..], [ends[0], ends[0], ends[1], ends[1]], "once by each clock");
}

#[tokio::test]
async fn what_a_person_has_ended_stays_ended_if_the_clock_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    change(&store, "09:00:10", pause(None, Some("09:30:00"))).await;
    change(&store, "09:05:10", PauseOfAllChange::Resume).await;
    change(&store, "09:06:10", pause(Some("later"), None)).await;
    change(&store, "09:07:10", pause(None, None)).await;
    store.clock_set_back(at("09:03:00"), SignedDuration::from_secs(-300)).await.unwrap();
    let lasting = store.read_at_one_moment(move |tx| now(tx, at("09:03:00"))).await.unwrap().unwrap();
    assert_eq!((lasting.since, lasting.note.as_deref()), (at("09:03:00"), Some("later")));
    change(&store, "09:03:10", PauseOfAllChange::Resume).await;
    store.plan_due(at("09:04:00")).await.unwrap();
    assert!(rows(folder.path(), "one").contains(&"09:04 pending x1".to_owned()));
}

#[tokio::test]
async fn many_pauses_are_not_all_kept_and_what_is_planned_in_many_passes_sees_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    for minute in 0..PAUSES_OF_ALL_KEPT {
        let second = |second: u32| at(&format!("09:{:02}:{second:02}", minute));
        let by = || Actor::AGENTCRON;
        store.change_pause_of_all(second(10), by(), pause(None, None)).await.unwrap();
        store.change_pause_of_all(second(20), by(), PauseOfAllChange::Resume).await.unwrap();
    }
    change(&store, "10:00:00", pause(None, None)).await;
    change(&store, "10:00:01", PauseOfAllChange::Resume).await;
    let kept = shell(folder.path()).count("SELECT count(*) FROM pauses_of_all");
    assert_eq!(kept, i64::from(PAUSES_OF_ALL_KEPT));
}

#[tokio::test]
async fn what_is_shown_is_paused_while_all_crons_are() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    change(&store, "09:00:10", pause(None, Some("09:30:30"))).await;
    let reader = reader(folder.path());
    for (now, is_paused, next) in [("09:10:00", true, "09:31:00"), ("09:40:00", false, "09:41:00")] {
        let crons = reader.crons(at(now)).unwrap();
        assert!(crons.iter().all(|cron| cron.state.paused.is_some() == is_paused), "{now}");
        let snapshot = StatusSnapshot::read(&reader, Sharing::Alone, DaemonState::Stopped, at(now)).unwrap();
        assert_eq!(
            (snapshot.pause_of_all.is_some(), snapshot.next.unwrap().0),
            (is_paused, at(next)),
            "{now}"
        );
        assert!(snapshot.crons.iter().all(|cron| cron.state.paused.is_none()), "their own");
    }
    let limits = ClaimLimits { starts: 10, in_flight: 0, running_max: 10, own_places: usize::MAX };
    assert!(store.claim_runs(at("09:30:00"), limits).await.unwrap().starts.is_empty());
    assert_eq!(store.claim_runs(at("09:31:00"), limits).await.unwrap().starts.len(), 2);
}
