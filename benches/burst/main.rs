//! How late do runs start when many crons are due in the same second, and what does a whole life cost, from the start of
//! the run to its webhook? This measures the daemon as it is used in production (the release binary, a real file,
//! `synchronous=FULL`) and, in the same minutes on the same machine, two programs that keep nothing: a client that makes
//! the same requests, and what one would write without agentcron (tokio-cron-scheduler and reqwest).
//!
//! `cargo bench --bench burst` prints everything; `--crons`, `--repeat` and `--only` change how much is measured. Each
//! contestant and the agent server, which is the receiver too, are separate processes on loopback: most of them are this
//! binary again. Each process is ended by its own id.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it has measured")]

#[path = "../shared/arrivals.rs"]
mod arrivals;
mod axum_stub;
mod burst;
mod contestant;
#[path = "../shared/home.rs"]
mod home;
#[path = "../shared/machine.rs"]
mod machine;
mod naive;
#[path = "../shared/process.rs"]
#[expect(dead_code, reason = "another benchmark uses the rest")]
mod process;
mod raw;
#[path = "../shared/request.rs"]
mod request;
#[path = "../shared/spread.rs"]
mod spread;
#[path = "../shared/stub.rs"]
mod stub;
#[path = "../shared/stub_client.rs"]
mod stub_client;
mod table;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "burst", about = "Compares agentcron with programs that do without it")]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// The numbers of crons that are due in the same second, separated by commas.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 1_000, 10_000])]
    crons: Vec<usize>,
    /// The number of bursts for each row; the table shows medians.
    #[arg(long, default_value_t = 3)]
    repeat: usize,
    /// The contestants, by words of their names in the table, separated by commas; all by default.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The servers to measure against, separated by commas: one table each.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Server::Axum])]
    stubs: Vec<Server>,
    /// `cargo bench` passes this; it has no effect.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is agent server and receiver at once.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Server {
    Axum,
    Bare,
}

impl Server {
    fn part(self) -> &'static str {
        match self {
            Self::Axum => "axum-stub",
            Self::Bare => "stub",
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Axum => "axum on all cores; the bars are for this one",
            Self::Bare => "bare sockets on one thread, which leave the cores to the contestants",
        }
    }
}

#[derive(Subcommand)]
enum Part {
    /// The agent server and receiver, as a child of the benchmark.
    #[command(hide = true)]
    Stub,
    /// The same on axum.
    #[command(hide = true)]
    AxumStub,
    /// The client that keeps nothing, as a child of the benchmark.
    #[command(hide = true)]
    Raw(contestant::Burst),
    /// The program without agentcron, as a child of the benchmark.
    #[command(hide = true)]
    Naive(contestant::Burst),
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.part {
        Some(Part::Stub) => stub::serve(std::time::Duration::ZERO),
        Some(Part::AxumStub) => axum_stub::serve(),
        Some(Part::Raw(burst)) => raw::run(burst),
        Some(Part::Naive(burst)) => naive::run(&burst),
        None => {
            machine::print()?;
            table::explain(arguments.repeat);
            for stub in &arguments.stubs {
                println!("\nagent server and receiver: {}", stub.describe());
                table::print(stub.part(), &arguments.crons, arguments.repeat, &arguments.only)?;
            }
            machine::print_size()
        }
    }
}
