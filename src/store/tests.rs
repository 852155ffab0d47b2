//! The store on a real file: what it commits together, what it refuses to open (`opening`), what it claims (`claims`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use expect_test::{Expect, expect};
use jiff::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::config::CronDefinition;
use crate::domain::act::Actor;
use crate::domain::delivery::{AttemptReport, AttemptResult, DeliveryStatus, Ending, NewDelivery, Verdict};
use crate::domain::delivery_mode::RateLimit;
use crate::domain::ids::{BackendRunId, DeliveryId, RunId, ThreadId};
use crate::domain::run::{Outcome, RunChange, RunState, Status};

mod backups;
mod beside;
mod claims;
mod commits;
mod denials;
mod opening;
mod postgres;
mod rollups;
mod shell;

pub(crate) use shell::{SERVER, Shell, place, reader, shell};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("agentcron.db")
}

/// Opens, or creates, the store `agentcron.db` in a folder, always with the same installation id.
pub(crate) fn open_store(folder: &Path, execution: Execution) -> Store {
    try_open(&folder.join("agentcron.db"), execution).unwrap()
}

fn try_open(path: &Path, execution: Execution) -> Result<Store, StoreError> {
    open_at(path, execution, InstallationId::default(), crate::clock::Clock::system())
}

/// Opens, or creates, a store on the engine that the tests run on. On PostgreSQL it is alone as well.
pub(crate) fn open_at(
    path: &Path,
    execution: Execution,
    new_installation: InstallationId,
    clock: Clock,
) -> Result<Store, StoreError> {
    let lock = Arc::new(DaemonLock::take(path)?);
    Store::open_locked(&lock, &shell::place(path), execution, new_installation, clock, None)
}

/// Holds a run that has not ended, as its claim does.
pub(crate) async fn hold(store: &Store, run_id: RunId) -> HeldRun {
    let daemon = store.number;
    let hold = store.write(move |tx| {
        tx.execute(
            "UPDATE runs SET held_by = ?2, claim = claim + 1, act_at = NULL \
             WHERE run_id = ?1 AND phase <> 'ended' AND held_by IS DISTINCT FROM ?2",
            (run_id.to_string(), daemon.0),
        )?;
        tx.query_value("SELECT claim FROM runs WHERE run_id = ?1", [run_id.to_string()])
    });
    HeldRun { run_id, claim: hold.await.unwrap() }
}

fn open(folder: &TempDir) -> Store {
    open_store(folder.path(), Execution::WriterThread)
}

