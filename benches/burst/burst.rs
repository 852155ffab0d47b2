//! Measures bursts: each contestant in turn, against the same agent server.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OpenFlags};

use super::contestant::{Contestant, Home};
use super::machine::{millis, now};
use super::spread::Spread;
use super::stub_client::Stub;

/// The time from the start of a contestant to the burst. The contestant has to read its crons first.
const LEAD: Duration = Duration::from_secs(3);
const LEAD_PER_CRON: Duration = Duration::from_micros(700);
/// A burst that takes longer is measured as it is by then.
const PATIENCE: Duration = Duration::from_secs(20);
/// An arrival after the last expected one would be a second start. The benchmark waits this long for one.
const AFTERMATH: Duration = Duration::from_millis(1_500);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The result of one burst of one contestant.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    arrivals: Spread,
    lost: usize,
    doubled: usize,
    /// The time until the last outcome was committed; `None` for the naive program, which commits nothing.
    recorded: Option<Duration>,
}

/// Prints the table.
pub(super) fn print(crons: &[usize], repeat: usize, only: &[String]) -> Result<()> {
    println!(
        "Time from the scheduled second to the arrival of the POST at the agent server: medians of {repeat}; lost and doubled: the maximum."
    );
    println!(
        "{:>6}  {:<38} {:>9} {:>9} {:>9} {:>8} {:>5} {:>7} {:>12}",
        "crons", "", "p50", "p99", "max", "starts/s", "lost", "doubled", "recorded"
    );
    let stub = Stub::start()?;
    for &count in crons {
        let all = Contestant::ALL.into_iter();
        let contestants: Vec<Contestant> =
            all.filter(|one| only.is_empty() || only.iter().any(|word| one.name().contains(word))).collect();
        let mut measured = vec![Vec::new(); contestants.len()];
        // Rounds, so that a noisy minute affects all contestants.
        for _ in 0..repeat.max(1) {
            for (contestant, results) in contestants.iter().zip(&mut measured) {
                results.push(measure(&stub, *contestant, count)?);
            }
        }
        for (contestant, results) in contestants.iter().zip(&measured) {
            print_row(*contestant, count, results);
        }
    }
    println!();
    Ok(())
}

fn print_row(contestant: Contestant, count: usize, results: &[Measured]) {
    let arrivals = Spread::median(&results.iter().map(|one| one.arrivals).collect::<Vec<_>>());
    let lost = results.iter().map(|one| one.lost).max().unwrap_or(0);
    let doubled = results.iter().map(|one| one.doubled).max().unwrap_or(0);
    let recorded: Option<Vec<Duration>> = results.iter().map(|one| one.recorded).collect();
    let recorded = match recorded {
        Some(recorded) => format!("{:.0} ms", millis(Spread::of(recorded).p50)),
        None => "nothing kept".to_owned(),
    };
    let per_second = (count - lost) as f64 / arrivals.max.as_secs_f64().max(1e-6);
    println!(
        "{count:>6}  {:<38} {:>6.1} ms {:>6.1} ms {:>6.1} ms {per_second:>8.0} {lost:>5} {doubled:>7} {recorded:>12}",
        contestant.name(),
        millis(arrivals.p50),
        millis(arrivals.p99),
        millis(arrivals.max),
    );
}

fn measure(stub: &Stub, contestant: Contestant, count: usize) -> Result<Measured> {
    stub.forget()?;
    let lead = LEAD + LEAD_PER_CRON * u32::try_from(count)?;
    let second = now().checked_add(lead)?.as_second() + 1;
    let at = Timestamp::from_second(second)?;
    let mut running = contestant.start(&stub.url(), count, at)?;
    let deadline = at.checked_add(PATIENCE)?;
    // Query nothing during the burst, because a query would disturb what is being measured.
    sleep_until(at.checked_add(SignedDuration::from_millis(500))?);
    while stub.count()? < count && now() < deadline {
        running.is_alive()?;
        sleep(LOOK_EVERY);
    }
    sleep(AFTERMATH);
    let recorded = match &running.home {
        Some(home) => Some(recorded(home, at, deadline)?),
        None => None,
    };
    let arrivals = stub.arrivals()?;
    let first_of_each = arrivals.values().filter_map(|instants| instants.iter().min());
    let late = first_of_each.map(|instant| instant.duration_since(at).unsigned_abs()).collect();
    Ok(Measured {
        arrivals: Spread::of(late),
        lost: count.saturating_sub(arrivals.len()),
        doubled: arrivals.values().filter(|instants| instants.len() > 1).count(),
        recorded,
    })
}

/// Returns the time from `at` until the last outcome was committed, and waits for that until `deadline`.
fn recorded(home: &Home, at: Timestamp, deadline: Timestamp) -> Result<Duration> {
    let connection = Connection::open_with_flags(home.database(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let open_and_last_end = || -> Result<(u32, Option<i64>)> {
        let sql = "SELECT count(*) FILTER (WHERE phase <> 'ended'), max(ended_at) FROM runs";
        Ok(connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
    };
    while open_and_last_end()?.0 > 0 && now() < deadline {
        sleep(LOOK_EVERY);
    }
    let ended_at = open_and_last_end()?.1.context("no run has ended: the daemon was not ready in time")?;
    Ok(Timestamp::from_millisecond(ended_at)?.duration_since(at).unsigned_abs())
}

fn sleep_until(at: Timestamp) {
    sleep(Duration::try_from(at.duration_since(now())).unwrap_or_default());
}
