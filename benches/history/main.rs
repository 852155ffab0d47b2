//! Does a long history slow down whoever reads it? This makes a database with many crons, runs and deliveries, and then
//! reads the first page of everything that people ask for, through the library, in CPU time. Then a daemon on that database
//! serves its web pages.
//!
//! `cargo bench --bench history` makes a tenth of the full size; `-- --runs 10000000 --deliveries 1000000` makes all of it,
//! which takes up to half an hour and 6 GB. With `--database` the file is kept, as the daemon leaves it, and is read again the next time.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it has measured")]

#[path = "../scale/daemon.rs"]
mod daemon;
mod generate;
#[path = "../shared/home.rs"]
#[expect(dead_code, reason = "another benchmark uses the rest")]
mod home;
#[path = "../shared/machine.rs"]
#[expect(dead_code, reason = "another benchmark uses the rest")]
mod machine;
mod pages;
#[path = "../shared/process.rs"]
#[expect(dead_code, reason = "another benchmark uses the rest")]
mod process;
mod questions;
mod shape;
#[path = "../shared/spread.rs"]
#[expect(dead_code, reason = "another benchmark uses the rest")]
mod spread;

use std::path::{Path, PathBuf};
use std::time::Duration;

use agentcron::store::Reader;
use anyhow::Result;
use clap::Parser;

use machine::{millis, now};
use questions::Question;
use shape::Shape;
use spread::Spread;

#[derive(Parser)]
#[command(name = "history", about = "Measures how long questions about a long history take")]
struct Arguments {
    #[arg(long, default_value_t = 10_000)]
    crons: u32,
    #[arg(long, default_value_t = 1_000_000)]
    runs: u32,
    #[arg(long, default_value_t = 100_000)]
    deliveries: u32,
    /// The database to make, or to read if it is there; a temporary one by default.
    #[arg(long)]
    database: Option<PathBuf>,
    /// `cargo bench` passes this; it has no effect.
    #[arg(long, hide = true)]
    bench: bool,
}

/// The CPU time that the first page of anything may take.
const BAR: Duration = Duration::from_millis(50);
/// How often a question is asked, after the first time.
const REPEAT: usize = 5;
/// What took this long is not asked again.
const ONCE_IF_OVER: Duration = Duration::from_millis(500);

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    machine::print()?;
    let folder = tempfile::Builder::new().prefix("history-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let database = arguments.database.unwrap_or_else(|| folder.path().join("agentcron.db"));
    let shape = Shape { crons: arguments.crons, runs: arguments.runs, deliveries: arguments.deliveries };
    if !database.exists() {
        let begun = now();
        generate::generate(&database, &shape)?;
        println!("made in {:.0} s", now().duration_since(begun).as_secs_f64());
    }
    let megabytes = std::fs::metadata(&database)?.len() as f64 / 1e6;
    println!(
        "{} crons, {} runs, {} deliveries: {megabytes:.0} MB",
        shape.crons, shape.runs, shape.deliveries
    );
    println!();
    println!(
        "The CPU time of the first page, with a new connection and then again (median); the bar is {BAR:?}."
    );
    println!("{:<44} {:>7} {:>12} {:>12}", "", "rows", "first", "again");
    let questions = questions::all(&database)?;
    let mut over = 0;
    for question in &questions {
        over += usize::from(print_row(&database, question)?);
    }
    println!("{over} of {} are over the bar", questions.len());
    pages::measure(&database, shape.crons)
}

/// Asks a question and prints how long it takes. Returns whether that is over the bar.
fn print_row(database: &Path, question: &Question) -> Result<bool> {
    let before = on_core()?;
    let reader = Reader::open(database)?;
    let rows = (question.ask)(&reader)?;
    let first = on_core()?.saturating_sub(before);
    let mut times = Vec::new();
    while first < ONCE_IF_OVER && times.len() < REPEAT {
        let before = on_core()?;
        (question.ask)(&reader)?;
        times.push(on_core()?.saturating_sub(before));
    }
    let again = if times.is_empty() { first } else { Spread::of(times).p50 };
    let mark = if again > BAR { "  over" } else { "" };
    println!("{:<44} {rows:>7} {:>9.1} ms {:>9.1} ms{mark}", question.name, millis(first), millis(again));
    Ok(again > BAR)
}

/// Returns the time that this thread has spent on a core.
fn on_core() -> Result<Duration> {
    // The kernel brings the number up to date when the thread leaves its core.
    std::thread::sleep(Duration::from_micros(1));
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(Duration::from_nanos(text.split(' ').next().unwrap_or_default().parse()?))
}
