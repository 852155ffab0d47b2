//! What the pages and a scrape of the metrics cost on this database: the CPU time of a daemon that is asked for them over its socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::daemon;
use super::home::Home;
use super::machine::{millis, now};
use super::process::ChildProcess;
use super::spread::Spread;

/// The bars: bytes and elements of a page, and the daemon's CPU time for it.
const BYTES: usize = 120_000;
const ELEMENTS: usize = 3_000;
const CPU: Duration = Duration::from_millis(20);
const PAGES: &str = "/agentcron/";
const REPEAT: u32 = 30;
/// What it does at its start is no page's.
const SETTLE: Duration = Duration::from_secs(20);

/// Starts a daemon on the database, whose crons are those of the history, and asks for each page.
pub(super) fn measure(database: &Path, crons: u32) -> Result<()> {
    let mut configuration = format!(
        "[backend]\nurl = \"http://127.0.0.1:9\"\n[store]\npath = \"{}\"\n[http]\nlisten = \"off\"\nsocket = \"agentcron.sock\"\n\
         [defaults]\ntimezone = \"UTC\"\nassistant_id = \"agent\"\ncatchup = \"none\"\n",
        database.canonicalize()?.display()
    );
    for number in 0..crons {
        // Due once a year, so that none is due while they are looked at.
        let (minute, hour) = (number % 60, number / 60 % 24);
        configuration.push_str(&format!("[cron.cron-{number:05}]\nschedule = \"{minute} {hour} 1 1 *\"\n"));
    }
    let home = Home::new(&configuration)?;
    let (mut daemon, _) = daemon::start(&home)?;
    std::thread::sleep(SETTLE);
    println!();
    println!("The pages: bytes, elements, and the daemon's CPU time for each of {REPEAT} in a row.");
    println!("The bars are {BYTES} bytes, {ELEMENTS} elements and {CPU:?}.");
    println!("{:<44} {:>8} {:>8} {:>9} {:>20}", "", "bytes", "elements", "CPU", "answered p50 / max");
    for path in paths(&home)? {
        home.ensure_alive(&mut daemon)?;
        print_row(&home, &daemon, &path)?;
    }
    Ok(())
}

/// Returns the paths that are asked for.
fn paths(home: &Home) -> Result<Vec<String>> {
    let run = first(home, "/v1/runs?status=error&limit=1", "run_id")?;
    let webhook = first(home, "/v1/deliveries?limit=1", "delivery_id")?;
    let fixed = [
        "",
        "crons",
        "crons?state=failing",
        "crons?sort=next",
        "crons?name=99",
        "crons/cron-00042",
        "runs",
        "runs?failed=true",
        "runs?status=missed",
        "webhooks",
        "webhooks?status=failed",
        "try?schedule=*/15+9-17+*+*+mon-fri&timezone=Europe/Berlin",
        "status",
        "find?q=042",
        "act?act=pause&cron=cron-00042",
    ];
    let fixed = fixed.into_iter().map(str::to_owned);
    let pages = fixed.chain([format!("runs/{run}"), format!("webhooks/{webhook}")]);
    Ok(pages.map(|page| format!("{PAGES}{page}")).chain(["/metrics".to_owned()]).collect())
}

/// Returns the id of the first item of a listing.
fn first(home: &Home, path: &str, id: &str) -> Result<String> {
    let answer: Value = serde_json::from_str(&get(home, path)?)?;
    Ok(answer["items"][0][id].as_str().context("the listing is empty")?.to_owned())
}

fn print_row(home: &Home, daemon: &ChildProcess, path: &str) -> Result<()> {
    let html = get(home, path)?;
    let elements = html
        .match_indices('<')
        .filter(|(at, _)| html[at + 1..].starts_with(|char: char| char.is_ascii_alphabetic()))
        .count();
    let (before, mut times) = (daemon.cpu_time()?, Vec::new());
    for _ in 0..REPEAT {
        let begun = now();
        get(home, path)?;
        times.push(now().duration_since(begun).unsigned_abs());
    }
    let cpu = daemon.cpu_time()?.since(&before) / REPEAT;
    let spread = Spread::of(times);
    let is_over = path.starts_with(PAGES) && (html.len() > BYTES || elements > ELEMENTS || cpu > CPU);
    println!(
        "{:<44} {:>8} {elements:>8} {:>6.1} ms {:>7.1} / {:>5.1} ms{}",
        path,
        html.len(),
        millis(cpu),
        millis(spread.p50),
        millis(spread.max),
        if is_over { "  over" } else { "" }
    );
    Ok(())
}

/// Returns the body of an answer, which has to be a good one.
fn get(home: &Home, path: &str) -> Result<String> {
    let mut stream = UnixStream::connect(home.path("agentcron.sock"))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    anyhow::ensure!(head.starts_with("HTTP/1.1 200") || head.starts_with("HTTP/1.1 303"), "{path}: {head}");
    Ok(body.to_owned())
}
