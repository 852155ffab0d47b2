//! Pauses, skips and failures in a row, as they are stored.

use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::super::tests::{open_store, shell};
use super::super::{ClaimLimits, Execution, FailureLimit, RunEnding};
use super::*;
use crate::config::CronDefinition;
use crate::domain::act::Actor;
use crate::domain::run::{Outcome, Status};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn definition(name: &str, schedule: &str) -> Arc<CronDefinition> {
    let body = format!(r#"{{"schedule":"{schedule}","assistant_id":"agent","overlap":"allow"}}"#);
    CronDefinition::of_body(name, &body)
}

/// Returns a store with one cron that fires every minute and exists since 09:00.
async fn store(folder: &Path) -> Store {
    let store = open_store(folder, Execution::Inline);
    let definitions = vec![definition("digest", "* * * * *")];
    store.sync_file_crons(at("2026-03-02T09:00:00Z"), definitions).await.unwrap();
    store
}

async fn plan(store: &Store, now: &str) {
    store.plan_due(at(now)).await.unwrap();
}

async fn change(store: &Store, now: &str, change: CronStateChange) -> ChangedCronState {
    store.change_cron_state(at(now), Actor::AGENTCRON, "digest".to_owned(), change).await.unwrap().unwrap()
}

/// Returns `HH:MM status xCOUNT reason` of each record, in the order of time.
fn rows(folder: &Path) -> Vec<String> {
    let sql = "SELECT strftime('%H:%M', scheduled_for / 1000, 'unixepoch') || ' ' || coalesce(status, phase) \
               || ' x' || occurrences || coalesce(' ' || reason, '') FROM runs ORDER BY scheduled_for";
    shell(folder).lines(sql, ())
}

#[tokio::test]
async fn a_pause_is_one_record_however_often_it_is_planned_and_ends_with_resume() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    plan(&store, "2026-03-02T09:01:00Z").await;
    change(
        &store,
        "2026-03-02T09:01:30Z",
        CronStateChange::Pause { note: Some("moving house".to_owned()), until: None },
    )
    .await;
    for now in ["2026-03-02T09:02:00Z", "2026-03-02T09:03:00Z", "2026-03-02T10:00:00Z"] {
        plan(&store, now).await;
    }
    // 10:01 to 10:03 were not planned before the pause ended, and belong to it all the same.
    let ChangedCronState { before, after, .. } =
        change(&store, "2026-03-02T10:03:30Z", CronStateChange::Resume).await;
    assert!(before.paused.is_some() && after.paused.is_none());
    plan(&store, "2026-03-02T10:04:00Z").await;
    assert_eq!(
        rows(folder.path()),
        [
            "09:01 skipped x1 the cron was paused: moving house",
            "09:02 skipped x62 the cron was paused: moving house",
            "10:04 pending x1"
        ]
    );
}

#[tokio::test]
async fn a_pause_covers_what_an_outage_hid() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    change(&store, "2026-03-02T09:00:30Z", CronStateChange::Pause { note: None, until: None }).await;
    drop(store);
    let store = open_store(folder.path(), Execution::Inline);
    plan(&store, "2026-03-02T11:00:00Z").await;
    assert_eq!(rows(folder.path()), ["09:01 skipped x120 the cron was paused on request"]);
}

#[tokio::test]
async fn skip_next_skips_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    let ChangedCronState { after, .. } =
        change(&store, "2026-03-02T09:00:30Z", CronStateChange::SkipNext).await;
    assert!(after.skip_next);
    plan(&store, "2026-03-02T09:01:00Z").await;
    plan(&store, "2026-03-02T09:02:00Z").await;
    assert_eq!(rows(folder.path()), ["09:01 skipped x1 skipped on request", "09:02 pending x1"]);
}

#[tokio::test]
async fn a_long_catch_up_leaves_one_record_of_what_was_missed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path(), Execution::Inline);
    let definitions = vec![definition("digest", "* * * * * *")];
    store.sync_file_crons(at("2026-03-02T09:00:00Z"), definitions).await.unwrap();
    // Ten hours of seconds take four plans of 10 000.
    for _ in 0..4 {
        plan(&store, "2026-03-02T19:00:00Z").await;
    }
    let rows = rows(folder.path());
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows[0].starts_with("09:00 missed x35999 it was found too late"), "{rows:?}");
}

