//! Plans ten simulated years of 500 crons of mixed frequency, occurrence by occurrence, as the scheduler does, and prints
//! the number of occurrences and the time that planning takes. Run it with `cargo bench --bench plan`.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it has measured")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::unwrap_used, reason = "a benchmark panics on anything unexpected")]

use std::time::Instant;

use agentcron::config::{self, CronFields};
use agentcron::domain::bounds::OCCURRENCES_PER_PASS;
use agentcron::domain::cron::Cron;
use agentcron::domain::cron_state::CronState;
use agentcron::domain::plan::{Active, Decided, Decision, PlanFacts, plan};
use jiff::Timestamp;

/// The number of crons with each schedule; `{n}` spreads them over an hour.
const MIX: [(usize, &str); 8] = [
    (3, "* * * * *"),
    (10, "*/5 * * * *"),
    (37, "{n} * * * *"),
    (50, "{n} */6 * * *"),
    (200, "{n} 9 * * *"),
    (100, "{n} 9 * * mon-fri"),
    (50, "{n} 2 1,15 * *"),
    (50, "30 2 L * *"),
];
const ZONES: [&str; 5] = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"];

fn main() {
    let crons = crons();
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let end: Timestamp = "2036-01-01T00:00:00Z".parse().unwrap();
    let began = Instant::now();
    let occurrences: u64 = crons.iter().map(|cron| plan_through(cron, start, end)).sum();
    let took = began.elapsed();
    let each = took.as_nanos() / u128::from(occurrences.max(1));
    println!(
        "{} crons, ten years: {occurrences} occurrences planned in {took:.1?}, {each} ns each",
        crons.len()
    );
    assert!(occurrences >= 20_000_000, "too few occurrences for a meaningful result");
}

fn crons() -> Vec<Cron> {
    let mut crons = Vec::new();
    for (count, schedule) in MIX {
        for n in 0..count {
            let schedule = schedule.replace("{n}", &(n % 60).to_string());
            let zone = ZONES[n % ZONES.len()];
            let fields = format!(r#"{{"schedule":"{schedule}","timezone":"{zone}","assistant_id":"agent"}}"#);
            let fields: CronFields = serde_json::from_str(&fields).unwrap();
            crons.push(config::validate_cron(&format!("cron-{}", crons.len()), &fields).unwrap());
        }
    }
    crons
}

/// Plans at each `next_wake` and returns the number of occurrences. Every decision must be to fire, in ascending order.
fn plan_through(cron: &Cron, start: Timestamp, end: Timestamp) -> u64 {
    let (state, decided) = (CronState::default(), Decided::default());
    let (mut cursor, mut now, mut occurrences) = (start, start, 0);
    while now < end {
        let (decided, active) = (&decided, Active::default());
        let plan = plan(
            cron,
            None,
            &PlanFacts {
                state: &state,
                pauses_of_all: &[],
                cursor,
                decided,
                active,
                outages: &[],
                unsure: &[],
                occurrences_max: OCCURRENCES_PER_PASS,
                now,
            },
        );
        for decision in &plan.decisions {
            let Decision::Fire { scheduled_for, .. } = decision else {
                panic!("{}: {decision:?}", cron.name)
            };
            assert!(*scheduled_for > cursor, "{}: {scheduled_for} again", cron.name);
            occurrences += 1;
        }
        cursor = plan.cursor;
        match plan.next_wake {
            Some(next) => now = next,
            None => break,
        }
    }
    occurrences
}
