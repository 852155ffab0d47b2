//! The daemon dies a thousand times between the end of a run and its stored 2xx, at every step in between:
//! the webhook of each run is delivered all the same, under one id and with the same bytes, and no row is
//! left over.
//!
//! `SIMULATION_DEATHS=10000 cargo test simulation` lets it die more often.

use std::collections::BTreeMap;

use agentcron::crash::simulate_crash_at;
use rusqlite::Connection;
use tokio::time::timeout;

use super::*;

/// Every step from the known outcome to the recorded attempt, in order.
const STEPS: [&str; 5] =
    ["outcome_known", "outcome_committed", "attempt_committed", "attempt_answered", "attempt_recorded"];
const DEATHS: u64 = 1_000;

/// A life may reach its step late if the network to the receivers is bad: the third wait of the retry
/// schedule is 5 min.
const LIFE: Duration = Duration::from_secs(900);

const START: &str = "2026-03-02T08:00:00Z";

/// A run ends every second for as long as the daemon has deaths left.
const ENDLESS: &str = r#"
[defaults]
overlap = "allow"
catchup = "all"
start_deadline = "1h"
[cron.brief]
schedule = "* * * * * *"
assistant_id = "agent"
input = { messages = [{ role = "user", content = "hi" }] }
webhook = "http://receiver.example/brief"

[cron.waits]
schedule = "* * * * * */2"
assistant_id = "agent"
mode = "wait"
input = { messages = [{ role = "user", content = "sleep 1" }] }
webhook = "http://other.example/waits"

[cron.streams]
schedule = "* * * * * */3"
assistant_id = "agent"
mode = "stream"
input = { messages = [{ role = "user", content = "boom" }] }
webhook = "http://receiver.example/streams"
"#;

#[test]
fn dying_between_the_end_of_a_run_and_its_stored_2xx_costs_no_webhook() {
    die(1, 0);
}

#[test]
fn nor_does_it_on_a_network_that_loses_requests_and_answers() {
    die(2, 10);
}

/// Lets the daemon die half of all the deaths.
fn die(seed: u64, faults_percent: u64) {
    let deaths = variable("SIMULATION_DEATHS").unwrap_or_default().max(DEATHS).div_ceil(2);
    let mut by_step = BTreeMap::new();
    runtime().block_on(async {
        let random = Random::of_seed(seed);
        let folder = folder();
        let network = Network::new(random.clone(), faults_percent);
        let mut scenario = Scenario::new(random, folder.path(), ENDLESS, START.parse().unwrap(), network);
        for _ in 0..deaths {
            let step = STEPS[usize::try_from(scenario.random.below(STEPS.len() as u64)).unwrap()];
            let died = CancellationToken::new();
            simulate_crash_at(step, 1 + scenario.random.below(3), died.clone());
            let life = timeout(LIFE, async {
                tokio::select! {
                    biased;
                    () = died.cancelled() => {}
                    result = scenario.daemon(CancellationToken::new()) => panic!("the daemon ended: {result:?}"),
                }
            });
            assert!(life.await.is_ok(), "it did not reach {step}");
            *by_step.entry(step).or_insert(0) += 1;
            // What its tasks were doing ends here.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // The calendars end, and the last life completes what is left.
        scenario.crons = "";
        scenario.live_in_calm().await;
        let database = Connection::open(folder.path().join("agentcron.db")).unwrap();
        let mut tally = oracle::judge_runs(&scenario, &database, &oracle::rows(&database));
        tally.crashes = deaths;
        eprintln!("{tally:?}; deaths by step: {by_step:?}");
        assert_eq!(by_step.len(), STEPS.len(), "{by_step:?}");
        // A daemon that dies with an unrecorded answer sends again.
        assert!(tally.delivered > 0 && tally.delivered_again > 0, "{tally:?}");
    });
}
