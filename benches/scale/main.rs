//! What does the number of crons cost? For each number, this measures the release binary on a real file: the time until it
//! is ready, its memory, what it uses while nothing is due, the cost of one firing, and the reload of one changed file
//! among many while a cron fires every second.
//!
//! `cargo bench --bench scale` prints everything; `-- --crons 1000000` measures a million. The agent server is this binary
//! again, and each process is ended by its own id.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it has measured")]

#[path = "../shared/arrivals.rs"]
mod arrivals;
mod crons;
mod daemon;
#[path = "../shared/home.rs"]
mod home;
#[path = "../shared/machine.rs"]
mod machine;
mod measure;
#[path = "../shared/process.rs"]
mod process;
#[path = "../shared/request.rs"]
mod request;
#[path = "../shared/spread.rs"]
#[expect(dead_code, reason = "another benchmark uses the rest")]
mod spread;
#[path = "../shared/stub.rs"]
mod stub;
#[path = "../shared/stub_client.rs"]
#[expect(dead_code, reason = "another benchmark uses the rest")]
mod stub_client;

use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

use machine::millis;
use spread::Spread;
use stub_client::Stub;

#[derive(Parser)]
#[command(name = "scale", about = "Measures what the number of crons costs")]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// The numbers of crons, separated by commas.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000])]
    crons: Vec<usize>,
    /// How many seconds the idle daemon is observed, and then the one that fires every second.
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// The number of reloads.
    #[arg(long, default_value_t = 5)]
    reloads: usize,
    /// `cargo bench` passes this; it has no effect.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Part {
    /// The agent server, as a child of the benchmark.
    #[command(hide = true)]
    Stub,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Part::Stub) = arguments.part {
        return stub::serve(std::time::Duration::ZERO);
    }
    machine::print()?;
    println!(
        "Bars: ready within 1 s with 100000 crons, at most 100 MB then, under 0.1 % of a core idle, a firing that hardly \
         grows; with 10000 in 100 files a reload within 200 ms that delays nothing."
    );
    println!(
        "{:>8} {:>9} {:>9} {:>9} {:>8} {:>8} {:>8} {:>8} {:>9} {:>8} {:>8} {:>10} {:>8} {:>10} {:>9} {:>9}",
        "crons",
        "ready",
        "again",
        "quiet",
        "memory",
        "peak",
        "idle",
        "wakes/s",
        "a firing",
        "late p50",
        "max",
        "reload p50",
        "max",
        "CPU each",
        "late then",
        "max"
    );
    let stub = Stub::start("stub")?;
    for &crons in &arguments.crons {
        print_row(crons, &measure::measure(&stub, crons, arguments.seconds, arguments.reloads)?);
    }
    machine::print_size()
}

fn print_row(crons: usize, measured: &measure::Measured) {
    let measure::Measured { first_start, next_start, quiet, memory, peak, idle, wakes, firing, late, .. } =
        measured;
    let measure::Measured { reload, reload_cpu, late_then, .. } = measured;
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let time = |duration: Duration| format!("{:.1} ms", millis(duration));
    let Spread { p50: late_p50, max: late_max, .. } = *late;
    println!(
        "{crons:>8} {:>9} {:>9} {:>9} {:>8} {:>8} {:>8} {wakes:>8.1} {:>9} {:>8} {:>8} {:>10} {:>8} {:>10} {:>9} {:>9}",
        time(*first_start),
        time(*next_start),
        time(*quiet),
        megabytes(*memory),
        megabytes(*peak),
        format!("{:.3} %", 100.0 * idle),
        time(*firing),
        time(late_p50),
        time(late_max),
        time(reload.p50),
        time(reload.max),
        time(*reload_cpu),
        time(late_then.p50),
        time(late_then.max),
    );
}
