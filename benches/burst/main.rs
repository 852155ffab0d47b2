//! How late do runs start when many crons are due in the same second, and what does waiting cost? The daemon as
//! people run it (the release binary, a real file, `synchronous=FULL`), and beside it, in the same minutes on the
//! same machine, the program one would write without it: tokio-cron-scheduler and reqwest, nothing kept.
//!
//! `cargo bench --bench burst` prints everything; `-- burst`, `-- idle`, `-- size` a part; `--crons`, `--repeat`,
//! `--seconds` change how much is measured. Every contestant and the agent server are processes of their own on
//! loopback; the latter is this binary again. All are ended by their own process id.

#![expect(clippy::print_stdout, reason = "a benchmark is there to print what it measured")]

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

/// What is measured.
#[derive(Parser)]
#[command(name = "burst", about = "Measures agentcron beside a program without it")]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// Crons that are due at the same second, a list.
    #[arg(long, global = true, value_delimiter = ',', default_values_t = [100, 1_000, 10_000])]
    crons: Vec<usize>,
    /// How often each burst is measured; the table shows medians.
    #[arg(long, global = true, default_value_t = 3)]
    repeat: usize,
    /// Who takes part: a list of words out of the names in the table; all by default.
    #[arg(long, global = true, value_delimiter = ',')]
    only: Vec<String>,
    /// How long the idle daemon is watched.
    #[arg(long, global = true, default_value_t = 30)]
    seconds: u64,
    /// Passed by `cargo bench`, and of no meaning here.
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Part {
    /// Bursts of crons that are due at the same second.
    Burst,
    /// A daemon with a thousand daily crons and nothing to do.
    Idle,
    /// The size of the binary.
    Size,
    /// The agent server that the others send to: a child of the benchmark.
    #[command(hide = true)]
    Stub,
    /// The program without agentcron: a child of the benchmark.
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
