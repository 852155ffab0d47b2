//! Describes the machine that the numbers were measured on, and reads the clock that all benchmarks use.

use std::io::{Seek, SeekFrom, Write};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;

use super::spread::Spread;

/// The number of forced writes that are timed: enough for a median.
const FORCED_WRITES: usize = 50;

/// Prints the facts without which the numbers have no meaning.
pub(super) fn print() -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    println!("cores {cores}, load {load}, linux {}, commit {}", kernel.trim(), commit());
    println!("open files: {}", open_files());
    let forced = forced_write()?;
    println!(
        "sqlite WAL, synchronous=FULL; a forced write of 4 KiB takes {:.1} ms here (p50; p99 {:.1} ms)",
        millis(forced.p50),
        millis(forced.p99),
    );
    println!();
    Ok(())
}

/// Prints the size of the release binary.
pub(super) fn print_size() -> Result<()> {
    let bytes = std::fs::metadata(env!("CARGO_BIN_EXE_agentcron"))?.len();
    println!("binary: {:.1} MB (target: under 20)", bytes as f64 / 1e6);
    Ok(())
}

/// Returns the wall clock's time to the nanosecond. All processes of the machine share that clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark judges the clock of the daemon, so it needs another one"
)]
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}

pub(super) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").args(arguments).output().ok().filter(|output| output.status.success());
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    let changed =
        git(&["status", "--porcelain", "--", "src", "Cargo.lock"]).is_some_and(|changes| !changes.is_empty());
    if changed { format!("{commit} with changes") } else { commit }
}

fn open_files() -> String {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        [.., soft, hard, _] => format!("{soft} (soft limit), {hard} (hard limit)"),
        _ => "limits unknown".to_owned(),
    }
}

/// Measures what the disk takes for a commit: no run whose intention is committed first can start sooner.
fn forced_write() -> Result<Spread> {
    let mut file =
        tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR")).context("a file to time the disk with")?;
    let mut times = Vec::new();
    for _ in 0..FORCED_WRITES {
        file.seek(SeekFrom::End(0))?;
        file.write_all(&[7; 4096])?;
        let before = now();
        file.sync_data()?;
        times.push(now().duration_since(before).unsigned_abs());
    }
    Ok(Spread::of(times))
}
