//! Several daemons on one store at the same time, each with a connection of its own. On SQLite one transaction waits for the other,
//! so these tests say something on PostgreSQL only, where each statement of a transaction sees what was committed before it.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::*;
use crate::domain::ids::CronId;
use crate::domain::reason::RunEventKind;
use crate::store::held_runs::read_ahead;
use crate::store::hot::claim_runs::Claimer;
use crate::store::published::Left;
use crate::store::sql::{Connection, Writing};

const BEGAN: &str = "2026-03-02T09:00:00Z";
/// When what was triggered then is due.
const SOON: &str = "2026-03-02T09:00:30Z";
const SKIPPED: &str = "SELECT count(*) FROM runs WHERE status = 'skipped'";
const DUE: &str = "2026-03-02T09:01:00Z";

/// A folder with a store, or `None` on SQLite.
fn on_server() -> Option<TempDir> {
    shell::server().map(|_| tempfile::tempdir().unwrap())
}

/// Opens the store of a folder as one daemon of several.
fn daemon(folder: &TempDir) -> Store {
    let lock = Arc::new(DaemonLock::waived());
    let clock = crate::clock::Clock::system();
    let new = InstallationId::default();
    Store::open_locked(&lock, &place(&file(folder)), Execution::WriterThread, new, clock, None).unwrap()
}

/// Another daemon, whose transactions a test ends by hand.
struct ByHand {
    store: Store,
    connection: Connection,
}

impl ByHand {
    fn of(folder: &TempDir) -> Self {
        let connection =
            place(&file(folder)).open_to_write(InstallationId::default(), &Clock::system()).unwrap();
        Self { store: daemon(folder), connection }
    }

    fn begin(&mut self) -> (Tx<'_>, &Store) {
        (Tx::begin_as(&mut self.connection, Writing::Beside).unwrap(), &self.store)
    }
}

/// Plans and claims in a transaction that stays open.
fn claim_in(tx: &Tx<'_>, store: &Store, limits: ClaimLimits, now: &str) -> Claim {
    let claimer = Claimer { tx, cache: &store.definitions, daemon: store.number, now: at(now) };
    claimer.claim(tx, limits, 10, &Left::default()).unwrap()
}

fn commit(tx: Tx<'_>) {
    tx.commit().unwrap();
}

/// Waits until a transaction waits for a lock of another one.
async fn until_waiting(shell: &Shell) {
    // For the lock of all who write, or for a row.
    let waiting = "SELECT count(*) FROM pg_stat_activity AS a WHERE wait_event_type = 'Lock' \
                   AND (query LIKE '%' || current_schema || '%' OR EXISTS (SELECT 1 FROM pg_locks AS l \
                   WHERE l.pid = ANY(pg_blocking_pids(a.pid)) AND l.relation = to_regclass('crons')))";
    for _ in 0..1000 {
        if shell.count(waiting) > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody waits");
}

#[expect(clippy::disallowed_methods, reason = "each test waits for what it has begun")]
fn in_background<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(work)
}

