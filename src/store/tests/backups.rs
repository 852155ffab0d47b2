//! Backups are whole, and what a restored one does not know is neither done again nor made up.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;
use crate::store::{BackupProgress, RestoreAs, RestoredStore, back_up, restore};

/// Returns what each run of the history says: its minute, phase or status, and reason.
fn history(folder: &TempDir) -> Vec<String> {
    let sql = "SELECT strftime('%H:%M', scheduled_for / 1000, 'unixepoch') || ' ' || coalesce(status, phase) || ' ' \
               || coalesce(reason_code, '') || iif(occurrences > 1, ' x' || occurrences, '') FROM runs ORDER BY scheduled_for";
    shell(folder.path()).lines(sql, ())
}

fn nothing(_: BackupProgress) -> Result<(), StoreError> {
    Ok(())
}

/// A store with one run that the agent server has and one that waits, of which a backup was made at 09:02; then time went on.
async fn with_backup(folder: &TempDir) -> std::path::PathBuf {
    let clock = Clock::simulated(at("2026-03-02T09:02:30Z"));
    let store = Store::open(&file(folder), Execution::Inline, InstallationId::default(), clock).unwrap();
    let crons = vec![definition("a", "")];
    store.sync_file_crons(at("2026-03-02T09:00:00Z"), crons.clone()).await.unwrap();
    store.plan_due(at("2026-03-02T09:01:00Z")).await.unwrap();
    let first = claim(&store, "2026-03-02T09:01:00Z").await[0].held();
    store.step_run(accept(first)).await.unwrap();
    store.plan_due(at("2026-03-02T09:02:00Z")).await.unwrap();
    let backup = folder.path().join("backup.db");
    assert!(back_up(&file(folder), &backup, &mut nothing).unwrap() > 0);
    store.end_run(ending(first)).await.unwrap();
    store.plan_due(at("2026-03-02T09:03:00Z")).await.unwrap();
    backup
}

fn put_back(folder: &TempDir, backup: &Path, restore_as: RestoreAs) -> RestoredStore {
    let new = InstallationId(uuid::Uuid::from_u128(7));
    restore(backup, &file(folder), restore_as, new, at("2026-03-02T09:10:30Z"), &mut nothing).unwrap()
}

fn reopen(folder: &TempDir) -> Store {
    let clock = Clock::simulated(at("2026-03-02T09:11:30Z"));
    Store::open(&file(folder), Execution::Inline, InstallationId::default(), clock).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_backup_is_one_file_that_only_its_owner_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let backup = with_backup(&folder).await;
    assert_eq!(std::fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
    let connection = rusqlite::Connection::open(&backup).unwrap();
    let journal: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(journal, "delete");
    assert_eq!(count(&backup, "SELECT count(*) FROM runs"), 2);
    let again = back_up(&file(&folder), &backup, &mut nothing).unwrap_err().to_string();
    assert!(again.contains("it exists"), "{again}");
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains("unfinished")), "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_database_makes_no_backup_and_a_damaged_backup_is_not_restored() {
    let folder = tempfile::tempdir().unwrap();
    let backup = with_backup(&folder).await;
    let before = history(&folder);
    let mut bytes = std::fs::read(&backup).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0x5a);
    let damaged = folder.path().join("damaged.db");
    std::fs::write(&damaged, bytes).unwrap();
    let to = folder.path().join("copy.db");
    assert!(back_up(&damaged, &to, &mut nothing).unwrap_err().to_string().contains("damaged"));
    assert!(!to.exists());
    let new = InstallationId::default();
    let restored =
        restore(&damaged, &file(&folder), RestoreAs::Missed, new, at("2026-03-02T09:10:30Z"), &mut nothing);
    assert!(restored.unwrap_err().to_string().contains("damaged"));
    assert_eq!(history(&folder), before);
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_runs_is_not_robbed_of_its_store() {
    let folder = tempfile::tempdir().unwrap();
    let backup = with_backup(&folder).await;
    let _running = reopen(&folder);
    let new = InstallationId::default();
    let restored =
        restore(&backup, &file(&folder), RestoreAs::Missed, new, at("2026-03-02T09:10:30Z"), &mut nothing);
    assert!(matches!(restored, Err(StoreError::Taken { .. })));
}

