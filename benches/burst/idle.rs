//! Measures the cost of a daemon that has nothing to do.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use super::contestant::Home;
use super::stub_client::Stub;

const CRONS: usize = 1_000;
/// The time that the daemon needs to read its crons and to finish all other work of its start.
const SETTLED_AFTER: Duration = Duration::from_secs(5);

/// Prints the share of a core and the memory that the idle daemon uses.
pub(super) fn print(seconds: u64) -> Result<()> {
    let stub = Stub::start()?;
    // The crons are due at noon, so do not run this around noon.
    let home = Home::new(&stub.url(), 256, CRONS, "0 12 * * *")?;
    let mut daemon = home.daemon()?;
    sleep(SETTLED_AFTER);
    let (on_core, ticks, sleeps) = (daemon.on_core()?, daemon.ticks()?, daemon.sleeps()?);
    sleep(Duration::from_secs(seconds));
    daemon.is_alive()?;
    let share = |used: Duration| 100.0 * used.as_secs_f64() / seconds.max(1) as f64;
    println!(
        "idle, {CRONS} daily crons, {seconds} s: {:.3} % of a core (by ticks of 10 ms: {:.2} %; target: under 0.1), \
         {:.1} wakes a second, VmRSS {:.1} MB (target: under 30), peak {:.1} MB, {} threads",
        share(daemon.on_core()?.saturating_sub(on_core)),
        share(daemon.ticks()?.saturating_sub(ticks)),
        daemon.sleeps()?.saturating_sub(sleeps) as f64 / seconds.max(1) as f64,
        daemon.status("VmRSS")? as f64 * 1024.0 / 1e6,
        daemon.status("VmHWM")? as f64 * 1024.0 / 1e6,
        daemon.status("Threads")?,
    );
    Ok(())
}
