//! A store with deliveries that are due, and the courier that delivers them.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use agentcron::clock::Clock;
use agentcron::config::{self, Environment};
use agentcron::domain::delivery::DeliveryStatus;
use agentcron::domain::ids::{DeliveryId, RunId};
use agentcron::engine::Wakes;
use agentcron::engine::courier::{self, Courier, OriginLimiter};
use agentcron::pulse::Pulse;
use agentcron::store::{Execution, Store};
use agentcron::transport::{Dialer, Transport};
use agentcron::webhook::{Sender, WebhookSettings};
use anyhow::{Context, Result};
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::process::CpuTime;
use super::spread::Spread;
use super::{Rate, now};

/// A delivery that takes longer will never succeed.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL_EVERY: Duration = Duration::from_millis(50);
/// The time between the start of the courier and the first delivery of a flow.
const LEAD: Duration = Duration::from_millis(500);

const CONFIGURATION: &str = "[webhooks]\nsigning_secrets = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]\n\
                             [webhooks.url]\ndisable_loopback = false\n";

/// Returns the body of every webhook, of typical length.
pub(super) fn body() -> Vec<u8> {
    let text = "Three incidents, all resolved; two deploys, one rolled back. Nothing needs you before noon. ";
    format!(
        r#"{{"status":"success","values":{{"messages":[{{"type":"ai","content":"{}"}}]}}}}"#,
        text.repeat(8)
    )
    .into_bytes()
}

/// A store with deliveries, some of which may be to receivers that never respond.
pub(super) struct Outbox {
    folder: TempDir,
    count: usize,
}

/// The outcome of the deliveries whose receivers respond.
pub(super) struct Delivered {
    pub(super) rate: Rate,
    /// The time from when a delivery was due to its 2xx.
    pub(super) late: Spread,
}

impl Outbox {
    /// Returns an outbox whose deliveries are all due now.
    pub(super) fn due_at_once(urls: &[String]) -> Result<Self> {
        let at = now().as_millisecond();
        Self::with(urls.iter().map(|url| (url.as_str(), at, true)), urls.len())
    }

    /// Returns an outbox whose deliveries to `urls` become due one after the other, `every` apart. Beside them, deliveries
    /// to `unanswered` are due already, to which no receiver will respond.
    pub(super) fn flowing(urls: &[String], every: Duration, unanswered: &[String]) -> Result<Self> {
        let (first, every) = (now().checked_add(LEAD)?.as_millisecond(), i64::try_from(every.as_millis())?);
        let flow = urls.iter().zip(0_i64..).map(|(url, number)| (url.as_str(), first + number * every, true));
        let beside = unanswered.iter().map(|url| (url.as_str(), first - 60_000, false));
        Self::with(beside.chain(flow), urls.len())
    }

