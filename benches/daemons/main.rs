//! How many runs in a second do several daemons get through that share a PostgreSQL server, if each has twenty places and a run takes
//! 50 ms? What they wait for then is the agent server, so three should do almost three times what one does: this shows what sharing
//! costs them.
//!
//! `cargo bench --bench daemons` needs the programs of PostgreSQL. It starts a server of its own, the release binary as often as there
//! are daemons, and this binary again as agent server and receiver. Each process is ended by its own id.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it has measured")]

#[path = "../shared/arrivals.rs"]
mod arrivals;
#[path = "../shared/home.rs"]
#[expect(dead_code, reason = "another benchmark uses the rest")]
mod home;
#[path = "../shared/machine.rs"]
#[expect(dead_code, reason = "another benchmark uses the rest")]
mod machine;
#[path = "../../tests/it/support/postgres.rs"]
mod postgres;
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

use std::fmt::Write;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use jiff::Timestamp;

use home::Home;
use machine::now;
use spread::{Spread, median};
use stub_client::Stub;

/// How long a run takes at the agent server.
const RUN_TAKES: Duration = Duration::from_millis(50);
/// How many runs each daemon may have there.
const PLACES: usize = 20;
/// From the start of the daemons to the burst.
const LEAD: Duration = Duration::from_secs(5);
const POLL_EVERY: Duration = Duration::from_millis(100);
/// What has not arrived when nothing else has for this long counts as lost.
const SILENCE: Duration = Duration::from_secs(5);

#[derive(Parser)]
#[command(name = "daemons", about = "Measures what several daemons on one PostgreSQL get through")]
struct Arguments {
    /// The agent server and receiver, as a child of the benchmark.
    #[arg(hide = true)]
    part: Option<String>,
    /// The number of crons that are due at once.
    #[arg(long, default_value_t = 2_000)]
    crons: usize,
    /// The number of bursts for each number of daemons; medians are printed.
    #[arg(long, default_value_t = 3)]
    repeat: usize,
    /// `cargo bench` passes this; it has no effect.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.part.is_some() {
        return stub::serve(RUN_TAKES);
    }
    machine::print()?;
    let ideal = PLACES as f64 / RUN_TAKES.as_secs_f64();
    println!(
        "{} runs of {RUN_TAKES:?} due at once, {PLACES} places a daemon: at most {ideal:.0} in a second for each, which wait for \
         the agent server most of the time",
        arguments.crons
    );
    let mut alone = None;
    for daemons in [1, 2, 3] {
        let mut rates = Vec::new();
        for _ in 0..arguments.repeat.max(1) {
            let Some(server) = postgres::Postgres::start()? else {
                println!("PostgreSQL's server is not installed.");
                return Ok(());
            };
            rates.push(measure(&server.url(), daemons, arguments.crons)?);
        }
        let rate = median(rates).unwrap_or(f64::NAN);
        let alone = *alone.get_or_insert(rate);
        println!(
            "{daemons} daemons: {rate:>6.0} webhooks in a second, {:.2} times one daemon's",
            rate / alone
        );
    }
    Ok(())
}

/// Returns how many webhooks arrive in a second, from the instant at which all are due to the last one.
fn measure(server: &str, daemons: usize, crons: usize) -> Result<f64> {
    let stub = Stub::start("stub")?;
    let at = Timestamp::from_second(now().checked_add(LEAD)?.as_second() + 1)?;
    let text = configuration(server, &stub.url(), (daemons, crons), at)?;
    let homes = (0..daemons).map(|_| Home::new(&text)).collect::<Result<Vec<_>>>()?;
    let mut processes = homes.iter().map(Home::daemon).collect::<Result<Vec<_>>>()?;
    let (mut seen, mut since) = (stub.counts()?, at);
    while seen.webhooks < crons {
        sleep(POLL_EVERY);
        for (home, process) in homes.iter().zip(&mut processes) {
            home.ensure_alive(process)?;
        }
        let counts = stub.counts()?;
        if counts.webhooks != seen.webhooks {
            (seen, since) = (counts, now());
        }
        anyhow::ensure!(
            now() < since.checked_add(SILENCE)?,
            "only {} of {crons} webhooks arrived",
            seen.webhooks
        );
    }
    let arrivals = stub.arrivals()?;
    anyhow::ensure!(arrivals.starts.values().all(|starts| starts.len() == 1), "a run was started twice");
    let last =
        Spread::of(arrivals.webhooks.values().flatten().map(|arrived| late(*arrived, at)).collect()).max;
    Ok(crons as f64 / last.as_secs_f64())
}

fn late(arrived: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(arrived.duration_since(at)).unwrap_or_default()
}

fn configuration(server: &str, url: &str, (daemons, crons): (usize, usize), at: Timestamp) -> Result<String> {
    let schedule = at.strftime("%-M %-H %-d %-m * %-S");
    let mut text = format!(
        "[backend]\nurl = \"{url}\"\nmax_concurrent_runs = {}\n[store]\nurl = \"{server}\"\n\
         [http]\nlisten = \"off\"\nsocket = \"agentcron.sock\"\n[webhooks.url]\ndisable_loopback = false\n\
         [defaults]\ntimezone = \"UTC\"\non_run_completed = \"keep\"\n",
        daemons * PLACES
    );
    for index in 0..crons {
        writeln!(
            text,
            "[cron.cron-{index:05}]\nschedule = \"{schedule}\"\nassistant_id = \"agent\"\nwebhook = \"{url}/hooks/cron-{index:05}\"\n\
             input = {{ messages = [{{ role = \"user\", content = \"Summarise.\" }}] }}"
        )
        .context("write a cron")?;
    }
    Ok(text)
}
