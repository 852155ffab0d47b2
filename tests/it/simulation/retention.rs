//! History is deleted within minutes while everything else breaks, and in every second scenario the clock is set back as
//! well: no occurrence is started twice, every run has its webhook, and in the end nothing is left that is too old.

use std::collections::BTreeMap;

use agentcron::domain::retention::{Keep, Retention};
use rusqlite::Connection;

use super::*;

const SEEDS: u64 = 6;

/// The daemon lives some minutes at a time, and a run takes some seconds.
fn rules() -> Retention {
    let seconds = |seconds| Keep::For(Duration::from_secs(seconds));
    Retention {
        keep: seconds(40),
        keep_failures: seconds(120),
        keep_values: seconds(20),
        keep_runs_max: Some(8),
        redact: Vec::new(),
    }
}

#[test]
fn history_that_is_deleted_costs_no_run_and_makes_none_twice() {
    let (mut started, mut delivered, mut deleted_early) = (0, 0, 0);
    let all = 1..=variable("SIMULATION_SEEDS").unwrap_or(SEEDS);
    for seed in variable("SIMULATION_SEED").map_or(all, |seed| seed..=seed) {
        eprintln!("SEED={seed}");
        let (runs, webhooks, early) = run_seed(seed);
        (started, delivered, deleted_early) = (started + runs, delivered + webhooks, deleted_early + early);
    }
    eprintln!("started {started}, delivered {delivered}, deleted before the calm {deleted_early}");
    assert!(started > 0 && delivered > 0 && deleted_early > 0);
}

fn run_seed(seed: u64) -> (usize, usize, i64) {
    runtime().block_on(async {
        let random = Random::of_seed(seed);
        let folder = folder();
        let start: Timestamp = "2026-03-02T08:00:03Z".parse().unwrap();
        let network = Network::new(random.clone(), random.below(20));
        let mut scenario = Scenario::new(random, folder.path(), CRONS, start, network);
        scenario.retention = Some(rules());
        let (seen, is_set_back) = (RefCell::default(), seed.is_multiple_of(2));
        let early = tokio::select! {
            early = live(&scenario) => early,
            () = set_back::set_back(&scenario, &seen), if is_set_back => 0,
        };
        // Everything has ended, and is soon older than all of it is kept, also by a clock that was set back.
        let stop = CancellationToken::new();
        let grown_old = async {
            tokio::time::sleep(Duration::from_secs(if is_set_back { 3 * 3600 } else { 1800 })).await;
            stop.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            result = scenario.daemon(stop.clone()) => result.unwrap(),
            () = grown_old => {}
        }
        let database = Connection::open(folder.path().join("agentcron.db")).unwrap();
        // A thread with a fence is deleted after a day, and its occurrence waits for that.
        let left = "SELECT (SELECT count(*) FROM runs WHERE (cron_id, scheduled_for) NOT IN \
                    (SELECT cron_id, scheduled_for FROM runs JOIN thread_deletions USING (run_id))) \
                    + (SELECT count(*) FROM runs WHERE outcome_values IS NOT NULL) \
                    + (SELECT count(*) FROM deliveries WHERE body IS NOT NULL) + (SELECT count(*) FROM owed_webhooks)";
        assert_eq!(count(&database, left), 0, "seed {seed}: something is left that is too old");
        let (runs, webhooks) = judge(&scenario);
        (runs, webhooks, early)
    })
}

/// Lives through the faults, and returns how many records were deleted by then.
async fn live(scenario: &Scenario<'_>) -> i64 {
    scenario.live(Duration::from_secs(600)).await;
    let database = Connection::open(scenario.folder.join("agentcron.db")).unwrap();
    let recorded: i64 = count(&database, "SELECT count(*) FROM runs");
    i64::try_from(scenario.server.ledger().len()).unwrap() - recorded
}

/// Judges by what the agent server and the receivers know, since the history is gone.
fn judge(scenario: &Scenario<'_>) -> (usize, usize) {
    let mut starts: BTreeMap<(String, String, i64), Vec<String>> = BTreeMap::new();
    for entry in scenario.server.ledger() {
        if entry.metadata.contains_key("agentcron_fence") {
            continue;
        }
        let text = |key: &str| entry.metadata[key].as_str().unwrap().to_owned();
        let retry = entry.metadata["agentcron_retry"].as_i64().unwrap();
        let occurrence = (text("cron_name"), text("scheduled_for"), retry);
        starts.entry(occurrence).or_default().push(text("agentcron_run_id"));
    }
    let arrived = scenario.arrived.lock().unwrap();
    for ((cron, scheduled_for, retry), runs) in &starts {
        let what = format!("{cron} of {scheduled_for}, retry {retry}");
        assert_eq!(runs.len(), 1, "{what}: started more than once");
        // The last run of an occurrence that is retried tells of all of them.
        let later = (cron.clone(), scheduled_for.clone(), retry + 1)
            ..=(cron.clone(), scheduled_for.clone(), i64::MAX);
        if starts.range(later).next().is_none() {
            let bodies = arrived.get(&format!("msg_{}", runs[0]));
            let bodies = bodies.unwrap_or_else(|| panic!("{what}: no webhook"));
            assert!(bodies.iter().all(|body| body == &bodies[0]), "{what}: another body");
        }
    }
    (starts.len(), arrived.len())
}

fn count(database: &Connection, sql: &str) -> i64 {
    database.query_row(sql, [], |row| row.get(0)).unwrap()
}
