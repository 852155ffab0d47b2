//! The life of one daemon: two starts, idleness, a cron that fires every second, and reloads beside it.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use super::crons::{self, CRONS_PER_FILE, TICKING};
use super::daemon;
use super::home::Home;
use super::machine::now;
use super::process::ChildProcess;
use super::spread::Spread;
use super::stub_client::Stub;

/// A daemon that uses less than this in a second has finished its startup.
const QUIET: Duration = Duration::from_millis(10);
/// How long it may take for that. One that is still busy then is measured as it is.
const QUIET_WITHIN: Duration = Duration::from_secs(120);
const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(60);
const POLL_EVERY: Duration = Duration::from_millis(2);
/// A file is changed this long before the cron is due again, so that the reload is going on then.
const BEFORE_A_TICK: Duration = Duration::from_millis(50);
/// The time between two reloads.
const REST: Duration = Duration::from_secs(2);

pub(super) struct Measured {
    /// The first start makes the database.
    pub(super) first_start: Duration,
    pub(super) next_start: Duration,
    /// From when it was ready until it had nothing left to do.
    pub(super) quiet: Duration,
    pub(super) memory: u64,
    pub(super) peak: u64,
    /// The share of a core that the idle daemon uses.
    pub(super) idle: f64,
    /// How often a second something wakes one of its threads.
    pub(super) wakes: f64,
    /// The CPU time of one firing, beyond what the idle daemon uses in a second.
    pub(super) firing: Duration,
    pub(super) late: Spread,
    /// From the change of a file until its cron has the new definition in the store.
    pub(super) reload: Spread,
    pub(super) reload_cpu: Duration,
    /// How late the cron was that fired meanwhile.
    pub(super) late_then: Spread,
}

pub(super) fn measure(stub: &Stub, count: usize, seconds: u32, reloads: usize) -> Result<Measured> {
    let home = crons::home(&stub.url(), count)?;
    let (first, first_start) = daemon::start(&home)?;
    drop(first);
    let (mut daemon, next_start) = daemon::start(&home)?;
    let quiet = wait_until_quiet(&daemon)?;
    let (memory, peak) = (1024 * daemon.status("VmRSS")?, 1024 * daemon.status("VmHWM")?);
    let (cpu, sleeps) = (daemon.cpu_time()?, daemon.sleeps()?);
    let idle_second = usual_second(&daemon, seconds)?;
    let idle = daemon.cpu_time()?.since(&cpu).as_secs_f64() / f64::from(seconds);
    let wakes = daemon.sleeps()?.saturating_sub(sleeps) as f64 / f64::from(seconds);
    home.ensure_alive(&mut daemon)?;

    crons::start_ticking(&home)?;
    let store = Connection::open_with_flags(home.database(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let deadline = now().checked_add(PATIENCE)?;
    while lateness(&store, Timestamp::MIN)?.len() < 3 {
        anyhow::ensure!(now() < deadline, "the cron that fires every second does not fire");
        sleep(Duration::from_millis(100));
    }
    let begun = now();
    let ticking_second = usual_second(&daemon, seconds)?;
    let late = lateness(&store, begun)?;

    let begun = now();
    let (reload, reload_cpu) = reload(&home, &daemon, &store, count, reloads, ticking_second)?;
    home.ensure_alive(&mut daemon)?;
    Ok(Measured {
        first_start,
        next_start,
        quiet,
        memory,
        peak,
        idle,
        wakes,
        firing: ticking_second.saturating_sub(idle_second),
        late: Spread::of(late),
        reload,
        reload_cpu,
        late_then: Spread::of(lateness(&store, begun)?),
    })
}

/// Waits until a second passes in which the daemon does next to nothing, and returns how long that took.
fn wait_until_quiet(daemon: &ChildProcess) -> Result<Duration> {
    let begun = now();
    loop {
        let spent = usual_second(daemon, 1)?;
        let took = now().duration_since(begun).unsigned_abs();
        if spent < QUIET || took > QUIET_WITHIN {
            return Ok(took.saturating_sub(SECOND));
        }
    }
}

/// Returns the CPU time that the daemon uses in a second, the median of so many: something rare, such as a look at all
/// files, is no part of it.
fn usual_second(daemon: &ChildProcess, seconds: u32) -> Result<Duration> {
    let mut spent = Vec::new();
    for _ in 0..seconds.max(1) {
        let before = daemon.cpu_time()?;
        sleep(SECOND);
        spent.push(daemon.cpu_time()?.since(&before));
    }
    Ok(Spread::of(spent).p50)
}

/// Returns how late the agent server had accepted each run of the cron that fires every second, of those accepted since.
fn lateness(store: &Connection, since: Timestamp) -> Result<Vec<Duration>> {
    let mut statement = store.prepare_cached(
        "SELECT started_at - scheduled_for FROM runs WHERE cron_name = ?1 AND started_at >= ?2",
    )?;
    let late = statement.query_map((TICKING, since.as_millisecond()), |row| {
        Ok(Duration::from_millis(row.get::<_, u32>(0)?.into()))
    })?;
    Ok(late.collect::<Result<_, _>>()?)
}

/// Changes one file after another, and returns how long each change took, and the CPU time of one of them beyond
/// `usual`, which is what the daemon uses in a second without them.
fn reload(
    home: &Home,
    daemon: &ChildProcess,
    store: &Connection,
    count: usize,
    reloads: usize,
    usual: Duration,
) -> Result<(Spread, Duration)> {
    let mut statement = store.prepare("SELECT definition_id FROM crons WHERE name = ?1")?;
    let (mut times, mut spent) = (Vec::new(), Vec::new());
    for number in 0..reloads.max(1) {
        let file = number % count.div_ceil(CRONS_PER_FILE);
        let name = crons::first_of(file);
        let mut definition = || statement.query_row([&name], |row| row.get::<_, String>(0));
        let before = definition()?;
        sleep_until_shortly_before_a_second();
        let (cpu, begun) = (daemon.cpu_time()?, now());
        crons::change(home, file, count, &format!("changed {number}"))?;
        while definition()? == before {
            let took = now().duration_since(begun).unsigned_abs();
            anyhow::ensure!(took < PATIENCE, "the change of {name} has no effect");
            sleep(POLL_EVERY);
        }
        times.push(now().duration_since(begun).unsigned_abs());
        // What follows the commit is part of the cost.
        sleep(REST);
        let elapsed = now().duration_since(begun).as_secs_f64();
        let used = daemon.cpu_time()?.since(&cpu);
        spent.push(used.saturating_sub(usual.mul_f64(elapsed)));
    }
    Ok((Spread::of(times), Spread::of(spent).p50))
}

fn sleep_until_shortly_before_a_second() {
    let at: Timestamp = now();
    let into = Duration::from_nanos(at.subsec_nanosecond().unsigned_abs().into());
    sleep((SECOND + SECOND - BEFORE_A_TICK).saturating_sub(into));
}