fn definition(name: &str, more: &str) -> Arc<CronDefinition> {
    let overlap = if more.contains("overlap") { "" } else { r#","overlap":"allow""# };
    let body = format!(r#"{{"schedule":"* * * * *","assistant_id":"agent"{overlap}{more}}}"#);
    CronDefinition::of_body(name, &body)
}

/// Returns a store with these crons, planned from 09:00:00 to 09:01:00: one run of each is due.
async fn with_due_runs(folder: &TempDir, definitions: Vec<Arc<CronDefinition>>) -> Store {
    let store = open(folder);
    store.sync_file_crons(at("2026-03-02T09:00:00Z"), definitions).await.unwrap();
    store.plan_due(at("2026-03-02T09:01:00Z")).await.unwrap();
    store
}

fn limits(starts: usize) -> ClaimLimits {
    ClaimLimits { starts, in_flight: 0, running_max: 256, own_places: usize::MAX }
}

async fn claim(store: &Store, now: &str) -> Vec<ClaimedRun> {
    store.claim_runs(at(now), limits(10)).await.unwrap().starts
}

fn accept(run: HeldRun) -> Step {
    let change = RunChange::Accept {
        thread_id: ThreadId(uuid::Uuid::nil()),
        backend_run_id: BackendRunId(uuid::Uuid::nil()),
        at: at("2026-03-02T09:01:00Z"),
    };
    Step::of(run, change)
}

fn ending(run: HeldRun) -> RunEnding {
    let run_id = run.run_id;
    let outcome = Outcome {
        status: Status::Success,
        reason: None,
        error: None,
        values: None,
        interrupts: None,
        ended_at: at("2026-03-02T09:01:05Z"),
        learnt_at: at("2026-03-02T09:01:05Z"),
    };
    let url = "https://ops.example.com/hook".to_owned();
    let delivery = NewDelivery {
        delivery_id: DeliveryId::of_run(run_id, &url),
        run_id: Some(run_id),
        url,
        body: b"{}".to_vec(),
        keeps_body: true,
        status: DeliveryStatus::Pending,
    };
    let discard = Some(ThreadId(uuid::Uuid::nil()));
    RunEnding { delivery: Some(delivery), discard, ..RunEnding::of(run, outcome) }
}

fn count(path: &Path, sql: &str) -> i64 {
    Shell::at(path).count(sql)
}

/// Asserts that opening fails with this message, and that the file stays byte for byte as it is.
#[tokio::test]
async fn a_failed_closure_undoes_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let insert = |name: &'static str| {
        store.write(move |tx| {
            tx.execute(
                "INSERT INTO definitions (definition_id, cron_id, body, created_at) VALUES (?1, 'c', '{}', 0)",
                [name],
            )?;
            if name == "bad" { Err(StoreError::Conflict("no".to_owned())) } else { Ok(()) }
        })
    };
    let (first, bad, second) = tokio::join!(insert("first"), insert("bad"), insert("second"));
    assert!(first.is_ok() && second.is_ok() && matches!(bad, Err(StoreError::Conflict(_))));
    assert_eq!(count(&file(&folder), "SELECT count(*) FROM definitions"), 2);
}

#[tokio::test]
async fn a_full_disk_is_waited_out_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let pages = count(&file(&folder), "PRAGMA page_count");
    let pages = format!("PRAGMA max_page_count = {}", pages + 1);
    store.write(move |tx| tx.each(&pages, (), |_| Ok(()))).await.unwrap();
    let fill = store.write(|tx| {
        // When it runs for the second time there is room.
        if tx.query_count("PRAGMA cache_spill", ())? == 0 {
            tx.query_count("PRAGMA max_page_count = 1000000", ())?;
        }
        tx.each("PRAGMA cache_spill = 0", (), |_| Ok(()))?;
        tx.execute(
            "INSERT INTO definitions (definition_id, cron_id, body, created_at) \
             VALUES ('large', 'c', json_quote(hex(zeroblob(100000))), 0)",
            (),
        )?;
        Ok(())
    });
    let watch = async {
        while store.trouble().is_none() {
            tokio::task::yield_now().await;
        }
        store.trouble()
    };
    let (filled, trouble) = tokio::join!(fill, watch);
    filled.unwrap();
    assert!(trouble.unwrap().1.contains("full"));
    assert_eq!(store.trouble(), None);
    assert_eq!(count(&file(&folder), "SELECT count(*) FROM definitions"), 1);
}

#[tokio::test]
async fn an_occurrence_is_inserted_once_however_often_it_is_planned() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    store.sync_file_crons(at("2026-03-02T09:00:00Z"), vec![definition("a", "")]).await.unwrap();
    let millis = at("2026-03-02T09:00:00Z").as_millisecond();
    for _ in 0..3 {
        // The cursor is an old one each time, as after the clock was set back.
        shell(folder.path()).execute("UPDATE crons SET cursor = ?1, next_at = 0", [millis]);
        let _ = store.plan_due(at("2026-03-02T09:02:00Z")).await.unwrap();
    }
    assert_eq!(count(&file(&folder), "SELECT count(*) FROM runs"), 2);
}