#[tokio::test(start_paused = true)]
async fn what_was_due_since_the_backup_is_missed_and_what_waited_is_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let backup = with_backup(&folder).await;
    let restored = put_back(&folder, &backup, RestoreAs::Missed);
    assert_eq!((restored.backup_at, restored.runs), (Some(at("2026-03-02T09:02:30Z")), 2));
    assert_eq!(count(&restored.moved_to.unwrap(), "SELECT count(*) FROM runs"), 3, "the former one is kept");
    let store = reopen(&folder);
    store.plan_due(at("2026-03-02T09:11:00Z")).await.unwrap();
    let expected = [
        "09:01 running ",
        "09:02 unconfirmed start_unconfirmed",
        "09:03 missed restored x8",
        "09:11 pending ",
    ];
    assert_eq!(history(&folder), expected);
    // Its start deadline has passed: it is looked for, and not started.
    let too_late = "SELECT count(*) FROM runs WHERE phase = 'unconfirmed' AND start_before < 1772442630000";
    assert_eq!(count(&file(&folder), too_late), 1);
    let reader = Reader::open(&file(&folder)).unwrap();
    let outages: Vec<String> = reader
        .outages(at("2026-03-02T09:00:00Z"))
        .unwrap()
        .iter()
        .map(|outage| format!("{} {} {}", outage.what, outage.since, outage.until.unwrap()))
        .collect();
    let expected = [
        "daemon 2026-03-02T09:10:30Z 2026-03-02T09:11:30Z",
        "record 2026-03-02T09:02:30Z 2026-03-02T09:10:30Z",
    ];
    assert_eq!(outages, expected);
}

#[tokio::test(start_paused = true)]
async fn what_is_to_be_caught_up_is_looked_for_before_it_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let backup = with_backup(&folder).await;
    put_back(&folder, &backup, RestoreAs::CatchUp);
    let store = reopen(&folder);
    store.plan_due(at("2026-03-02T09:11:00Z")).await.unwrap();
    let found = history(&folder);
    assert_eq!(found.len(), 11, "{found:#?}");
    assert!(found[2..10].iter().all(|run| run.ends_with("unconfirmed start_unconfirmed")), "{found:#?}");
    assert_eq!(found[10], "09:11 pending ");
}

#[tokio::test(start_paused = true)]
async fn a_new_installation_has_the_history_and_goes_on_with_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let backup = with_backup(&folder).await;
    put_back(&folder, &backup, RestoreAs::New);
    let store = reopen(&folder);
    assert_eq!(store.installation_id(), InstallationId(uuid::Uuid::from_u128(7)));
    assert_eq!(history(&folder), ["09:01 cancelled restored", "09:02 cancelled restored"]);
    store.sync_file_crons(at("2026-03-02T09:11:30Z"), vec![definition("a", "")]).await.unwrap();
    store.plan_due(at("2026-03-02T09:12:00Z")).await.unwrap();
    let ids = count(&file(&folder), "SELECT count(DISTINCT cron_id) FROM runs WHERE cron_name = 'a'");
    assert_eq!((ids, history(&folder).len()), (2, 3));
    let wrong = include_str!("../../../tests/fixtures/rollups/wrong.sql");
    assert_eq!(count(&file(&folder), wrong), 0, "the roll-ups and the runs disagree");
    // Whoever restored the wrong one restores another at once.
    drop(store);
    let kept = [put_back(&folder, &backup, RestoreAs::Missed), put_back(&folder, &backup, RestoreAs::Missed)];
    assert_ne!(kept[0].moved_to, kept[1].moved_to);
    assert_eq!(count(kept[0].moved_to.as_ref().unwrap(), "SELECT count(*) FROM runs"), 3);
}

#[tokio::test(start_paused = true)]
async fn what_root_restores_belongs_to_the_owner_of_the_folder() {
    const NOBODY: u32 = 65_534;
    let folder = tempfile::tempdir().unwrap();
    let backup = with_backup(&folder).await;
    let store = folder.path().join("of-the-daemon");
    std::fs::create_dir(&store).unwrap();
    if std::os::unix::fs::chown(&store, Some(NOBODY), Some(NOBODY)).is_err() {
        eprintln!("skipped: only root can give files away");
        return;
    }
    let path = store.join("agentcron.db");
    let new = InstallationId::default();
    restore(&backup, &path, RestoreAs::Missed, new, at("2026-03-02T09:10:30Z"), &mut nothing).unwrap();
    let owners: Vec<u32> =
        std::fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().metadata().unwrap().uid()).collect();
    assert_eq!(owners, [NOBODY; 2], "the database and its lock");
}
