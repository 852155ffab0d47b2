//! Prints the table of bursts, each contestant beside the raw client of the same rounds.

use std::time::Duration;

use anyhow::Result;

use super::burst::{Lives, Measured, measure};
use super::contestant::Contestant;
use super::machine::millis;
use super::spread::{Spread, median};
use super::stub_client::Stub;

/// What the numbers are to be, on a quiet machine.
const BARS: &str = "bars: share of the raw client at least 60 % with 10000 crons, CPU a life at most 1.7 times its own; \
                    start p99 at most 100 ms with 1000, 10 ms with 100, 3 ms with 1";

pub(super) fn explain(repeat: usize) {
    println!(
        "All crons are due in the same second. start: from then to the arrival of the POST at the agent server; a life: \
         from then to its webhook. Medians of {repeat} rounds; lost and doubled: the maximum."
    );
    println!("{BARS}");
}

pub(super) fn print(stub: &str, crons: &[usize], repeat: usize, only: &[String]) -> Result<()> {
    println!(
        "{:>6}  {:<38} {:>10} {:>10} {:>10} {:>12} {:>7} {:>6} {:>10} {:>6} {:>9} {:>5} {:>7}",
        "crons",
        "",
        "start p50",
        "p99",
        "max",
        "last webhook",
        "lives/s",
        "share",
        "CPU a life",
        "of raw",
        "requests",
        "lost",
        "doubled"
    );
    let stub = Stub::start(stub)?;
    let is_wanted = |one: &Contestant| only.is_empty() || only.iter().any(|word| one.name().contains(word));
    let contestants: Vec<Contestant> = Contestant::ALL.into_iter().filter(is_wanted).collect();
    for &count in crons {
        let mut measured = vec![Vec::new(); contestants.len()];
        // Rounds, so that a noisy minute affects all contestants.
        for _ in 0..repeat.max(1) {
            for (contestant, results) in contestants.iter().zip(&mut measured) {
                results.push(measure(&stub, *contestant, count)?);
            }
        }
        let raw = contestants.iter().position(|one| *one == Contestant::Raw);
        let raw = raw.map(|index| measured[index].clone()).unwrap_or_default();
        for (contestant, results) in contestants.iter().zip(&measured) {
            print_row(*contestant, count, results, &raw);
        }
    }
    println!();
    Ok(())
}

fn print_row(contestant: Contestant, count: usize, results: &[Measured], raw: &[Measured]) {
    let starts = Spread::median(&results.iter().map(|one| one.starts).collect::<Vec<_>>());
    let of_lives = |number: fn(&Lives) -> f64| {
        median(results.iter().filter_map(|one| one.lives.as_ref().map(number)).collect())
    };
    // Each round is compared with its own raw client.
    let of_raw = |number: fn(&Lives) -> f64| {
        let pairs = results.iter().zip(raw).filter_map(|(ours, raw)| Some((ours.lives?, raw.lives?)));
        median(pairs.map(|(ours, raw)| number(&ours) / number(&raw)).collect())
    };
    let text = |number: Option<f64>, unit: &str, decimals: usize| {
        number.map_or("-".to_owned(), |number| format!("{number:.decimals$}{unit}"))
    };
    let milliseconds = |duration: Duration| format!("{:.1} ms", millis(duration));
    println!(
        "{count:>6}  {:<38} {:>10} {:>10} {:>10} {:>12} {:>7} {:>6} {:>10} {:>6} {:>9} {:>5} {:>7}",
        contestant.name(),
        milliseconds(starts.p50),
        milliseconds(starts.p99),
        milliseconds(starts.max),
        text(of_lives(|lives| millis(lives.last_webhook)), " ms", 0),
        text(of_lives(|lives| lives.per_second), "", 0),
        text(of_raw(|lives| lives.per_second).map(|share| 100.0 * share), " %", 0),
        text(of_lives(|lives| millis(lives.cpu_each)), " ms", 2),
        text(of_raw(|lives| lives.cpu_each.as_secs_f64()), "x", 2),
        text(of_lives(|lives| lives.requests_each), "", 1),
        results.iter().map(|one| one.lost).max().unwrap_or(0),
        results.iter().map(|one| one.doubled).max().unwrap_or(0),
    );
}
