//! The daemon stops and dies while runs are going, for shorter and for longer than they take, and so does the network to the
//! agent server. Runs of one cron never overlap, whoever waits for them, and nothing is said about a run that was not so.

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

#[test]
fn what_did_not_run_because_of_an_outage_says_so() {
    let mut by_reason = BTreeMap::new();
    for seed in 1..=variable("SIMULATION_OUTAGES").unwrap_or(12) {
        for (reason, count) in go_away(seed) {
            *by_reason.entry(reason).or_insert(0) += count;
        }
    }
    eprintln!("{by_reason:?}");
    for reason in ["overlap", "queue_full", "skipped by backend_away", "error by backend_away", "daemon_down"]
    {
        assert!(by_reason.contains_key(reason), "{reason} did not happen: {by_reason:?}");
    }
}

/// Runs one scenario in which the agent server and the daemon are away for some time, each by itself, and returns how often
/// what was the reason.
fn go_away(seed: u64) -> BTreeMap<String, u64> {
    eprintln!("seed {seed}, outages");
    runtime().block_on(async {
        let random = Random::of_seed(seed);
        let folder = folder();
        let network = Network::new(random.clone(), 0);
        let scenario = Scenario::new(random.clone(), folder.path(), CRONS, START.parse().unwrap(), network);
        let outages = RefCell::new(Vec::new());
        let away = async {
            for _ in 0..6 {
                tokio::time::sleep(random.wait(Duration::from_secs(60))).await;
                let since = scenario.clock.now();
                scenario.network.go_down(true);
                tokio::time::sleep(random.wait(Duration::from_secs(70))).await;
                scenario.network.go_down(false);
                outages.borrow_mut().push((since, scenario.clock.now()));
            }
        };
        let lives = async {
            for _ in 0..4 {
                let life = random.wait(Duration::from_secs(240));
                live_once(&scenario, life, CancellationToken::new()).await;
            }
        };
        tokio::join!(away, lives);
        scenario.live_in_calm().await;
        let database = Connection::open(folder.path().join("agentcron.db")).unwrap();
        let rows = oracle::rows(&database);
        oracle::judge_runs(&scenario, &database, &rows);
        oracle::nothing_was_paused(&database);
        oracle::backend_outages_are_told(&scenario, &rows, &outages.borrow())
    })
}

/// Runs one scenario.
fn stop(seed: u64, faults_percent: u64) {
    eprintln!("seed {seed}, {faults_percent} % faults");
    runtime().block_on(async {
        let random = Random::of_seed(seed);
        let folder = folder();
        let network = Network::new(random.clone(), faults_percent);
        let scenario = Scenario::new(random, folder.path(), CRONS, START.parse().unwrap(), network);
        for _ in 0..5 {
            let life = scenario.random.wait(Duration::from_secs(90));
            let crashed = CancellationToken::new();
            simulate_crash_after(1 + scenario.random.below(200), crashed.clone());
            live_once(&scenario, life, crashed).await;
        }
        scenario.live_in_calm().await;
        let database = Connection::open(folder.path().join("agentcron.db")).unwrap();
        let rows = oracle::rows(&database);
        oracle::judge_runs(&scenario, &database, &rows);
        oracle::nothing_was_paused(&database);
        if faults_percent == 0 {
            oracle::nothing_waited_in_vain(&database, &scenario.lives.borrow());
            oracle::every_overlap_was_one(&scenario, &rows);
        }
    });
}

/// Lets a daemon live until it crashes, or for this long: then it is stopped or dies. Nobody lives for a while after that.
async fn live_once(scenario: &Scenario<'_>, life: Duration, crashed: CancellationToken) {
    let stop = CancellationToken::new();
    let stops = scenario.random.percent(50);
    tokio::select! {
        biased;
        () = crashed.cancelled() => {}
        result = scenario.daemon(stop.clone()) => result.unwrap(),
        () = async {
            tokio::time::sleep(life).await;
            if stops {
                scenario.stop(&stop);
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
        } => {}
    }
    // What its tasks were doing ends here.
    tokio::time::sleep(Duration::from_millis(1)).await;
    tokio::time::sleep(scenario.random.wait(Duration::from_secs(60))).await;
}