#[tokio::test]
async fn a_read_sees_every_commit_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_due_runs(&folder, vec![definition("a", "")]).await;
    let run = claim(&store, "2026-03-02T09:01:00Z").await[0].held();
    assert!(matches!(store.run(run.run_id).await.unwrap().state, RunState::Sending { .. }));
    store.step_run(accept(run)).await.unwrap();
    assert!(matches!(store.run(run.run_id).await.unwrap().state, RunState::Running(_)));
    store.end_run(ending(run)).await.unwrap();
    assert_eq!(store.run(run.run_id).await.unwrap().state.status(), Some(Status::Success));
    let due = store.claim_deletions(at("2026-03-02T09:01:05Z"), 10).await.unwrap();
    assert_eq!((due.threads.len(), due.next_due_at), (1, None));
    store.threads_deleted(vec![due.threads[0]]).await.unwrap();
    assert_eq!(store.claim_deletions(at("2026-03-02T09:01:05Z"), 10).await.unwrap(), DueDeletions::default());
    let unknown = store.run(RunId(uuid::Uuid::nil())).await;
    assert!(matches!(unknown, Err(StoreError::NotFound(_))), "{unknown:?}");
}

#[tokio::test]
async fn a_dry_backfill_returns_what_a_real_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_due_runs(&folder, vec![definition("a", "")]).await;
    let order = |purpose| BackfillOrder {
        name: "a".to_owned(),
        from: Some(at("2026-03-02T08:58:00Z")),
        before_beginning: true,
        to: at("2026-03-02T09:02:00Z"),
        limit: 3,
        purpose,
    };
    let now = at("2026-03-02T09:02:30Z");
    let dry = store.backfill(now, Actor::AGENTCRON, order(Purpose::DryRun)).await.unwrap().unwrap();
    let fates: Vec<_> = dry.lines.iter().map(|line| line.fate.clone()).collect();
    let exists = BackfillFate::Exists("pending".to_owned());
    assert_eq!(fates, [BackfillFate::Run, BackfillFate::Run, BackfillFate::Run, exists]);
    assert_eq!(count(&file(&folder), "SELECT count(*) FROM runs"), 1, "a dry run changes nothing");
    for from in [None, Some(at("2026-03-02T08:58:00Z"))] {
        let clipped = BackfillOrder { from, before_beginning: false, ..order(Purpose::DryRun) };
        let clipped = store.backfill(now, Actor::AGENTCRON, clipped).await.unwrap().unwrap();
        assert_eq!((clipped.from, clipped.lines.len()), (at("2026-03-02T09:00:00Z"), 2));
    }
    assert_eq!(store.backfill(now, Actor::AGENTCRON, order(Purpose::Act)).await.unwrap(), Some(dry));
    assert_eq!(count(&file(&folder), "SELECT count(*) FROM runs"), 4);
    let too_many =
        BackfillOrder { limit: 0, from: Some(at("2026-03-02T08:50:00Z")), ..order(Purpose::DryRun) };
    let refused = store.backfill(now, Actor::AGENTCRON, too_many).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
}

#[tokio::test]
async fn a_backfill_leaves_a_record_only_what_the_schedule_of_then_has_put_into_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let every = |minutes: u32| {
        let body = definition("a", "").body.replace("* * * * *", &format!("*/{minutes} * * * *"));
        vec![CronDefinition::of_body("a", &body)]
    };
    store.sync_file_crons(at("2026-03-02T09:00:00Z"), every(10)).await.unwrap();
    let pause = CronStateChange::Pause { note: None, until: None };
    store
        .change_cron_state(at("2026-03-02T09:00:00Z"), Actor::AGENTCRON, "a".to_owned(), pause)
        .await
        .unwrap();
    // 9:10, 9:20, 9:30, 9:40, 9:50 and 10:00 are one record.
    let now = at("2026-03-02T10:00:00Z");
    store.plan_due(now).await.unwrap();
    store.sync_file_crons(now, every(15)).await.unwrap();
    let (from, to) = (Some(at("2026-03-02T09:15:00Z")), at("2026-03-02T09:46:00Z"));
    let (name, purpose) = ("a".to_owned(), Purpose::Act);
    let order = BackfillOrder { name, from, before_beginning: false, to, limit: 10, purpose };
    let backfill = store.backfill(now, Actor::AGENTCRON, order).await.unwrap().unwrap();
    // 9:15, 9:30 and 9:45, of which only 9:30 was in the record.
    assert!(backfill.lines.iter().all(|line| line.fate == BackfillFate::Run) && backfill.lines.len() == 3);
    let counted = "SELECT occurrences FROM runs WHERE last_scheduled_for IS NOT NULL";
    assert_eq!(count(&file(&folder), counted), 5);
}