fn exclusive(name: &str, more: &str) -> Arc<CronDefinition> {
    let body = format!(r#"{{"schedule":"* * * * *","assistant_id":"agent","overlap":"skip"{more}}}"#);
    CronDefinition::of_body(name, &body)
}

async fn trigger(store: &Store, name: &str) -> RunId {
    let request = TriggerRequest { name: name.to_owned(), input: None };
    store.trigger(at(BEGAN), Actor::AGENTCRON, request).await.unwrap().unwrap().run.run_id
}

fn names(claimed: &[ClaimedRun]) -> Vec<String> {
    let mut names: Vec<String> = claimed.iter().map(|claimed| claimed.run.called().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_daemon_has_no_room_for_is_free_for_the_others() {
    let Some(folder) = on_server() else { return };
    let (store, mut other) = (daemon(&folder), ByHand::of(&folder));
    let names = ["a", "b", "c", "d", "e"];
    store.sync_file_crons(at(BEGAN), names.map(|name| exclusive(name, "")).into()).await.unwrap();
    store.plan_due(at(SOON)).await.unwrap();
    futures_util::future::join_all(names.map(|name| trigger(&store, name))).await;
    let (tx, by) = other.begin();
    assert_eq!(claim_in(&tx, by, ClaimLimits { own_places: 1, ..limits(10) }, SOON).starts.len(), 1);
    assert_eq!(claim(&store, SOON).await.len(), 3, "one more is locked, to know that there is more");
    commit(tx);
    assert_eq!(claim(&store, SOON).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_never_send_two_runs_of_an_exclusive_cron() {
    let Some(folder) = on_server() else { return };
    let (store, mut other) = (daemon(&folder), ByHand::of(&folder));
    store.sync_file_crons(at(BEGAN), vec![exclusive("a", ""), definition("b", "")]).await.unwrap();
    let (first, second) = (trigger(&store, "a").await, trigger(&store, "a").await);
    let (tx, by) = other.begin();
    let claimed = claim_in(&tx, by, limits(10), SOON);
    assert_eq!(claimed.starts.iter().map(|claimed| claimed.run.run_id).collect::<Vec<_>>(), [first]);
    // The run that is claimed beside this is not seen, and its cron is locked: so is the question whether one is going.
    assert!(claim(&store, SOON).await.is_empty());
    commit(tx);
    assert!(claim(&store, SOON).await.is_empty(), "one is being sent");
    let held = claimed.starts[0].held();
    by.step_run(accept(held)).await.unwrap();
    by.end_run(ending(held)).await.unwrap();
    let next = claim(&store, SOON).await;
    assert_eq!(next.iter().map(|claimed| claimed.run.run_id).collect::<Vec<_>>(), [second]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_two_daemons_look_at_is_claimed_by_one() {
    let Some(folder) = on_server() else { return };
    let (store, mut other) = (daemon(&folder), ByHand::of(&folder));
    let crons = ["a", "b", "c", "d"];
    store.sync_file_crons(at(BEGAN), crons.map(|name| definition(name, "")).into()).await.unwrap();
    for name in crons {
        trigger(&store, name).await;
    }
    let (tx, by) = other.begin();
    let claimer = Claimer { tx: &tx, cache: &by.definitions, daemon: by.number, now: at(SOON) };
    let first = claimer.claim(&tx, limits(1), 0, &Left::default()).unwrap();
    assert_eq!((names(&first.starts), first.more_to_start), (vec!["a".to_owned()], true));
    // It has locked one more, to know whether there is one.
    let rest = claim(&store, SOON).await;
    assert_eq!(names(&rest), ["c", "d"]);
    commit(tx);
    assert_eq!(names(&claim(&store, SOON).await), ["b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_cron_that_is_due_is_planned_by_one_daemon() {
    let Some(folder) = on_server() else { return };
    let (store, mut other) = (daemon(&folder), ByHand::of(&folder));
    let crons = (0..6).map(|number| definition(&format!("c{number}"), "")).collect();
    store.sync_file_crons(at(BEGAN), crons).await.unwrap();
    store.plan_due(at(BEGAN)).await.unwrap();
    let (tx, by) = other.begin();
    let limits = ClaimLimits { starts: 3, in_flight: 1, running_max: 256, own_places: usize::MAX };
    let claimer = Claimer { tx: &tx, cache: &by.definitions, daemon: by.number, now: at(DUE) };
    let first = claimer.claim(&tx, limits, 0, &Left::default()).unwrap();
    assert_eq!(first.starts.len(), 3);
    let rest = store.claim_starts(at(DUE), limits).await.unwrap();
    assert_eq!(rest.starts.len(), 3, "what the other one plans is left to it: {rest:?}");
    commit(tx);
    let all: HashSet<String> = names(&first.starts).into_iter().chain(names(&rest.starts)).collect();
    assert_eq!(all.len(), 6);
    let none = store.claim_starts(at(DUE), limits).await.unwrap();
    assert_eq!((none.starts.len(), none.planned.more_is_free), (0, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_does_not_skip_an_occurrence_for_a_run_that_ends_beside_it() {
    let Some(folder) = on_server() else { return };
    let (store, mut other) = (daemon(&folder), ByHand::of(&folder));
    // Opening it is a change.
    let shell = shell(folder.path());
    store.sync_file_crons(at(BEGAN), vec![exclusive("a", "")]).await.unwrap();
    trigger(&store, "a").await;
    let run = claim(&store, SOON).await[0].held();
    store.step_run(accept(run)).await.unwrap();
    // The end has its cron, and is not committed yet.
    let (tx, _) = other.begin();
    let change = HeldChange { run_id: run.run_id, with_cron: true };
    tx.keep_ahead(read_ahead(&tx, &[change]).unwrap());
    let planned = store.plan_due(at(DUE)).await.unwrap();
    assert_eq!((planned.fired, planned.more_is_free), (0, false));
    assert!(planned.pass_at.is_some_and(|next| next > at(DUE)), "it looks again soon: {planned:?}");
    assert_eq!(shell.count(SKIPPED), 0);
    drop(tx);
    store.end_run(ending(run)).await.unwrap();
    assert_eq!(store.plan_due(at(DUE)).await.unwrap().fired, 1);
    // The other way round: an end waits until its cron is planned.
    let next = claim(&store, DUE).await[0].held();
    store.step_run(accept(next)).await.unwrap();
    let (tx, by) = other.begin();
    let planned = claim_in(&tx, by, limits(10), "2026-03-02T09:02:00Z");
    assert_eq!(planned.planned.fired, 0, "it is skipped for the run that is in progress");
    let ends = in_background({
        let store = store.clone();
        async move { store.end_run(ending(next)).await }
    });
    until_waiting(&shell).await;
    assert!(!ends.is_finished());
    commit(tx);
    ends.await.unwrap().unwrap();
    assert_eq!(shell.count(SKIPPED), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn once_a_hold_is_answered_nobody_begins_to_send() {
    let Some(folder) = on_server() else { return };
    let (store, other, shell) = (daemon(&folder), daemon(&folder), shell(folder.path()));
    store.sync_file_crons(at(BEGAN), vec![definition("a", ""), definition("b", "")]).await.unwrap();
    for name in ["a", "b"] {
        trigger(&store, name).await;
    }
    for run in claim(&store, SOON).await {
        store.step_run(accept(run.held())).await.unwrap();
        store.end_run(ending(run.held())).await.unwrap();
    }
    let now = at("2026-03-02T09:02:00Z");
    let claim_one = |store: &Store| {
        let store = store.clone();
        async move {
            let admit = |_: Claimable<'_>| Admission::Admitted(());
            store.claim_deliveries(now, 1, RateLimit::default(), Vec::new(), admit).await.unwrap().deliveries
        }
    };
    let mut by_hand =
        place(&file(&folder)).open_to_write(InstallationId::default(), &Clock::system()).unwrap();
    // While a claim is open, a hold waits for it, and counts what it has claimed.
    let claiming = Tx::begin_as(&mut by_hand, Writing::Beside).unwrap();
    let hold = in_background({
        let store = store.clone();
        async move { store.hold_webhooks(now, Actor::AGENTCRON, None).await }
    });
    until_waiting(&shell).await;
    let daemon = other.number.0;
    claiming
        .execute(
            "UPDATE deliveries SET status = 'sending', due_at = NULL, sending_since = 1, held_by = ?1, attempts = 1 \
             WHERE seq = (SELECT min(seq) FROM deliveries)",
            [daemon],
        )
        .unwrap();
    assert!(!hold.is_finished());
    commit(claiming);
    assert_eq!(hold.await.unwrap().unwrap().in_flight, 1);
    assert!(claim_one(&other).await.is_empty() && claim_one(&store).await.is_empty());
    // While a hold is open, a claim waits for it, and finds it.
    store.release_webhooks(now, Actor::AGENTCRON, None).await.unwrap();
    let holding = Tx::begin(&mut by_hand).unwrap();
    let claims = in_background(claim_one(&other));
    until_waiting(&shell).await;
    holding.execute("UPDATE delivery_mode SET held_at = 1 WHERE one = 1", ()).unwrap();
    assert!(!claims.is_finished());
    commit(holding);
    assert!(claims.await.unwrap().is_empty());
    store.release_webhooks(now, Actor::AGENTCRON, None).await.unwrap();
    assert_eq!(claim_one(&other).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_undone_because_two_wait_for_each_other_is_done_again() {
    let Some(folder) = on_server() else { return };
    let stores = [daemon(&folder), daemon(&folder)];
    stores[0].sync_file_crons(at(BEGAN), vec![definition("a", ""), definition("b", "")]).await.unwrap();
    let both = Arc::new(std::sync::Barrier::new(2));
    let locks = |store: &Store, names: [&'static str; 2]| {
        let (store, both, mut is_first) = (store.clone(), Arc::clone(&both), true);
        in_background(async move {
            let work = move |tx: &Tx<'_>| {
                for name in names {
                    tx.execute("UPDATE crons SET turn = turn + 1 WHERE name = ?1", [name])?;
                    if std::mem::take(&mut is_first) {
                        both.wait();
                    }
                }
                Ok(())
            };
            store.write_hot(work).await
        })
    };
    let (one, other) = (locks(&stores[0], ["a", "b"]), locks(&stores[1], ["b", "a"]));
    one.await.unwrap().unwrap();
    other.await.unwrap().unwrap();
    assert_eq!(count(&file(&folder), "SELECT CAST(sum(turn) AS BIGINT) FROM crons"), 4);
    assert!(stores.iter().all(|store| store.trouble().is_none()));
}

/// Tables of a few rows, or of none most of the time.
const SMALL: [&str; 8] = [
    "daemons",
    "installation",
    "failovers",
    "turns",
    "delivery_mode",
    "pauses_of_all",
    "suspended_urls",
    "outages",
];

/// Asserts that each statement that this daemon has run since finds its rows by an index, and that none that locks rows asks something
/// of each of them: such a question is answered by what was committed when the statement began, and by a plan for another table.
async fn assert_found_by_indexes(store: &Store, before: &HashSet<String>) {
    let plans = store.write(|tx| tx.plans()).await.unwrap();
    let hot: Vec<_> = plans.into_iter().filter(|(sql, _)| !before.contains(sql)).collect();
    assert!(hot.len() > 40, "only {}", hot.len());
    let is_small = |line: &str| SMALL.iter().any(|table| line.contains(&format!("on {table} ")));
    let bad = hot.iter().filter(|(sql, plan)| {
        plan.lines().any(|line| line.contains("Seq Scan") && !is_small(line))
            || sql.contains("FOR NO KEY UPDATE") && plan.contains("SubPlan")
    });
    let bad: Vec<String> = bad.map(|(sql, plan)| format!("{sql}\n{plan}")).collect();
    assert!(bad.is_empty(), "{}", bad.join("\n\n"));
}

/// Does what runs and webhooks need, each operation once at least.
async fn use_everything(store: &Store, now: Timestamp) {
    let claimed = store.claim_runs(now, limits(64)).await.unwrap();
    // All at once, as each statement has another form for many rows.
    let steps = claimed
        .starts
        .iter()
        .enumerate()
        .map(|(number, claimed)| step_to(store, number, claimed.held(), now));
    futures_util::future::join_all(steps).await;
    let ends = claimed.starts.iter().enumerate().filter(|(number, _)| number % 3 != 1);
    let ends = ends.map(|(number, claimed)| end_as(store, number, claimed.held()));
    futures_util::future::join_all(ends).await;
    store.claim_runs(now + Duration::from_secs(600), limits(64)).await.unwrap();
    let admit = |_: Claimable<'_>| Admission::Admitted(());
    let claim = store.claim_deliveries(now, 32, RateLimit::default(), Vec::new(), admit).await.unwrap();
    let finished = claim.deliveries.into_iter().map(|(delivery, ())| attempted(delivery, now));
    store.finish_attempts(Arc::new(finished.collect())).await.unwrap();
    let due = store.claim_deletions(now + Duration::from_secs(600), 10).await.unwrap();
    store.threads_deleted(due.threads).await.unwrap();
    store.commit_nothing().await.unwrap();
}

async fn step_to(store: &Store, number: usize, held: HeldRun, now: Timestamp) {
    if number % 3 != 1 {
        store.step_run(accept(held)).await.unwrap();
        return;
    }
    let event = RunEvent { at: now, event: RunEventKind::NotSent, reason: None };
    let step = Step { act_at: Some(now), event: Some(event), ..Step::of(held, RunChange::NotSent) };
    store.step_run(step).await.unwrap();
}

async fn end_as(store: &Store, number: usize, held: HeldRun) {
    let mut ending = ending(held);
    // Each has a thread and a webhook of its own.
    ending.discard = Some(ThreadId(held.run_id.0));
    if number % 3 == 2 {
        store.looked_at(held).await.unwrap();
        ending.outcome.status = Status::Error;
        ending.failure_limit = Some(FailureLimit { limit: 1, delivery: ending.delivery.clone() });
    }
    store.end_run(ending).await.unwrap();
}

fn attempted(delivery: ClaimedDelivery, at: Timestamp) -> FinishedAttempt {
    let result = AttemptResult::Accepted { code: 204 };
    let phases = crate::domain::delivery::Phases::default();
    let report = AttemptReport { result, address: None, phases, answer: None, receiver_clock: None };
    FinishedAttempt { delivery, at, report, verdict: Verdict::Delivered, back: Vec::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hot_statement_finds_its_rows_by_an_index() {
    let Some(folder) = on_server() else { return };
    let (first, store) = (daemon(&folder), daemon(&folder));
    let more = r#","catchup":"all","retry":{"max":2}"#;
    let crons = (0..60).map(|number| match number % 3 {
        0 => exclusive(&format!("exclusive-{number}"), more),
        1 => CronDefinition::of_body(
            &format!("latest-{number}"),
            r#"{"schedule":"* * * * *","assistant_id":"agent","overlap":"cancel"}"#,
        ),
        _ => definition(&format!("c{number}"), more),
    });
    first.sync_file_crons(at(BEGAN), crons.collect()).await.unwrap();
    let before = store.write(|tx| tx.plans()).await.unwrap().into_iter().map(|(sql, _)| sql).collect();
    use_everything(&store, at("2026-03-02T09:03:00Z")).await;
    assert_found_by_indexes(&store, &before).await;
    for minute in 4..14 {
        use_everything(&store, at(BEGAN) + Duration::from_secs(60 * minute)).await;
    }
    shell(folder.path())
        .run("ANALYZE crons; ANALYZE runs; ANALYZE run_events; ANALYZE deliveries; ANALYZE definitions");
    assert_found_by_indexes(&store, &before).await;
}

/// What three daemons have done together.
#[derive(Default)]
struct Done {
    claimed: Mutex<HashMap<RunId, u32>>,
    /// The runs of exclusive crons that are in progress.
    going: Mutex<HashSet<CronId>>,
    ended: Mutex<usize>,
    sent: Mutex<HashSet<DeliveryId>>,
}

impl Done {
    /// Claims until everything has ended, and takes each run to its end.
    async fn work(&self, store: &Store, total: usize, places: usize) {
        let now = at("2026-03-02T09:05:00Z");
        while *self.ended.lock().unwrap() < total {
            let limits =
                ClaimLimits { starts: 16, in_flight: 0, running_max: places, own_places: usize::MAX };
            let claim = store.claim_starts(now, limits).await.unwrap();
            if claim.starts.is_empty() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            for claimed in &claim.starts {
                *self.claimed.lock().unwrap().entry(claimed.run.run_id).or_default() += 1;
                if claimed.run.called().starts_with("exclusive") {
                    let cron_id = claimed.run.cron_id().unwrap();
                    assert!(self.going.lock().unwrap().insert(cron_id), "two runs of an exclusive cron");
                }
            }
            let held = store
                .read_at_one_moment(|tx| {
                    tx.query_count(
                        "SELECT count(*) FROM runs WHERE sent_at IS NOT NULL AND ended_at IS NULL",
                        (),
                    )
                })
                .await
                .unwrap();
            assert!(held <= places as u64, "{held} at once");
            let ends = claim.starts.iter().map(|claimed| self.live(store, claimed));
            futures_util::future::join_all(ends).await;
            self.deliver(store, now).await;
        }
        self.deliver(store, now).await;
    }

    async fn live(&self, store: &Store, claimed: &ClaimedRun) {
        store.step_run(accept(claimed.held())).await.unwrap();
        self.going.lock().unwrap().remove(&claimed.run.cron_id().unwrap());
        store.end_run(ending(claimed.held())).await.unwrap();
        *self.ended.lock().unwrap() += 1;
    }

    async fn deliver(&self, store: &Store, now: Timestamp) {
        let admit = |_: Claimable<'_>| Admission::Admitted(());
        let claim = store.claim_deliveries(now, 32, RateLimit::default(), Vec::new(), admit).await.unwrap();
        let finished: Vec<FinishedAttempt> = claim
            .deliveries
            .into_iter()
            .map(|(delivery, ())| {
                assert!(self.sent.lock().unwrap().insert(delivery.delivery_id), "sent twice");
                attempted(delivery, now)
            })
            .collect();
        if !finished.is_empty() {
            store.finish_attempts(Arc::new(finished)).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_daemons_do_everything_once() {
    let Some(folder) = on_server() else { return };
    let stores = [(); 3].map(|()| daemon(&folder));
    // Five occurrences of each are due, and those of an exclusive cron come one after the other.
    let more = r#","catchup":"all""#;
    let crons = (0..120).map(|number| match number % 3 {
        0 => exclusive(&format!("exclusive-{number}"), more),
        _ => definition(&format!("c{number}"), more),
    });
    stores[0].sync_file_crons(at(BEGAN), crons.collect()).await.unwrap();
    let (done, total) = (Arc::new(Done::default()), 600);
    let working = stores.clone().map(|store| {
        let done = Arc::clone(&done);
        in_background(async move { done.work(&store, total, 40).await })
    });
    for daemon in working {
        daemon.await.unwrap();
    }
    done.deliver(&stores[0], at("2026-03-02T09:06:00Z")).await;
    assert_eq!(done.claimed.lock().unwrap().len(), total);
    assert!(done.claimed.lock().unwrap().values().all(|times| *times == 1));
    let store = file(&folder);
    assert_eq!(count(&store, "SELECT count(*) FROM runs WHERE status = 'success' AND claim = 1"), 600);
    assert_eq!(count(&store, "SELECT count(*) FROM runs"), 600);
    assert_eq!(
        count(&store, "SELECT count(*) FROM deliveries WHERE status = 'delivered' AND attempts = 1"),
        600
    );
    assert_eq!(count(&store, "SELECT CAST(sum(occurrences) AS BIGINT) FROM cron_hours"), 600);
}
