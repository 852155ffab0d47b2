//! Two daemons on one store.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Clock;
use crate::config::CronDefinition;
use crate::domain::bounds::WRITES_PER_COMMIT;
use crate::domain::daemon::DaemonName;
use crate::domain::ids::{BackendRunId, InstallationId, ThreadId};
use crate::domain::lease::{ACTS_WITHIN, BEAT_EVERY, LEASE};
use crate::domain::outage::{Away, Outage};
use crate::domain::run::{RunChange, RunState};
use crate::store::tests::{place, reader, shell};
use crate::store::{
    Claim, ClaimLimits, DaemonLock, DaemonRow, DaemonState, Execution, NewNotice, NoticeKind, Sharing, Step,
    Store, StoreError,
};

const LIMITS: ClaimLimits =
    ClaimLimits { starts: 10, in_flight: 0, running_max: 100, own_places: usize::MAX };
const START: &str = "2026-03-02T09:00:00Z";

fn open(folder: &Path, clock: &Clock) -> Store {
    let path = folder.join("agentcron.db");
    let (lock, id) = (Arc::new(DaemonLock::waived()), InstallationId::default());
    Store::open_locked(&lock, &place(&path), Execution::Inline, id, clock.clone(), None).unwrap()
}

/// Returns a store with a cron that fires every minute.
async fn with_cron(folder: &Path, clock: &Clock) -> Store {
    let store = open(folder, clock);
    let body = r#"{"schedule":"* * * * *","assistant_id":"agent"}"#;
    store.sync_file_crons(clock.now(), vec![CronDefinition::of_body("digest", body)]).await.unwrap();
    store
}