#[tokio::test]
async fn outcome_delivery_and_thread_deletion_are_committed_together_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_due_runs(&folder, vec![definition("a", "")]).await;
    let run = claim(&store, "2026-03-02T09:01:00Z").await[0].held();
    store.step_run(accept(run)).await.unwrap();
    store.end_run(ending(run)).await.unwrap();
    let all = "SELECT (SELECT count(*) FROM deliveries) + (SELECT count(*) FROM thread_deletions)";
    assert_eq!(count(&file(&folder), all), 2);
    let twice = store.end_run(ending(run)).await;
    assert!(matches!(twice, Err(StoreError::NotHeld)), "{twice:?}");
}

#[tokio::test]
async fn an_attempt_is_counted_before_it_is_made_and_one_that_was_cut_off_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_due_runs(&folder, vec![definition("a", "")]).await;
    let run = claim(&store, "2026-03-02T09:01:00Z").await[0].held();
    store.step_run(accept(run)).await.unwrap();
    store.end_run(ending(run)).await.unwrap();
    let now = at("2026-03-02T09:01:06Z");
    let first = store
        .claim_deliveries(now, 10, RateLimit::default(), Vec::new(), |_| Admission::Admitted(()))
        .await
        .unwrap()
        .deliveries
        .remove(0)
        .0;
    assert_eq!(first.attempt, 1);
    assert!(
        store
            .claim_deliveries(now, 10, RateLimit::default(), Vec::new(), |_| Admission::Admitted(()))
            .await
            .unwrap()
            .deliveries
            .is_empty()
    );
    store.hand_over(now).await.unwrap();
    let second = store
        .claim_deliveries(now, 10, RateLimit::default(), Vec::new(), |_| Admission::Admitted(()))
        .await
        .unwrap()
        .deliveries
        .remove(0)
        .0;
    assert_eq!((second.attempt, &second.body), (2, &first.body));
    // The result of the first attempt is ignored now, and that of the second is not.
    let finished = |attempt, verdict| FinishedAttempt {
        delivery: ClaimedDelivery { attempt, ..first.clone() },
        at: now,
        report: AttemptReport::unanswered(AttemptResult::Accepted { code: 200 }),
        verdict,
        back: Vec::new(),
    };
    store
        .finish_attempts(std::sync::Arc::new(vec![finished(
            1,
            Verdict::Ended(Ending::Failed, "late".to_owned()),
        )]))
        .await
        .unwrap();
    store.finish_attempts(std::sync::Arc::new(vec![finished(2, Verdict::Delivered)])).await.unwrap();
    let sql = "SELECT count(*) FROM deliveries WHERE status = 'delivered' AND attempts = 2";
    assert_eq!(count(&file(&folder), sql), 1);
}

