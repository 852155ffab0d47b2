//! The loop in simulated time: when it deletes, and when it does not believe the clock.

use std::path::Path;

use jiff::SignedDuration;
use rusqlite::Connection;

use super::*;
use crate::config::live;
use crate::domain::ids::InstallationId;
use crate::domain::retention::Keep;
use crate::store::{Execution, FormerDaemon};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_batch_takes_about_as_long_as_it_may() {
    let ms = Duration::from_millis;
    for (size, took, expected) in [
        (1, Duration::ZERO, 2),
        (10, ms(4), 10),
        (10, ms(1), 20),
        (100, ms(40), 10),
        (3, ms(400), 1),
        (150, ms(1), DELETED_PER_COMMIT),
    ] {
        assert_eq!(next_batch(size, took), expected, "{size} in {took:?}");
    }
}

fn open(folder: &Path, clock: &Clock) -> Store {
    let path = folder.join("agentcron.db");
    Store::open(&path, Execution::Inline, InstallationId::default(), clock.clone()).unwrap()
}

/// Inserts records that ended now.
fn insert(folder: &Path, clock: &Clock, runs: u32) {
    let database = Connection::open(folder.join("agentcron.db")).unwrap();
    let sql = "INSERT INTO runs (run_id, trigger, scheduled_for, due_at, start_before, exclusive, phase, start_number, status, \
               ended_at) VALUES (?1, 'manual', ?2, ?2, ?2, 0, 'ended', 1, 'success', ?2)";
    for _ in 0..runs {
        let id = uuid::Uuid::new_v4().to_string();
        database.execute(sql, (id, clock.now().as_millisecond())).unwrap();
    }
}

fn left(folder: &Path) -> i64 {
    let database = Connection::open(folder.join("agentcron.db")).unwrap();
    database.query_row("SELECT count(*) FROM runs", [], |row| row.get(0)).unwrap()
}

fn new(store: &Store, clock: &Clock) -> Retention {
    let keep = Keep::For(48 * HOUR);
    let rules = Rules { keep, keep_failures: keep, ..Rules::EVERYTHING };
    let (store, clock) = (store.clone(), clock.clone());
    Retention {
        store,
        clock,
        rules: live(rules).1,
        next_wake: NextWake::default(),
        pruning: Pruning::default(),
    }
}

/// Runs the loop for a while.
async fn live_for(retention: &Retention, length: Duration) {
    let Retention { store, clock, rules, next_wake, pruning } = retention;
    let (store, clock, rules) = (store.clone(), clock.clone(), rules.clone());
    let (next_wake, pruning) = (next_wake.clone(), pruning.clone());
    let retention = Retention { store, clock, rules, next_wake, pruning };
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    let stopped = async {
        tokio::time::sleep(length).await;
        stopping.cancel();
    };
    tokio::join!(async { run(retention, stop).await.unwrap() }, stopped);
}

fn at_noon() -> Clock {
    Clock::simulated("2026-03-02T12:00:00Z".parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_is_deleted_within_minutes_and_at_once_if_asked_for() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), at_noon());
    let retention = new(&open(folder.path(), &clock), &clock);
    insert(folder.path(), &clock, 450);
    live_for(&retention, 47 * HOUR).await;
    assert_eq!(left(folder.path()), 450);
    live_for(&retention, HOUR + DELETES_EVERY + DELETES_AFTER).await;
    assert_eq!(left(folder.path()), 0);
    assert_eq!(retention.pruning.state().ended, retention.pruning.state().begun);
    insert(folder.path(), &clock, 3);
    tokio::time::sleep(48 * HOUR).await;
    let pass = retention.pruning.request();
    live_for(&retention, DELETES_AFTER / 2).await;
    let state = retention.pruning.state();
    assert_eq!((state.ended, state.deleted.runs, left(folder.path())), (pass, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_goes_far_forward_is_believed_after_a_day_even_across_restarts() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), at_noon());
    let retention = new(&open(folder.path(), &clock), &clock);
    insert(folder.path(), &clock, 1);
    let set = async {
        tokio::time::sleep(HOUR).await;
        clock.step(SignedDuration::from_hours(12 * 365 * 24));
    };
    tokio::join!(live_for(&retention, 13 * HOUR), set);
    assert_eq!(left(folder.path()), 1, "the machine believes it is 2038");
    assert!(retention.pruning.state().clock_doubted_for > 11 * HOUR);
    // Another life goes on with what is left of the day.
    live_for(&retention, 11 * HOUR).await;
    assert_eq!(left(folder.path()), 1);
    live_for(&retention, 2 * HOUR).await;
    assert_eq!(left(folder.path()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_step_of_hours_and_a_machine_that_slept_are_believed() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), at_noon());
    let retention = new(&open(folder.path(), &clock), &clock);
    insert(folder.path(), &clock, 1);
    let set = async {
        tokio::time::sleep(2 * HOUR).await;
        clock.step(SignedDuration::from_hours(23));
        tokio::time::sleep(2 * HOUR).await;
        clock.step(SignedDuration::from_hours(23));
    };
    tokio::join!(live_for(&retention, 5 * HOUR), set);
    assert_eq!(left(folder.path()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_clock_is_doubted_if_the_last_daemon_was_very_long_ago() {
    for (days, is_doubted) in [(29, false), (31, true)] {
        let (folder, clock) = (tempfile::tempdir().unwrap(), at_noon());
        let store = open(folder.path(), &clock);
        let seen_at = clock.now() - SignedDuration::from_hours(24 * days);
        let former =
            FormerDaemon { started_at: seen_at, seen_at, stopped_at: Some(seen_at), disk_since: None };
        doubt_after_absence(&store, &clock, Some(former)).await.unwrap();
        assert_eq!(store.clock_doubted_for().await.unwrap() > Duration::ZERO, is_doubted, "{days} days");
        doubt_after_absence(&store, &clock, None).await.unwrap();
    }
}
