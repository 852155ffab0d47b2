//! How late do runs start when many crons are due in the same second, and what does an idle daemon cost? This measures
//! the daemon as it is used in production (the release binary, a real file, `synchronous=FULL`) and, in the same minutes
//! on the same machine, the program that one would write without it: tokio-cron-scheduler and reqwest, without a store.
//!
//! `cargo bench --bench burst` prints everything; `-- burst`, `-- idle` and `-- size` print one part; `--crons`,
//! `--repeat` and `--seconds` change how much is measured. Each contestant and the agent server are separate processes on
//! loopback; the agent server is this binary again. Each process is ended by its own id.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it has measured")]

mod burst;
mod contestant;
mod idle;
#[path = "../shared/machine.rs"]
mod machine;
mod naive;
#[path = "../shared/process.rs"]
mod process;
#[path = "../shared/request.rs"]
mod request;
#[path = "../shared/spread.rs"]
mod spread;
mod stub;
mod stub_client;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "burst", about = "Measures agentcron beside a program without it")]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// The numbers of crons that are due in the same second, separated by commas.
    #[arg(long, global = true, value_delimiter = ',', default_values_t = [100, 1_000, 10_000])]
    crons: Vec<usize>,
    /// The number of bursts for each row; the table shows medians.
    #[arg(long, global = true, default_value_t = 3)]
    repeat: usize,
    /// The contestants, by words of their names in the table, separated by commas; all by default.
    #[arg(long, global = true, value_delimiter = ',')]
    only: Vec<String>,
    /// How many seconds the idle daemon is observed.
    #[arg(long, global = true, default_value_t = 30)]
    seconds: u64,
    /// `cargo bench` passes this; it has no effect.
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Part {
    /// Bursts of crons that are due in the same second.
    Burst,
    /// A daemon with a thousand daily crons and nothing to do.
    Idle,
    /// The size of the binary.
    Size,
    /// The agent server that the contestants send to, as a child of the benchmark.
    #[command(hide = true)]
    Stub,
    /// The program without agentcron, as a child of the benchmark.
    #[command(hide = true)]
    Naive(naive::Burst),
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    match arguments.part {
        Some(Part::Stub) => stub::serve()?,
        Some(Part::Naive(burst)) => naive::run(&burst)?,
        Some(Part::Burst) => {
            machine::print()?;
            burst::print(&arguments.crons, arguments.repeat, &arguments.only)?;
        }
        Some(Part::Idle) => idle::print(arguments.seconds)?,
        Some(Part::Size) => machine::print_size()?,
        None => {
            machine::print()?;
            burst::print(&arguments.crons, arguments.repeat, &arguments.only)?;
            idle::print(arguments.seconds)?;
            machine::print_size()?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