#[tokio::test]
async fn what_a_cron_owes_is_planned_by_its_new_definition_or_skipped_if_it_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_due_runs(&folder, vec![definition("a", ""), definition("b", "")]).await;
    let changed = definition("a", r#","timeout":"5m""#);
    let now = at("2026-03-02T09:02:30Z");
    let report = store.sync_file_crons(now, vec![changed]).await.unwrap();
    assert_eq!(report, SyncReport { added: 0, changed: 1, removed: 1, kept: Vec::new() });
    let runs = |sql: &str| count(&file(&folder), &format!("SELECT count(*) FROM runs WHERE {sql}"));
    // 09:02 of the changed one was owed, and all that waits has the new definition.
    assert_eq!(
        runs("cron_name = 'a' AND definition_id = (SELECT definition_id FROM crons WHERE name = 'a')"),
        2
    );
    // 09:02 of the removed one was owed too, and neither of its two runs is started any more.
    assert_eq!(runs("cron_name = 'b' AND status = 'skipped' AND reason LIKE 'removed%'"), 2);
    let cursors = "SELECT count(*) FROM crons WHERE removed_at IS NULL AND cursor = ";
    assert_eq!(count(&file(&folder), &format!("{cursors}{}", now.as_millisecond())), 1);
}

#[tokio::test]
async fn the_queries_of_every_second_use_indexes() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&folder));
    let database = shell(folder.path());
    let may_start = waits_for::may_start();
    let expired = format!(
        "SELECT seq FROM runs WHERE phase = 'pending' AND start_before <= 1 AND act_at IS NOT NULL AND {may_start}"
    );
    let decided = [true, false].map(set_back::decided_sql);
    let due = cron_entries::due_sql();
    for sql in [
        expired.as_str(),
        &decided[0],
        &decided[1],
        &due,
        set_back::DELETED_UNTIL,
        "SELECT url FROM deliveries WHERE receiver = 'r' AND url > 'u' AND due_at IS NOT NULL ORDER BY url LIMIT 1",
        "SELECT seq FROM deliveries INDEXED BY deliveries_by_url WHERE receiver = 'r' AND url = 'u' AND due_at IS NOT NULL \
         AND (due_at, seq) > (1, 1) AND due_at <= 2 ORDER BY due_at, seq LIMIT 1",
        "SELECT run_id FROM runs WHERE act_at <= 1 AND phase = 'pending' ORDER BY act_at",
        "SELECT run_id FROM runs WHERE phase = 'pending' AND cancelling IS NOT NULL AND act_at IS NOT NULL",
        room::PLACES,
        hot::claim_runs::NEXT_ACT,
        cron_entries::NEXT_OF_EACH_SOURCE,
        "UPDATE runs SET sent_at = 1 WHERE sent_at IS NOT NULL AND ended_at IS NULL AND (sent_at > 1 OR started_at > 1)",
        "SELECT run_id FROM runs WHERE cron_id = 'c' AND phase <> 'ended'",
        "SELECT run_id FROM runs WHERE cron_id = 'c' AND phase = 'pending' AND phase <> 'ended' AND act_at IS NOT NULL \
         AND cancelling IS NULL",
        "SELECT what FROM outages WHERE coalesce(until, 9223372036854775807) >= 1 ORDER BY since DESC, what, subject",
        "UPDATE runs SET recovered_at = 1 WHERE phase <> 'ended' AND phase IN ('unconfirmed', 'running') AND exclusive = 1",
        "SELECT delivery_id FROM deliveries WHERE due_at <= 1 ORDER BY due_at",
        "SELECT thread_id FROM thread_deletions WHERE due_at <= 1 AND held_by IS NULL ORDER BY due_at",
    ] {
        for line in database.plan(sql) {
            let small = ["outages", "daemons", "CONSTANT ROW", "of_files", "of_clients"];
            let is_small = small.iter().any(|name| line.contains(name)) || sql.contains("FROM outages");
            let reads = ["SCAN", "SEARCH", "USE"].iter().any(|how| line.starts_with(how));
            let is_quick = line.contains("INDEX") && !line.starts_with("USE");
            assert!(is_small || is_quick || !reads, "{sql}: {line}");
        }
    }
    let checks = format!(
        "SELECT run_id FROM runs WHERE {} AND (held_by IS NULL OR held_by = 1) ORDER BY act_at",
        hot::claim_runs::TO_CHECK
    );
    let plan = database.plan(&checks);
    assert!(plan[0].contains("INDEX runs_to_check"), "{plan:?}");
}