    fn with<'u>(deliveries: impl Iterator<Item = (&'u str, i64, bool)>, count: usize) -> Result<Self> {
        // The folder is on the disk of the build, not in memory, so that a commit has its real cost.
        let folder = tempfile::Builder::new().prefix("courier-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        drop(Store::open(
            &database(folder.path()),
            Execution::WriterThread,
            agentcron::domain::ids::InstallationId::default(),
            agentcron::clock::Clock::system(),
        )?);
        let connection = Connection::open(database(folder.path()))?;
        connection.execute_batch("PRAGMA foreign_keys = OFF; BEGIN")?;
        let mut run = connection.prepare(
            "INSERT INTO runs (run_id, cron_id, cron_name, cron_source, definition_id, trigger, scheduled_for, due_at, start_before, \
             exclusive, phase, start_number, status, ended_at) \
             VALUES (?1, 'c', 'c', 'file', 'd', 'schedule', ?2, 0, 0, 0, 'ended', 1, 'success', 0)",
        )?;
        let mut delivery = connection.prepare(
            "INSERT INTO deliveries (delivery_id, run_id, url, receiver, body, status, due_at, created_at) \
             VALUES (?1, ?2, ?3, substr(?3, 1, instr(?3, '/hook')), ?4, 'pending', ?5, ?6)",
        )?;
        for (number, (url, due_at, answered)) in (0_u64..).zip(deliveries) {
            let run_id = RunId(uuid::Uuid::from_u64_pair(number, number));
            run.execute((run_id.to_string(), i64::try_from(number)?))?;
            let delivery_id = DeliveryId::of_run(run_id, url).to_string();
            // Here `created_at` is when the delivery is due, or 0 if the delivery does not count.
            let created_at = if answered { due_at } else { 0 };
            delivery.execute((delivery_id, run_id.to_string(), url, body(), due_at, created_at))?;
        }
        drop((run, delivery));
        connection.execute_batch("COMMIT")?;
        Ok(Self { folder, count })
    }

    /// Runs the courier until it has delivered everything that counts.
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    pub(super) fn deliver(&self) -> Result<Delivered> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let stop = CancellationToken::new();
        let courier = self.courier()?;
        let store = courier.store.clone();
        let cpu = CpuTime::of(std::process::id())?;
        let start = std::time::Instant::now();
        let began = now();
        let working = runtime.spawn(courier::run(courier, Pulse::new("courier"), stop.clone()));
        let watched = self.watch(&store, start, began, &cpu);
        stop.cancel();
        // Abandon the attempts that hang: their deliveries are not measured.
        runtime.shutdown_background();
        drop(working);
        watched
    }

    fn watch(
        &self,
        store: &Store,
        start: std::time::Instant,
        began: Timestamp,
        cpu: &CpuTime,
    ) -> Result<Delivered> {
        // Read the counters in memory: querying the file would take a third of a core from what is being measured.
        while store.counts().deliveries(DeliveryStatus::Delivered) < u64::try_from(self.count)? {
            anyhow::ensure!(start.elapsed() < PATIENCE, "not all of {} were delivered", self.count);
            sleep(POLL_EVERY);
        }
        // Before the rows are read, which is no part of a delivery.
        let cpu_spent = CpuTime::of(std::process::id())?.since(cpu);
        let connection =
            Connection::open_with_flags(database(self.folder.path()), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut statement =
            connection.prepare("SELECT created_at, ended_at FROM deliveries WHERE created_at > 0")?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
        let rows: Vec<(i64, i64)> = rows.collect::<Result<_, _>>()?;
        let last = rows.iter().map(|(_, ended_at)| *ended_at).max().context("no delivery is recorded")?;
        let late = |(due_at, ended_at): &(i64, i64)| {
            Duration::from_millis(u64::try_from(ended_at - due_at).unwrap_or(0))
        };
        let took = Duration::from_millis(u64::try_from(last - began.as_millisecond()).unwrap_or(0).max(1));
        Ok(Delivered {
            rate: Rate::of(self.count, took, cpu_spent),
            late: Spread::of(rows.iter().map(late).collect()),
        })
    }

    fn courier(&self) -> Result<Courier> {
        let file = self.folder.path().join("agentcron.toml");
        std::fs::write(&file, CONFIGURATION)?;
        let environment = Environment::of_map([]);
        let config = config::load(&file, &environment)?;
        let transport = Transport::to_receivers(None, Dialer::of_system(), config.webhooks.url.clone())?;
        let clock = Clock::system();
        // The settings do not change during the measurement.
        let settings = WebhookSettings {
            disabled: false,
            sends: true,
            webhooks: config.webhooks.clone(),
            notify: config.notify.clone(),
        };
        let (_, webhooks) = config::live(settings);
        Ok(Courier {
            lacking: Default::default(),
            store: Store::open(
                &database(self.folder.path()),
                Execution::WriterThread,
                agentcron::domain::ids::InstallationId::default(),
                agentcron::clock::Clock::system(),
            )?,
            sender: Sender::new(transport, environment, clock.clone(), config.webhooks),
            clock,
            wakes: Wakes::default(),
            webhooks,
            outages: agentcron::engine::outages::Outages::default(),
            origins: OriginLimiter::default(),
        })
    }
}

fn database(folder: &Path) -> std::path::PathBuf {
    folder.join("agentcron.db")
}
