//! Three daemons share one store. Each of them is killed, stopped, paused for longer than its lease, or cut off from the
//! store, again and again and by itself; requests are late or lost, and the store goes back to an earlier state. A fourth one says
//! false things about what the others hold. The promises are those of one daemon.
//!
//! `SIMULATION_SHARED=1000 cargo test simulation::shared` runs more seeds; `SIMULATION_SHARED_SEED=17` runs only one.

use agentcron::domain::ids::InstallationId;
use agentcron::domain::run::{Outcome, RunChange, Status};
use agentcron::store::{DaemonLock, HeldRun, RunEnding, Step, Store, StoreError, StoreFault, Weather};
use rusqlite::Connection;

use super::network::Gate;
use super::oracle::Tally;
use super::*;

const DAEMONS: u64 = 3;
const SEEDS: u64 = 60;
const START: &str = "2026-03-02T08:00:03Z";
/// For how long things break.
const LENGTH: Duration = Duration::from_secs(300);
/// Between two times at which somebody speaks about what others hold.
const SILENT_MOST: Duration = Duration::from_secs(5);
const PAUSE_MOST: Duration = Duration::from_secs(60);
const STALL_MOST: Duration = Duration::from_secs(15);
const LIFE_MOST: Duration = Duration::from_secs(120);
/// What is left to do then is done within this time.
const CALM_MOST: Duration = Duration::from_secs(4 * 3600);
/// Between two failovers.
const SAME_STORE_MOST: Duration = Duration::from_secs(150);
/// A failover loses the commits of so long at most.
const LOST_MOST: Duration = Duration::from_secs(3);

#[test]
fn three_daemons_on_one_store_keep_every_promise_of_one() {
    let seeds: Vec<u64> = match (variable("SIMULATION_SHARED_SEED"), variable("SIMULATION_SHARED")) {
        (Some(seed), _) => vec![seed],
        (None, count) => (1..=count.unwrap_or(SEEDS)).collect(),
    };
    let mut tally = Tally::default();
    let is_one_of_many = seeds.len() >= 20;
    for seed in seeds {
        eprintln!("seed {seed}, three daemons");
        tally.add(&run_shared(seed));
    }
    eprintln!("{tally:?}");
    let Tally { crashes, failovers, adopted, ruled_out, delivered, .. } = tally;
    let everything_happened =
        [crashes, failovers, adopted, ruled_out, delivered].iter().all(|count| *count > 0);
    assert!(everything_happened || !is_one_of_many, "{tally:?}");
}

fn run_shared(seed: u64) -> Tally {
    runtime().block_on(async {
        let random = Random::of_seed(seed);
        let folder = folder();
        let start: Timestamp = START.parse().unwrap();
        let network = Network::new(random.clone(), random.below(30));
        let mut scenario = Scenario::new(random, folder.path(), CRONS, start, network);
        // Where nobody could act for a while, an occurrence may be found too late.
        scenario.edits = Some(Random::of_seed(!seed));
        scenario.store_goes_back = true;
        let (crashes, refused) = (Cell::new(0), Cell::new(0));
        let until = tokio::time::Instant::now() + LENGTH;
        let lives = (0..DAEMONS).map(|number| live(&scenario, number, until, &crashes));
        let all = futures_util::future::join_all(lives);
        let failovers = async {
            fail_over(&scenario, until).await;
            std::future::pending::<()>().await;
        };
        let speaks = async {
            stranger(&scenario, &Random::of_seed(seed << 32), until, &refused).await;
            std::future::pending::<()>().await;
        };
        let end = async {
            tokio::time::sleep_until(until).await;
            scenario.network.calm_down();
            for checks in 1.. {
                tokio::time::sleep(CHECK_EVERY).await;
                if oracle::has_ended(scenario.folder) {
                    break;
                }
                assert!(CHECK_EVERY * checks < CALM_MOST, "it does not end");
            }
        };
        tokio::select! {
            _ = all => unreachable!("the daemons live for ever"),
            () = failovers => {}
            () = speaks => {}
            () = end => {}
        }
        Tally { refused: refused.get(), ..oracle::judge(&scenario, start, crashes.get()) }
    })
}

