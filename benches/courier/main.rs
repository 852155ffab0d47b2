//! How many webhooks per second does the courier deliver, and how late are they? This measures the real loop with a real
//! file (`synchronous=FULL`, every attempt recorded before and after it) against receivers in a separate process and, in
//! the same minute, reqwest alone, without a store.
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
use spread::Spread;

#[derive(Parser)]
#[command(name = "courier", about = "Measures the courier beside a bare HTTP client")]
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

/// A steady flow, far below the limit.
const FLOW: usize = 1_000;
const FLOW_EVERY: Duration = Duration::from_millis(5);

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Part::Receivers) = arguments.part {
        return receiver::serve();
    }
    machine::print()?;
    let receivers = Receivers::start()?;
    println!("{} deliveries due at once, medians of {}:", arguments.deliveries, arguments.repeat);
    println!("{:>8} {:>14} {:>12} {:>6}", "origins", "delivered/s", "reqwest/s", "share");
    for origins in [1, receiver::ORIGINS] {
        let urls = receivers.urls(origins, arguments.deliveries);
        let mut rates = (Vec::new(), Vec::new());
        for _ in 0..arguments.repeat.max(1) {
            rates.0.push(Outbox::due_at_once(&urls)?.deliver()?.per_second());
            rates.1.push(raw::per_second(&urls, origins)?);
        }
        let (ours, bare) = (median(rates.0), median(rates.1));
        println!("{origins:>8} {ours:>14.0} {bare:>12.0} {:>4.0} %", 100.0 * ours / bare);
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
    print_late("alone", &lateness.0);
    print_late(&format!("beside an origin that hangs, {} due there", hanging.len()), &lateness.1);
    Ok(())
}

fn print_late(what: &str, late: &[Spread]) {
    let late = Spread::median(late);
    println!(
        "p50 {:>5.1} ms, p99 {:>5.1} ms, max {:>5.1} ms  {what}",
        millis(late.p50),
        millis(late.p99),
        millis(late.max)
    );
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
