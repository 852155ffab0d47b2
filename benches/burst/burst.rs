//! Measures bursts: each contestant in turn, against the same agent server and receiver.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OpenFlags};

use super::contestant::Contestant;
use super::home::Home;
use super::machine::now;
use super::spread::Spread;
use super::stub_client::{ByCron, Stub};

/// The time from launching a contestant to the burst: a constant, and more for each cron that it has to read first.
const LEAD: Duration = Duration::from_secs(3);
const LEAD_PER_CRON: Duration = Duration::from_micros(700);
/// The CPU time is read this long before the burst, when a contestant has nothing left to prepare.
const READ_BEFORE: SignedDuration = SignedDuration::from_millis(200);
/// Nothing is asked for this long, because that would disturb what is being measured.
const UNDISTURBED: SignedDuration = SignedDuration::from_millis(500);
/// What has not arrived when nothing else has for this long counts as lost.
const SILENCE: SignedDuration = SignedDuration::from_secs(5);
/// How long a daemon may take to commit what came of its last webhooks.
const RECORDED_WITHIN: Duration = Duration::from_secs(10);
/// An arrival after the last expected one would be a second start. The benchmark waits this long for one.
const AFTERMATH: Duration = Duration::from_millis(1_500);
const POLL_EVERY: Duration = Duration::from_millis(100);

/// The result of one burst of one contestant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    /// From the scheduled second to the arrival of the request for each run.
    pub(super) starts: Spread,
    pub(super) lives: Option<Lives>,
    pub(super) lost: usize,
    pub(super) doubled: usize,
}

/// What is known of a contestant that follows its runs to their webhooks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lives {
    pub(super) last_webhook: Duration,
    pub(super) per_second: f64,
    pub(super) cpu_each: Duration,
    pub(super) requests_each: f64,
}

pub(super) fn measure(stub: &Stub, contestant: Contestant, count: usize) -> Result<Measured> {
    stub.forget()?;
    let lead = LEAD + LEAD_PER_CRON * u32::try_from(count)?;
    let at = Timestamp::from_second(now().checked_add(lead)?.as_second() + 1)?;
    let mut running = contestant.start(&stub.url(), count, at)?;
    sleep_until(at.checked_sub(READ_BEFORE)?);
    running.ensure_alive()?;
    let (cpu_before, requests_before) = (running.process.cpu_time()?, stub.counts()?.requests);
    sleep_until(at.checked_add(UNDISTURBED)?);
    let webhooks = if contestant == Contestant::Naive { 0 } else { count };
    let (mut seen, mut since) = (stub.counts()?, now());
    while (seen.starts < count || seen.webhooks < webhooks) && now().duration_since(since) < SILENCE {
        running.ensure_alive()?;
        sleep(POLL_EVERY);
        let counts = stub.counts()?;
        if counts != seen {
            (seen, since) = (counts, now());
        }
    }
    if let Some(home) = &running.home {
        wait_until_recorded(home)?;
    }
    let cpu = running.process.cpu_time()?.since(&cpu_before);
    let requests = stub.counts()?.requests - requests_before;
    sleep(AFTERMATH);
    let arrivals = stub.arrivals()?;
    let starts = Spread::of(late(&arrivals.starts, at));
    let finished = if webhooks == 0 { arrivals.starts.len() } else { arrivals.webhooks.len() };
    let lives = (webhooks > 0).then(|| {
        let last_webhook = Spread::of(late(&arrivals.webhooks, at)).max;
        let lives = finished.max(1) as f64;
        Lives {
            last_webhook,
            per_second: finished as f64 / last_webhook.as_secs_f64().max(1e-6),
            cpu_each: cpu.div_f64(lives),
            requests_each: requests as f64 / lives,
        }
    });
    let twice = |by_cron: &ByCron| by_cron.values().filter(|instants| instants.len() > 1).count();
    Ok(Measured {
        starts,
        lives,
        lost: count.saturating_sub(finished),
        doubled: twice(&arrivals.starts) + twice(&arrivals.webhooks),
    })
}

/// Returns how late the first arrival of each cron was.
fn late(by_cron: &ByCron, at: Timestamp) -> Vec<Duration> {
    let first_of_each = by_cron.values().filter_map(|instants| instants.iter().min());
    first_of_each.map(|instant| instant.duration_since(at).unsigned_abs()).collect()
}

/// Waits until every outcome is committed: it belongs to the cost of a life.
fn wait_until_recorded(home: &Home) -> Result<()> {
    let connection = Connection::open_with_flags(home.database(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let deadline = now().checked_add(RECORDED_WITHIN)?;
    let sql = "SELECT (SELECT count(*) FROM runs WHERE phase <> 'ended') + \
               (SELECT count(*) FROM deliveries WHERE ended_at IS NULL)";
    while connection.query_row(sql, [], |row| row.get::<_, i64>(0))? > 0 && now() < deadline {
        sleep(POLL_EVERY);
    }
    Ok(())
}

fn sleep_until(at: Timestamp) {
    sleep(Duration::try_from(at.duration_since(now())).unwrap_or_default());
}
