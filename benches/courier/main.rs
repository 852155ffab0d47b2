//! How many webhooks per second does the courier deliver, and how late are they? This measures the real loop with a real
//! file (`synchronous=FULL`, every attempt recorded before and after it) against receivers in a separate process and, in
//! the same minute, reqwest alone, with as many requests in flight as the courier may have in all, without a store.
//!
//! `cargo bench --bench courier` prints everything; `-- --deliveries 20000 --repeat 5` changes how much is measured.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it has measured")]

#[path = "../shared/machine.rs"]
#[expect(dead_code, reason = "another benchmark uses the rest")]
mod machine;
mod outbox;
#[path = "../shared/process.rs"]
#[expect(dead_code, reason = "another benchmark uses the rest")]
mod process;
mod raw;
mod receiver;
#[path = "../shared/request.rs"]
mod request;
#[path = "../shared/spread.rs"]
mod spread;

use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

use machine::{millis, now};
use outbox::Outbox;
use receiver::Receivers;
use spread::{Spread, median};

#[derive(Parser)]
#[command(name = "courier", about = "Compares the courier with a bare HTTP client")]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// The number of deliveries that are due at once.
    #[arg(long, default_value_t = 5_000)]
    deliveries: usize,
    /// The number of measurements for each row; medians are printed.
    #[arg(long, default_value_t = 3)]
    repeat: usize,
    /// `cargo bench` passes this; it has no effect.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Part {
    /// The receivers, as a child of the benchmark.
    #[command(hide = true)]
    Receivers,
}

/// The number of deliveries in a steady flow, one every [`FLOW_EVERY`], far below the limit.
const FLOW: usize = 1_000;
const FLOW_EVERY: Duration = Duration::from_millis(5);

/// The CPU time of one webhook includes what the benchmark itself does in this process, which is little.
pub(crate) struct Rate {
    per_second: f64,
    cpu_each: Duration,
}

impl Rate {
    fn of(count: usize, took: Duration, cpu: Duration) -> Self {
        let count = count.max(1) as f64;
        Self { per_second: count / took.as_secs_f64(), cpu_each: cpu.div_f64(count) }
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Part::Receivers) = arguments.part {
        return receiver::serve();
    }
    machine::print()?;
    let receivers = Receivers::start()?;
    println!("{} deliveries due at once, medians of {}:", arguments.deliveries, arguments.repeat);
    println!(
        "{:>8} {:>12} {:>10} {:>6} {:>13} {:>8} {:>6}  (bar: share at least 50 %)",
        "origins", "delivered/s", "reqwest/s", "share", "CPU a webhook", "reqwest", "ratio"
    );
    for origins in [1, receiver::ORIGINS] {
        let urls = receivers.urls(origins, arguments.deliveries);
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..arguments.repeat.max(1) {
            ours.push(Outbox::due_at_once(&urls)?.deliver()?.rate);
            bare.push(raw::send(&urls)?);
        }
        let per_second = |rates: &[Rate]| median_of(rates, |rate| rate.per_second);
        let cpu = |rates: &[Rate]| median_of(rates, |rate| millis(rate.cpu_each));
        println!(
            "{origins:>8} {:>12.0} {:>10.0} {:>4.0} % {:>10.3} ms {:>5.3} ms {:>5.2}x",
            per_second(&ours),
            per_second(&bare),
            100.0 * per_second(&ours) / per_second(&bare),
            cpu(&ours),
            cpu(&bare),
            cpu(&ours) / cpu(&bare),
        );
    }
    println!();
    println!(
        "from due to 2xx, one delivery every {} ms to {} origins:",
        millis(FLOW_EVERY),
        receiver::ORIGINS
    );
    let urls = receivers.urls(receiver::ORIGINS, FLOW);
    let hanging = receivers.hanging_urls(arguments.deliveries);
    let mut lateness = (Vec::new(), Vec::new());
    // In turns, so that a noisy minute affects both.
    for _ in 0..arguments.repeat.max(1) {
        lateness.0.push(Outbox::flowing(&urls, FLOW_EVERY, &[])?.deliver()?.late);
        lateness.1.push(Outbox::flowing(&urls, FLOW_EVERY, &hanging)?.deliver()?.late);
    }
    let alone = print_late("alone", &lateness.0);
    let beside = format!("beside an origin that hangs, {} due there", hanging.len());
    let beside = print_late(&beside, &lateness.1);
    println!("the hanging origin adds {:.1} ms to p99 (bar: 2 ms)", millis(beside.p99) - millis(alone.p99));
    Ok(())
}

fn print_late(what: &str, late: &[Spread]) -> Spread {
    let late = Spread::median(late);
    println!(
        "p50 {:>5.1} ms, p99 {:>5.1} ms, max {:>5.1} ms  {what}",
        millis(late.p50),
        millis(late.p99),
        millis(late.max)
    );
    late
}

fn median_of(rates: &[Rate], number: fn(&Rate) -> f64) -> f64 {
    median(rates.iter().map(number).collect()).unwrap_or(f64::NAN)
}
