//! Ten simulated years of 500 crons, planned one wake after the other, as the scheduler does it.
//!
//! `cargo bench --bench plan` prints how many occurrences that were and how long it took.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench prints, measures real time, and fails by panicking"
)]

use std::time::Instant;

use agentcron::config::{CronFields, settle_cron};
use agentcron::domain::cron::Cron;
use agentcron::domain::plan::{Active, Decision, next_within, plan};
use agentcron::domain::standing::Standing;
use jiff::{SignedDuration, Timestamp};

const START: &str = "2026-01-01T00:00:00Z";
const YEARS: i64 = 10;

/// How many crons of each kind; together 500.
const MIX: [(usize, &str, &str); 10] = [
    (40, "*/15 * * * *", ""),
    (20, "*/10 8-18 * * *", ""),
    (100, "H * * * *", ""),
    (40, "0 * * * *", r#","jitter":"5m""#),
    (100, "30 2 * * *", ""),
    (80, "0 9 * * mon-fri", r#","exclude":["2026-12-24..2027-01-02"]"#),
    (40, "H H(9-17) * * *", r#","jitter":"30m""#),
    (40, "0 6 * * mon", ""),
    (20, "0 0 L * *", ""),
    (20, "0 8 15W * fri#2", ""),
];
const ZONES: [&str; 6] =
    ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Cairo"];

fn main() {
    let crons = crons();
    let start: Timestamp = START.parse().unwrap();
    let end = start + SignedDuration::from_hours(24 * 365 * YEARS);
    let began = Instant::now();
    let (mut occurrences, mut fired) = (0_u64, 0_u64);
    for cron in &crons {
        let (planned, of_them_fired) = plan_all(cron, start, end);
        occurrences += planned;
        fired += of_them_fired;
    }
    let took = began.elapsed();
    let each = took.as_secs_f64() * 1e6 / f64::from(u32::try_from(occurrences).unwrap());
    println!(
        "{} crons, {YEARS} years: {occurrences} occurrences planned, {fired} of them fired, in {:.1} s ({each:.2} µs each)",
        crons.len(),
        took.as_secs_f64(),
    );
    assert!(occurrences >= 20_000_000, "too few to be a measure");
}

/// From wake to wake, each a moment after its instant.
fn plan_all(cron: &Cron, start: Timestamp, end: Timestamp) -> (u64, u64) {
    let standing = Standing::default();
    let mut cursor = start;
    let mut wake = next_within(cron, cursor);
    let (mut planned, mut fired) = (0, 0);
    while let Some(at) = wake.filter(|at| *at < end) {
        let plan = plan(cron, &standing, cursor, Active::default(), at + SignedDuration::from_millis(2));
        assert!(plan.cursor == at && plan.decisions.len() == 1, "{}: {plan:?}", cron.name);
        planned += 1;
        fired += u64::from(matches!(plan.decisions[0], Decision::Fire { .. }));
        (cursor, wake) = (plan.cursor, plan.next_wake);
    }
    (planned, fired)
}

fn crons() -> Vec<Cron> {
    let all = MIX.iter().flat_map(|(count, schedule, more)| (0..*count).map(move |_| (*schedule, *more)));
    all.enumerate()
        .map(|(index, (schedule, more))| {
            let zone = ZONES[index % ZONES.len()];
            let body =
                format!(r#"{{"schedule":"{schedule}","timezone":"{zone}","assistant_id":"agent"{more}}}"#);
            let fields: CronFields = serde_json::from_str(&body).unwrap();
            settle_cron(&format!("cron-{index}"), &fields).unwrap()
        })
        .collect()
}
