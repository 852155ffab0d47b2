//! The clock is set back again and again while everything else breaks too, whether the daemon lives or is dead: no
//! occurrence has two runs, and none is left out.

use std::cell::RefCell;
use std::collections::BTreeSet;

use jiff::SignedDuration;
use tokio::time::Instant;

use super::*;

const SEEDS: u64 = 8;
const STEPS_SECONDS: [i64; 4] = [5, 20, 300, 2400];
/// So many steps that a scenario has some of each kind, and so few that the calendars come to their end.
const STEPS: usize = 3;

#[test]
fn a_clock_that_is_set_back_costs_no_run_and_makes_none_twice() {
    let mut tally = oracle::Tally::default();
    let all = 1..=variable("SIMULATION_SEEDS").unwrap_or(SEEDS);
    for seed in variable("SIMULATION_SEED").map_or(all, |seed| seed..=seed) {
        eprintln!("SEED={seed}");
        tally.add(&run_seed(seed));
    }
    eprintln!("{tally:?}");
    assert!(tally.started > 0 && tally.crashes > 0 && tally.delivered > 0, "{tally:?}");
}

/// Sets the clock back some times, and notes the seconds that a daemon has seen: one that did not die before it noticed a
/// step. Nobody can tell what passed while none was running and the clock was set back.
pub(super) async fn set_back(scenario: &Scenario<'_>, seen: &RefCell<BTreeSet<i64>>) {
    let second = Duration::from_secs(1);
    let mut steps = STEPS;
    let (mut next_step, mut last_step) = (90, Instant::now());
    loop {
        tokio::time::sleep(second).await;
        next_step = u64::saturating_sub(next_step, 1);
        if next_step == 0 && steps > 0 {
            let step = STEPS_SECONDS[usize::try_from(scenario.random.below(4)).unwrap()];
            scenario.clock.step(SignedDuration::from_secs(-step));
            (steps, next_step, last_step) = (steps - 1, 1 + scenario.random.below(180), Instant::now());
        }
        let is_long_ago = |at: Instant| at.elapsed() > second * 2;
        if scenario.lives_since.get().is_some_and(is_long_ago) && is_long_ago(last_step) {
            seen.borrow_mut().insert(scenario.clock.now().as_second());
        }
    }
}

fn run_seed(seed: u64) -> oracle::Tally {
    runtime().block_on(async {
        let random = Random::of_seed(seed);
        let folder = folder();
        let start: Timestamp = "2026-03-02T08:00:03Z".parse().unwrap();
        let network = Network::new(random.clone(), random.below(20));
        let mut scenario = Scenario::new(random, folder.path(), CRONS, start, network);
        scenario.clock_is_steady = false;
        let seen = RefCell::new(BTreeSet::new());
        let crashes = tokio::select! {
            crashes = scenario.live(Duration::from_secs(600)) => crashes,
            () = set_back(&scenario, &seen) => 0,
        };
        oracle::judge_set_back(&scenario, &seen.take(), crashes)
    })
}