async fn claim(store: &Store, clock: &Clock) -> Claim {
    store.claim_runs(clock.now(), LIMITS).await.unwrap()
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Lets time pass in which this daemon gives signs of life.
async fn live(store: &Store, time: Duration) {
    let until = tokio::time::Instant::now() + time;
    while tokio::time::Instant::now() < until {
        pass(BEAT_EVERY.min(until - tokio::time::Instant::now())).await;
        store.commit_nothing().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_daemon_stops_acting_before_others_take_over_and_has_no_say_after_that() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::simulated(START.parse().unwrap());
    let first = with_cron(folder.path(), &clock).await;
    pass(Duration::from_secs(60)).await;
    let second = open(folder.path(), &clock);
    let held = claim(&first, &clock).await.starts.remove(0).held();
    let when_alive = claim(&second, &clock).await;
    assert!(when_alive.checks.is_empty(), "it is alive");
    let gone_at = clock.now().checked_add(LEASE).unwrap();
    live(&second, ACTS_WITHIN - Duration::from_millis(1)).await;
    assert!(first.may_act());
    live(&second, Duration::from_millis(1)).await;
    assert!(!first.may_act());
    let when_silent = claim(&second, &clock).await;
    assert!(when_silent.checks.is_empty(), "it may still be alive");
    assert_eq!(when_silent.next_act_at, Some(gone_at));
    live(&second, LEASE - ACTS_WITHIN).await;
    let claim = claim(&second, &clock).await;
    assert_eq!(claim.recovered.runs, 1);
    assert!(matches!(claim.checks[0].run.state, RunState::Unconfirmed { start_number: 1, .. }));
    let late = first.step_run(Step::of(held, RunChange::NotSent)).await;
    assert!(matches!(late, Err(StoreError::Ousted)), "{late:?}");
    let own = Step { act_at: Some(clock.now()), ..Step::of(claim.checks[0].held(), RunChange::Unconfirm) };
    second.step_run(own).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_nobody_is_taken_for_gone() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::simulated(START.parse().unwrap());
    let first = with_cron(folder.path(), &clock).await;
    pass(Duration::from_secs(60)).await;
    let second = open(folder.path(), &clock);
    let held = claim(&first, &clock).await.starts.remove(0).held();
    // Nobody can commit for ten minutes, and then this one is the first to come.
    pass(Duration::from_secs(600)).await;
    let back = claim(&second, &clock).await;
    assert_eq!((back.recovered.runs, back.checks.len()), (0, 0));
    assert_eq!(back.next_act_at, Some(clock.now().checked_add(LEASE).unwrap()));
    // The other one is next, and still has what it held.
    first.step_run(Step::of(held, RunChange::Unconfirm)).await.unwrap();
    // It dies after that, so it is gone a lease later.
    live(&second, LEASE).await;
    assert_eq!(claim(&second, &clock).await.recovered.runs, 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_handed_over_has_another_claim() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::simulated(START.parse().unwrap());
    let first = with_cron(folder.path(), &clock).await;
    pass(Duration::from_secs(60)).await;
    let second = open(folder.path(), &clock);
    let held = claim(&first, &clock).await.starts.remove(0).held();
    assert_eq!(first.hand_over(clock.now()).await.unwrap().runs, 1);
    let taken = claim(&second, &clock).await.checks.remove(0);
    assert_eq!(taken.claim, held.claim + 1);
    let late = first.step_run(Step::of(held, RunChange::NotSent)).await;
    assert!(matches!(late, Err(StoreError::NotHeld)), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_went_back_is_swept_once_and_every_start_that_may_be_lost_is_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::simulated(START.parse().unwrap());
    let first = with_cron(folder.path(), &clock).await;
    pass(Duration::from_secs(60)).await;
    assert_eq!(claim(&first, &clock).await.starts.len(), 1);
    let file = shell(folder.path());
    file.execute("UPDATE installation SET timeline = timeline + 1", ());
    let late = first.commit_nothing().await;
    assert!(matches!(late, Err(StoreError::Ousted)), "{late:?}");
    let second = open(folder.path(), &clock);
    let swept = clock.now();
    let check = claim(&second, &clock).await.checks.remove(0);
    assert_eq!(check.run.state, RunState::Unconfirmed { start_number: 1, sent_at: swept, ahead: 3 });
    // An occurrence of the time before that, which is planned only now.
    file.execute("UPDATE crons SET cursor = ?1, next_at = 0", [millis(START)]);
    file.execute("DELETE FROM runs", ());
    let mut again = claim(&second, &clock).await;
    assert!(again.starts.is_empty(), "{:?}", again.starts);
    let unsure = again.checks.remove(0);
    assert!(matches!(unsure.run.state, RunState::Unconfirmed { start_number: 1, ahead: 3, .. }));
    let third = open(folder.path(), &clock);
    assert!(second.commit_nothing().await.is_ok(), "it is swept only once");
    assert!(claim(&third, &clock).await.checks.is_empty());
    // It goes back once more. What was ruled out since the first time is not any more, nor what was started after that.
    file.execute("UPDATE installation SET timeline = timeline + 1", ());
    let fourth = open(folder.path(), &clock);
    let twice = |mut claim: Claim| match claim.checks.remove(0).run.state {
        RunState::Unconfirmed { start_number, ahead, .. } => (start_number, ahead),
        state => panic!("{state:?}"),
    };
    assert_eq!(twice(claim(&fourth, &clock).await), (1, 6));
    file.execute("UPDATE crons SET cursor = ?1, next_at = 0", [millis(START)]);
    file.execute("DELETE FROM runs", ());
    assert_eq!(twice(claim(&fourth, &clock).await), (1, 6));
}

#[tokio::test]
async fn whoever_waits_for_a_daemon_that_was_taken_for_gone_learns_that() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agentcron.db");
    let (lock, id) = (Arc::new(DaemonLock::waived()), InstallationId::default());
    let store =
        Store::open_locked(&lock, &place(&path), Execution::WriterThread, id, Clock::system(), None).unwrap();
    shell(folder.path()).execute("UPDATE installation SET timeline = timeline + 1", ());
    let all =
        futures_util::future::join_all((0..2 * WRITES_PER_COMMIT).map(|_| store.commit_nothing())).await;
    assert!(all.iter().all(|result| matches!(result, Err(StoreError::Ousted))), "{all:?}");
}

fn millis(at: &str) -> i64 {
    at.parse::<Timestamp>().unwrap().as_millisecond()
}

#[tokio::test(start_paused = true)]
async fn it_is_seen_which_daemons_live_which_end_and_which_are_lost_and_what_they_hold() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::simulated(START.parse().unwrap());
    let first = with_cron(folder.path(), &clock).await;
    live(&first, Duration::from_secs(60)).await;
    let (second, third) = (open(folder.path(), &clock), open(folder.path(), &clock));
    assert_eq!(claim(&first, &clock).await.starts.len(), 1);
    let running = DaemonState::Running { pid: None };
    let seen = || {
        let daemons = reader(folder.path()).daemons(Sharing::Shared, &running, clock.now()).unwrap();
        let process = &daemons[0].process;
        assert!(!process.host.is_empty() && process.pid == std::process::id(), "{process:?}");
        let text =
            |row: &DaemonRow| format!("{} {} {}", row.life, row.number.0 - first.number.0, row.holds.runs);
        daemons.iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(seen(), ["live 0 1", "live 1 0", "live 2 0"]);
    second.record_stop(clock.now()).await.unwrap();
    assert_eq!(seen(), ["draining 1 0", "live 0 1", "live 2 0"]);
    // The others count it no longer; each had its share of the places while there were three.
    assert_eq!(third.members().count(), 3);
    assert!(third.beat(clock.now()).await.unwrap());
    assert!(!third.beat(clock.now()).await.unwrap());
    assert_eq!((third.members().count(), third.members().share(7)), (2, 3));
    second.hand_over(clock.now()).await.unwrap();
    assert_eq!(seen(), ["live 0 1", "live 2 0"]);
    live(&third, LEASE).await;
    assert_eq!(seen(), ["lost 0 1", "live 2 0"]);
    assert!(third.beat(clock.now()).await.unwrap());
    assert_eq!(third.members().count(), 1);
    assert_eq!(claim(&third, &clock).await.recovered.runs, 1);
    assert_eq!(seen(), ["live 2 1"]);
}

#[tokio::test(start_paused = true)]
async fn followed_runs_are_handed_over_while_what_is_being_sent_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::simulated(START.parse().unwrap());
    let first = with_cron(folder.path(), &clock).await;
    let body = r#"{"schedule":"* * * * *","assistant_id":"agent","overlap":"allow"}"#;
    first.sync_file_crons(clock.now(), vec![CronDefinition::of_body("digest", body)]).await.unwrap();
    live(&first, Duration::from_secs(60)).await;
    let followed = claim(&first, &clock).await.starts.remove(0);
    let (thread_id, backend_run_id) = (ThreadId::default(), BackendRunId::default());
    let accepted = RunChange::Accept { thread_id, backend_run_id, at: clock.now() };
    first.step_run(Step::of(followed.held(), accepted)).await.unwrap();
    live(&first, Duration::from_secs(60)).await;
    let sent = claim(&first, &clock).await.starts.remove(0);
    let second = open(folder.path(), &clock);
    assert_eq!(first.hand_over_runs(clock.now()).await.unwrap(), 1);
    let taken = claim(&second, &clock).await;
    assert_eq!(taken.checks.len(), 1);
    assert!(matches!(taken.checks[0].run.state, RunState::Running(_)));
    assert_eq!(taken.checks[0].run.run_id, followed.run.run_id);
    // It still has the other one.
    first.step_run(Step::of(sent.held(), RunChange::NotSent)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_one_daemon_says_is_its_own_and_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::simulated(START.parse().unwrap());
    let (first, second) = (open(folder.path(), &clock), open(folder.path(), &clock));
    let began = clock.now();
    for store in [&first, &second] {
        store.save_outages(vec![Outage::new(Away::Backend, began, None, "refused")]).await.unwrap();
        let mistakes = NewNotice::single("a mistake".to_owned());
        store.notice(began, NoticeKind::Configuration, Some(mistakes)).await.unwrap();
    }
    let seen = || {
        let reader = reader(folder.path());
        let (outages, notices) = (reader.outages(began).unwrap(), reader.notices().unwrap());
        let number = |name: &Option<DaemonName>| name.as_ref().unwrap().number.0;
        let lasting = outages.iter().filter(|one| one.until.is_none()).map(|one| number(&one.seen_by));
        (lasting.collect::<Vec<_>>(), notices.iter().map(|one| number(&one.of)).collect::<Vec<_>>())
    };
    let both = vec![first.number.0, second.number.0];
    assert_eq!(seen(), (both.clone(), both));
    // Nobody ends what another sees.
    let over = Outage::new(Away::Backend, began, Some(clock.now()), "refused");
    second.save_outages(vec![over]).await.unwrap();
    second.notice(began, NoticeKind::Configuration, None).await.unwrap();
    assert_eq!(seen(), (vec![first.number.0], vec![first.number.0]));
    // It dies, and sees nothing any more.
    live(&second, LEASE).await;
    claim(&second, &clock).await;
    assert_eq!(seen(), (Vec::new(), Vec::new()));
}
