//! Which runs are about a thread, and what is left of a cron. That bytes are gone is tested with the binary.

use uuid::Uuid;

use super::*;
use crate::config::CronDefinition;
use crate::store::Execution;
use crate::store::tests::{Shell, open_store, shell};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

const COLUMNS: &str =
    "trigger, scheduled_for, due_at, start_before, exclusive, phase, start_number, status, ended_at";

/// A store with one run of a cron that was started three times, its retry, and two runs of clients.
async fn store(folder: &std::path::Path) -> (Store, Shell) {
    let store = open_store(folder, Execution::Inline);
    let body = r#"{"schedule":"@daily","assistant_id":"agent"}"#;
    let now = "2026-03-02T09:00:00Z".parse().unwrap();
    store.sync_file_crons(now, vec![CronDefinition::of_body("a", body)]).await.unwrap();
    let database = shell(folder);
    for (run, retry, starts) in [(1, 0, 3), (2, 1, 1)] {
        let sql = format!(
            "INSERT INTO runs (run_id, retry, cron_id, cron_name, cron_source, definition_id, {COLUMNS}) \
             SELECT ?1, ?2, cron_id, name, source, definition_id, 'schedule', 5, 5, 5, 0, 'ended', ?3, 'error', 6 FROM crons"
        );
        database.execute(&sql, (id(run), retry, starts));
    }
    for run in [3, 4] {
        let sql = format!(
            "INSERT INTO runs (run_id, thread_id, {COLUMNS}) VALUES (?1, ?2, 'client', 5, 5, 5, 0, 'ended', 1, 'success', 6)"
        );
        database.execute(&sql, (id(run), (run == 3).then(|| id(30))));
        let sql = "INSERT INTO client_runs VALUES (?1, 'agent', ?2, 'keep', 'http://a')";
        database.execute(sql, (id(run), id(10 * run)));
    }
    (store, database)
}

fn id(number: u128) -> String {
    Uuid::from_u128(number).to_string()
}

fn left(database: &Shell) -> Vec<u128> {
    let ids = database.lines("SELECT run_id FROM runs ORDER BY seq", ());
    ids.iter().map(|id| id.parse::<Uuid>().unwrap().as_u128()).collect()
}

#[tokio::test]
async fn a_thread_is_found_by_every_start_that_it_may_have_had() {
    let start = |number| RunId(Uuid::from_u128(1)).thread_of_start(number);
    let thread = |number| ThreadId(Uuid::from_u128(number));
    for (thread_id, expected) in [
        // With the other run of the occurrence.
        (start(1), vec![3, 4]),
        (start(3), vec![3, 4]),
        (start(4), vec![1, 2, 3, 4]),
        (RunId(Uuid::from_u128(2)).thread_of_start(1), vec![3, 4]),
        (thread(30), vec![1, 2, 4]),
        (thread(40), vec![1, 2, 3]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (store, database) = store(folder.path()).await;
        let subject = ForgetSubject::Thread(thread_id);
        let would = store.forget(NOW, Actor::AGENTCRON, subject.clone(), Purpose::DryRun).await.unwrap();
        assert_eq!(left(&database).len(), 4);
        let done = store.forget(NOW, Actor::AGENTCRON, subject, Purpose::Act).await.unwrap();
        assert_eq!((left(&database), done.deleted.runs), (expected, would.deleted.runs), "{thread_id}");
        let acts = "SELECT count(*) FROM acts WHERE what = 'forgotten' AND note = 'of a thread'";
        assert_eq!(
            database.count(acts),
            i64::from(done.deleted.runs > 0),
            "on record once, if there was something"
        );
    }
}

#[tokio::test]
async fn what_is_in_progress_is_named_and_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let (store, database) = store(folder.path()).await;
    let thread_id = RunId(Uuid::from_u128(1)).thread_of_start(2);
    let sql = "INSERT INTO thread_deletions (thread_id, run_id, due_at) VALUES (?1, ?2, 9)";
    database.execute(sql, (thread_id.to_string(), id(1)));
    for subject in [ForgetSubject::Cron("a".to_owned()), ForgetSubject::Thread(thread_id)] {
        let refused =
            store.forget(NOW, Actor::AGENTCRON, subject, Purpose::Act).await.unwrap_err().to_string();
        assert!(refused.contains("is about to be deleted on the agent server"), "{refused}");
    }
    let sql =
        "UPDATE runs SET phase = 'pending', status = NULL, ended_at = NULL, act_at = 9 WHERE run_id = ?1";
    database.execute(sql, [id(2)]);
    let refused = store
        .forget(NOW, Actor::AGENTCRON, ForgetSubject::Cron("a".to_owned()), Purpose::Act)
        .await
        .unwrap_err();
    assert!(matches!(refused, StoreError::Conflict(_)), "{refused}");
    assert_eq!(left(&database), [1, 2, 3, 4]);
}

/// Whoever adds a table about crons is to think of those who want to be forgotten.
#[tokio::test]
async fn every_table_about_crons_is_known_here() {
    let folder = tempfile::tempdir().unwrap();
    let (_store, database) = store(folder.path()).await;
    let tables = database.lines(
        "SELECT m.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = 'cron_id' \
         ORDER BY m.name",
        (),
    );
    let mut known: Vec<&str> = TABLES_ABOUT_CRON
        .into_iter()
        .chain(["crons", "cron_days", "cron_hours", "definitions", "runs"])
        .collect();
    known.sort_unstable();
    assert_eq!(tables, known);
}