/// Lets one daemon live and die until nothing breaks any more, and then live for ever.
async fn live(scenario: &Scenario<'_>, number: u64, until: tokio::time::Instant, crashes: &Cell<u64>) {
    let random = &scenario.random;
    // They do not begin at the same instant.
    tokio::time::sleep(Duration::from_millis(number * 700)).await;
    loop {
        let is_calm = tokio::time::Instant::now() >= until;
        let gate = Gate::new();
        let stop = CancellationToken::new();
        let life = if is_calm { Duration::MAX / 4 } else { random.wait(LIFE_MOST) };
        let stops = random.percent(30);
        let ended = tokio::select! {
            biased;
            ended = daemon(scenario, &gate, stop.clone(), until) => Some(ended),
            () = pause(random, &gate, until) => unreachable!("pauses go on for ever"),
            () = async {
                tokio::time::sleep(life).await;
                if stops {
                    stop.cancel();
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
            } => None,
        };
        match &ended {
            Some(Ok(())) => {}
            Some(Err(daemon::DaemonError::Store(StoreError::Ousted | StoreError::Lost(_)))) | None => {
                crashes.set(crashes.get() + 1);
            }
            Some(Err(error)) => panic!("daemon {number} ended: {error}"),
        }
        // What its tasks were doing ends here.
        tokio::time::sleep(Duration::from_millis(1)).await;
        // Who was taken for gone begins anew at once.
        let is_ousted = matches!(ended, Some(Err(daemon::DaemonError::Store(StoreError::Ousted))));
        if tokio::time::Instant::now() < until && !is_ousted {
            tokio::time::sleep(random.wait(Duration::from_secs(40))).await;
        }
    }
}

/// Lets the store go back to an earlier state now and then, as a failover does that loses the last commits.
async fn fail_over(scenario: &Scenario<'_>, until: tokio::time::Instant) {
    for timeline in 1.. {
        tokio::time::sleep(scenario.random.wait(SAME_STORE_MOST)).await;
        let image = scenario.folder.join(format!("image-{timeline}.db"));
        let store = Connection::open(scenario.folder.join("agentcron.db")).unwrap();
        if store.execute("VACUUM INTO ?1", [image.to_str().unwrap()]).is_err() {
            // No daemon has made it yet.
            continue;
        }
        tokio::time::sleep(scenario.random.wait(LOST_MOST)).await;
        if tokio::time::Instant::now() >= until {
            return;
        }
        go_back(&store, &image);
    }
}

/// Makes the store what it was when this image was made, in one transaction. What has the store open sees only that it is
/// another timeline.
fn go_back(store: &Connection, image: &Path) {
    store.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    store.execute("ATTACH ?1 AS image", [image.to_str().unwrap()]).unwrap();
    let texts = |sql: &str| -> Vec<String> {
        let mut statement = store.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let mut sql =
        "BEGIN IMMEDIATE; CREATE TEMP TABLE now_is AS SELECT timeline FROM main.installation;".to_owned();
    for table in texts("SELECT name FROM image.sqlite_schema WHERE type = 'table'") {
        let columns =
            texts(&format!("SELECT name FROM pragma_table_xinfo('{table}') WHERE hidden = 0")).join(", ");
        sql.push_str(&format!(
            "DELETE FROM main.{table}; INSERT INTO main.{table} ({columns}) SELECT {columns} FROM image.{table};"
        ));
    }
    sql.push_str("UPDATE main.installation SET timeline = 1 + (SELECT timeline FROM now_is); COMMIT; DROP TABLE now_is;");
    store.execute_batch(&sql).unwrap();
    store.execute_batch("DETACH image").unwrap();
}

/// Says false things about the runs that others hold, under the claims that these have. Nothing of that may count.
async fn stranger(
    scenario: &Scenario<'_>,
    random: &Random,
    until: tokio::time::Instant,
    refused: &Cell<u64>,
) {
    let file = scenario.folder.join("agentcron.db");
    let (lock, clock) = (Arc::new(DaemonLock::waived()), &scenario.clock);
    let open = || {
        let id = InstallationId::default();
        Store::open_locked(&lock, &file.as_path().into(), Execution::Inline, id, clock.clone(), None).unwrap()
    };
    let mut store = open();
    loop {
        tokio::time::sleep(random.wait(SILENT_MOST)).await;
        if tokio::time::Instant::now() >= until {
            return;
        }
        for run in held_runs(&file) {
            let act_at = Some(clock.now());
            let said = match random.below(4) {
                0 => store.step_run(Step { act_at, ..Step::of(run, RunChange::NotSent) }).await.err(),
                1 => store.step_run(Step { act_at, ..Step::of(run, RunChange::RuleOut) }).await.err(),
                2 => store.step_run(Step { act_at, ..Step::of(run, RunChange::Unconfirm) }).await.err(),
                _ => store.end_run(failed(run, clock.now())).await.err(),
            };
            assert!(matches!(said, Some(StoreError::NotHeld | StoreError::Ousted)), "{said:?}");
            refused.set(refused.get() + 1);
        }
        if matches!(store.commit_nothing().await, Err(StoreError::Ousted)) {
            store = open();
        }
    }
}

fn held_runs(file: &Path) -> Vec<HeldRun> {
    let store = Connection::open(file).unwrap();
    let mut statement = store.prepare("SELECT run_id, claim FROM runs WHERE held_by IS NOT NULL").unwrap();
    let held = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?))).unwrap();
    held.map(|held| held.unwrap())
        .map(|(run_id, claim)| HeldRun { run_id: run_id.parse().unwrap(), claim })
        .collect()
}

