//! Does the deletion of history delay what is due, or a backup? A thousand crons fire every ten seconds, first with a million old
//! runs that stay, then while backups are made, and then while the runs are deleted. For each, this measures how late the agent server accepted the runs, with the
//! release binary on a real file.
//!
//! `cargo bench --bench retention` prints everything; `-- --runs 100000` has fewer old runs. The agent server is this binary
//! again, and each process is ended by its own id.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it has measured")]

#[path = "../shared/arrivals.rs"]
mod arrivals;
#[path = "../scale/daemon.rs"]
mod daemon;
mod history;
#[path = "../shared/home.rs"]
mod home;
#[path = "../shared/machine.rs"]
mod machine;
#[path = "../shared/process.rs"]
#[expect(dead_code, reason = "another benchmark uses the rest")]
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

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use home::Home;
use machine::{millis, now};
use process::ChildProcess;
use spread::Spread;
use stub_client::Stub;

#[derive(Parser)]
#[command(name = "retention", about = "Measures what the deletion of history costs")]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// The number of old runs.
    #[arg(long, default_value_t = 1_000_000)]
    runs: u32,
    /// The number of crons.
    #[arg(long, default_value_t = 1_000)]
    crons: u32,
    /// How many seconds the quiet daemon is observed, and for how many at most the one that deletes.
    #[arg(long, default_value_t = 120)]
    seconds: u32,
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
        "Bar: the p99 of the start while history is deleted or copied is within 10 ms of the quiet one."
    );
    let stub = Stub::start("stub")?;
    let home = Home::new(&configuration(&stub.url(), arguments.crons, "forever"))?;
    drop(daemon::start(&home)?);
    history::fill(&home.database(), arguments.runs, arguments.crons)?;
    let (mut daemon, _) = daemon::start(&home)?;
    // What was due meanwhile comes first.
    sleep(Duration::from_secs(15));

    let begun = now();
    sleep(Duration::from_secs(arguments.seconds.into()));
    let store = Connection::open_with_flags(home.database(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    print("quiet", &lateness(&store, begun)?);
    home.ensure_alive(&mut daemon)?;

    let (begun, mut backups) = (now(), 0);
    while begun.until(now())?.get_seconds() < arguments.seconds.into() {
        back_up(&home, backups)?;
        backups += 1;
    }
    print("backing up", &lateness(&store, begun)?);
    println!("{backups} backups were made and checked");

    let before = history::left(&store)?;
    std::fs::write(home.path("agentcron.toml"), configuration(&stub.url(), arguments.crons, "30d"))?;
    sleep(Duration::from_secs(6));
    let begun = now();
    let mut pruning = prune(&home)?;
    while pruning.ensure_alive().is_ok() && begun.until(now())?.get_seconds() < arguments.seconds.into() {
        sleep(Duration::from_millis(200));
    }
    let took = now().duration_since(begun).as_secs_f64();
    print("deleting", &lateness(&store, begun)?);
    let deleted = before.saturating_sub(history::left(&store)?);
    println!(
        "deleted {deleted} of {before} old runs in {took:.1} s: {:.0} per second",
        deleted as f64 / took
    );
    println!(
        "the WAL then has {:.1} MB",
        std::fs::metadata(home.path("agentcron.db-wal"))?.len() as f64 / 1e6
    );
    home.ensure_alive(&mut daemon)?;
    machine::print_size()
}

fn configuration(url: &str, crons: u32, keep: &str) -> String {
    let head = format!(
        "[backend]\nurl = \"{url}\"\nmax_concurrent_runs = 10000\n[store]\npath = \"agentcron.db\"\nkeep = \"{keep}\"\n\
         keep_values = \"forever\"\n[http]\nlisten = \"off\"\nsocket = \"agentcron.sock\"\n\
         [defaults]\ntimezone = \"UTC\"\non_run_completed = \"keep\"\noverlap = \"allow\"\n"
    );
    let cron = |number| {
        format!(
            "[cron.{}]\nschedule = \"* * * * * */10\"\nassistant_id = \"agent\"\n",
            history::name_of(number)
        )
    };
    (0..crons).map(cron).fold(head, |text, cron| text + &cron)
}

/// Makes a backup, as a person does, and deletes it.
fn back_up(home: &Home, number: u32) -> Result<()> {
    let file = home.path(&format!("backup-{number}.db"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentcron"));
    command.arg("backup").arg(&file).arg("--config").arg(home.path("agentcron.toml")).stdout(Stdio::null());
    anyhow::ensure!(command.status()?.success(), "no backup was made");
    Ok(std::fs::remove_file(file)?)
}

/// Asks the daemon to delete, as a person does.
fn prune(home: &Home) -> Result<ChildProcess> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentcron"));
    command.arg("prune").arg("--config").arg(home.path("agentcron.toml"));
    command.stdout(Stdio::null());
    ChildProcess::spawn("command", &mut command)
}

/// Returns how late the agent server had accepted each run, of those accepted since.
fn lateness(store: &Connection, since: Timestamp) -> Result<Vec<Duration>> {
    let mut statement = store.prepare(
        "SELECT started_at - scheduled_for FROM runs WHERE scheduled_for >= ?1 AND started_at IS NOT NULL",
    )?;
    let late = statement
        .query_map([since.as_millisecond()], |row| Ok(Duration::from_millis(row.get::<_, u32>(0)?.into())))?;
    Ok(late.collect::<Result<_, _>>()?)
}

fn print(what: &str, late: &[Duration]) {
    let Spread { p50, p99, max } = Spread::of(late.to_vec());
    let (runs, [p50, p99, max]) = (late.len(), [p50, p99, max].map(millis));
    println!(
        "{what:>9}: {runs:>6} runs, started after p50 {p50:.0} ms, p99 {p99:.0} ms, at most {max:.0} ms"
    );
}
