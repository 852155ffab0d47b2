//! The daemon stops and dies while runs are going, for shorter and for longer than they take. Runs of one cron never
//! overlap, whoever waits for them, and nothing is said about a run that was not so.

use rusqlite::Connection;

use super::*;

const START: &str = "2026-03-02T08:00:00Z";

/// `behind` always takes longer than its interval, `idle` never does.
const CRONS: &str = r#"
[defaults]
assistant_id = "agent"
end_time = "2026-03-02T08:12:00Z"
pause_after_failures = 2
[cron.behind]
schedule = "* * * * * */10"
input = { messages = [{ role = "user", content = "sleep 25" }] }
webhook = "http://receiver.example/behind"
overlap = "queue"

[cron.all]
schedule = "* * * * * */20"
input = { messages = [{ role = "user", content = "sleep 12" }] }
webhook = "http://receiver.example/all"
overlap = "queue"
catchup = "all"

[cron.idle]
schedule = "* * * * * */10"
input = { messages = [{ role = "user", content = "sleep 3" }] }
webhook = "http://receiver.example/idle"
"#;

#[test]
fn what_was_going_when_the_daemon_stopped_is_looked_at_before_it_is_judged() {
    for seed in 1..=8 {
        stop(seed, 0);
    }
}

#[test]
fn an_outage_pauses_nothing_and_lets_nothing_overlap() {
    for seed in 1..=4 {
        stop(seed, 25);
    }
}

/// Runs one scenario.
fn stop(seed: u64, faults_percent: u64) {
    eprintln!("seed {seed}, {faults_percent} % faults");
    runtime().block_on(async {
        let random = Random::of_seed(seed);
        let folder = folder();
        let network = Network::new(random.clone(), faults_percent);
        let scenario = Scenario::new(random, folder.path(), CRONS, START.parse().unwrap(), network);
        let mut lives = Vec::new();
        for _ in 0..5 {
            let from = scenario.clock.now();
            let life = scenario.random.wait(Duration::from_secs(90));
            let (stop, crashed) = (CancellationToken::new(), CancellationToken::new());
            simulate_crash_after(1 + scenario.random.below(200), crashed.clone());
            let stops = scenario.random.percent(50);
            tokio::select! {
                biased;
                () = crashed.cancelled() => {}
                result = scenario.daemon(stop.clone()) => result.unwrap(),
                () = async {
                    tokio::time::sleep(life).await;
                    if stops {
                        stop.cancel();
                        tokio::time::sleep(Duration::from_secs(60)).await;
                    }
                } => {}
            }
            lives.push((from, scenario.clock.now()));
            tokio::time::sleep(Duration::from_millis(1)).await;
            tokio::time::sleep(scenario.random.wait(Duration::from_secs(60))).await;
        }
        lives.push((scenario.clock.now(), Timestamp::MAX));
        scenario.live_in_calm().await;
        let database = Connection::open(folder.path().join("agentcron.db")).unwrap();
        let rows = oracle::rows(&database);
        oracle::judge_runs(&scenario, &database, &rows);
        oracle::nothing_was_paused(&database);
        if faults_percent == 0 {
            oracle::nothing_waited_in_vain(&database, &lives);
            oracle::every_overlap_was_one(&scenario, &rows);
        }
    });
}