fn failed(run: HeldRun, at: Timestamp) -> RunEnding {
    let outcome = Outcome {
        status: Status::Error,
        reason: None,
        error: None,
        values: None,
        interrupts: None,
        ended_at: at,
        learnt_at: at,
    };
    RunEnding::of(run, outcome)
}

/// Pauses a daemon now and then, as SIGSTOP does.
async fn pause(random: &Random, gate: &Gate, until: tokio::time::Instant) {
    loop {
        tokio::time::sleep(random.wait(Duration::from_secs(200))).await;
        if tokio::time::Instant::now() < until {
            gate.set(false);
            tokio::time::sleep(random.wait(PAUSE_MOST)).await;
            gate.set(true);
        }
    }
}

async fn daemon(
    scenario: &Scenario<'_>,
    gate: &Gate,
    stop: CancellationToken,
    until: tokio::time::Instant,
) -> Result<(), daemon::DaemonError> {
    let weather = {
        let (gate, random) = (gate.clone(), scenario.random.clone());
        Weather::new(move || {
            let (gate, random) = (gate.clone(), random.clone());
            Box::pin(async move {
                gate.opened().await;
                if tokio::time::Instant::now() >= until {
                    return StoreFault::None;
                }
                match random.below(2_000) {
                    0 => StoreFault::BeforeCommit,
                    1 => StoreFault::AfterCommit,
                    2..10 => {
                        tokio::time::sleep(random.wait(STALL_MOST)).await;
                        StoreFault::None
                    }
                    _ => StoreFault::None,
                }
            })
        })
    };
    let world = World {
        execution: Execution::Simulated(weather),
        sharing: Sharing::Shared,
        backend: scenario.network.behind(gate, scenario.server.router()),
        receivers: scenario.network.behind(gate, recording(&scenario.arrived)),
        ..scenario.world()
    };
    daemon::serve(world, || {}, stop).await
}