#[tokio::test]
async fn the_failure_that_reaches_the_limit_pauses_the_cron_and_resume_forgets_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    plan(&store, "2026-03-02T09:02:00Z").await;
    let limits = ClaimLimits { starts: 10, in_flight: 0, running_max: 10, own_places: usize::MAX };
    let claimed = store.claim_runs(at("2026-03-02T09:02:00Z"), limits).await.unwrap().starts;
    assert_eq!(claimed.len(), 1, "the first one was missed");
    plan(&store, "2026-03-02T09:03:00Z").await;
    let again = store.claim_runs(at("2026-03-02T09:03:00Z"), limits).await.unwrap().starts;
    for claimed in claimed.iter().chain(&again) {
        let outcome = Outcome {
            status: Status::Error,
            reason: None,
            error: None,
            values: None,
            interrupts: None,
            ended_at: at("2026-03-02T09:03:10Z"),
            learnt_at: at("2026-03-02T09:03:10Z"),
        };
        let failure_limit = Some(FailureLimit { limit: 2, delivery: None });
        let run = claimed.held();
        let ending = RunEnding { failure_limit, ..RunEnding::of(run, outcome) };
        store.end_run(ending).await.unwrap();
    }
    let ChangedCronState { before: paused, after: resumed, .. } =
        change(&store, "2026-03-02T09:03:20Z", CronStateChange::Resume).await;
    let pause = paused.paused.unwrap();
    assert_eq!((pause.cause, pause.since), (PauseCause::Failures, at("2026-03-02T09:03:10Z")));
    assert_eq!((paused.failures, resumed.failures), (2, 0));
}

#[tokio::test]
async fn a_pause_without_a_note_keeps_the_note_of_the_pause_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    let mut notes = Vec::new();
    for change_to in [
        CronStateChange::Pause { note: Some("moving".to_owned()), until: None },
        CronStateChange::Pause { note: None, until: None },
        CronStateChange::Pause { note: Some("broken".to_owned()), until: None },
        CronStateChange::Resume,
        CronStateChange::Pause { note: None, until: None },
    ] {
        let pause = change(&store, "2026-03-02T09:00:30Z", change_to).await.after.paused;
        notes.push(pause.map(|pause| pause.note.unwrap_or_default()));
    }
    let expected = [Some("moving"), Some("moving"), Some("broken"), None, Some("")];
    assert_eq!(notes, expected.map(|note| note.map(str::to_owned)));
}

#[tokio::test]
async fn no_plan_is_made_by_a_replaced_definition() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    let definitions = vec![definition("digest", "*/5 * * * *")];
    store.sync_file_crons(at("2026-03-02T09:00:59Z"), definitions).await.unwrap();
    let planned = store.plan_due(at("2026-03-02T09:01:00Z")).await.unwrap();
    assert_eq!(planned.next, Some((at("2026-03-02T09:05:00Z"), "digest".to_owned())));
    plan(&store, "2026-03-02T09:05:00Z").await;
    assert_eq!(rows(folder.path()), ["09:05 pending x1"]);
}

#[tokio::test]
async fn after_a_step_back_runs_stay_and_what_never_ran_is_decided_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    for now in ["2026-03-02T09:01:00Z", "2026-03-02T09:05:00Z"] {
        plan(&store, now).await;
    }
    // What waits would end with the pause.
    shell(folder.path()).execute(
        "UPDATE runs SET phase = 'sending', act_at = NULL, held_by = 1, sent_at = due_at WHERE phase = 'pending'",
        (),
    );
    change(&store, "2026-03-02T09:05:30Z", CronStateChange::Pause { note: None, until: None }).await;
    plan(&store, "2026-03-02T09:09:00Z").await;
    let missed = "x3 it was found too late; only the latest occurrence is caught up (catchup = \"latest\")";
    let paused = "the cron was paused on request";
    let before = [
        "09:01 sending x1",
        &format!("09:02 missed {missed}"),
        "09:05 sending x1",
        &format!("09:06 skipped x4 {paused}"),
    ];
    assert_eq!(rows(folder.path()), before);
    // Nothing is undone for a clock that was not set yet.
    store.clock_set_back(at("1970-01-01T00:01:00Z"), SignedDuration::ZERO).await.unwrap();
    assert_eq!(rows(folder.path()), before);
    store.clock_set_back(at("2026-03-02T09:07:30Z"), SignedDuration::ZERO).await.unwrap();
    assert_eq!(rows(folder.path())[3], format!("09:06 skipped x2 {paused}"));
    store.clock_set_back(at("2026-03-02T09:03:30Z"), SignedDuration::ZERO).await.unwrap();
    let missed = missed.replace("x3", "x2");
    assert_eq!(
        rows(folder.path()),
        ["09:01 sending x1", &format!("09:02 missed {missed}"), "09:05 sending x1"]
    );
    // It is still paused, from now on, and 9:05 keeps its run.
    plan(&store, "2026-03-02T09:06:00Z").await;
    assert_eq!(rows(folder.path())[2..], [&format!("09:04 skipped x2 {paused}"), "09:05 sending x1"]);
    change(&store, "2026-03-02T09:06:30Z", CronStateChange::Resume).await;
    plan(&store, "2026-03-02T09:07:00Z").await;
    assert_eq!(rows(folder.path())[4], "09:07 pending x1");
}
