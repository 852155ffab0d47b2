//! The daemon dies a thousand times between the end of a run and its stored 2xx, at every step there: each run is told
//! all the same, under one id, in the same bytes, and no row is left over.
//!
//! `SIMULATION_DEATHS=10000 cargo test simulation` lets it die more often.

use std::collections::BTreeMap;

use agentcron::crash::simulate_crash_at;
use rusqlite::Connection;
use tokio::time::timeout;

use super::*;

/// Every step from the outcome that is known to the attempt that is on record, in their order.
const STEPS: [&str; 5] =
    ["outcome_known", "outcome_committed", "attempt_committed", "attempt_answered", "attempt_recorded"];
const DEATHS: u64 = 1_000;

/// A life may come to its step late if the receivers' line is bad: the ladder's third rung is 5 min.
const LIFE: Duration = Duration::from_secs(900);

const START: &str = "2026-03-02T08:00:00Z";

/// Something ends at each second, as long as there are deaths to be died.
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
fn nor_does_it_where_the_lines_lose_what_they_carry() {
    die(2, 10);
}

/// Half of all the deaths.
fn die(seed: u64, faults_percent: u64) {
    let deaths = variable("SIMULATION_DEATHS").unwrap_or_default().max(DEATHS).div_ceil(2);
    let mut by_step = BTreeMap::new();
    runtime().block_on(async {
        let random = Random::of_seed(seed);
        let folder = folder();
        let line = Line::new(random.clone(), faults_percent);
        let mut story = Story::new(random, folder.path(), ENDLESS, START.parse().unwrap(), line);
        for _ in 0..deaths {
            let step = STEPS[usize::try_from(story.random.below(STEPS.len() as u64)).unwrap()];
            let died = CancellationToken::new();
            simulate_crash_at(step, 1 + story.random.below(3), died.clone());
            let life = timeout(LIFE, async {
                tokio::select! {
                    biased;
                    () = died.cancelled() => {}
                    result = story.daemon(CancellationToken::new()) => panic!("the daemon ended: {result:?}"),
                }
            });
            assert!(life.await.is_ok(), "it did not come to {step}");
            *by_step.entry(step).or_insert(0) += 1;
            // Whatever its tasks were doing is over.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // The calendars end, and the last life clears up.
        story.crons = "";
        story.live_in_calm().await;
        let database = Connection::open(folder.path().join("agentcron.db")).unwrap();
        let mut told = oracle::judge_runs(&story, &database, &oracle::rows(&database));
        told.crashes = deaths;
        eprintln!("{told:?}; deaths by step: {by_step:?}");
        assert_eq!(by_step.len(), STEPS.len(), "{by_step:?}");
        // Who dies with an answer in hand asks again.
        assert!(told.delivered > 0 && told.delivered_again > 0, "{told:?}");
    });
}
