//! What does a life cost the store, from the plan of its run to the record of its webhook? This makes the operations that the
//! daemon makes, in the order in which it makes them, so many at once as a burst does, and prints the processor time of each.
//! Nothing is sent. Beside it, plain inserts of the same bytes into a file with one index show what SQLite itself costs here.
//!
//! `cargo bench --bench store` prints everything; `-- --crons 20000 --repeat 5` changes how much is measured, and `--postgres` does
//! the same on a PostgreSQL server of its own, which does not wait for the disk, or `--server postgres://…` on another one. There it
//! also lets several daemons plan and claim the same burst together, measures how soon one hears of what another has committed, and
//! how long a claim takes while somebody holds an old snapshot open.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it has measured")]

#[path = "../shared/machine.rs"]
#[expect(dead_code, reason = "another benchmark uses the rest")]
mod machine;
#[path = "../../tests/it/support/postgres.rs"]
mod postgres;
#[path = "../shared/process.rs"]
#[expect(dead_code, reason = "another benchmark uses the rest")]
mod process;
#[path = "../shared/spread.rs"]
#[expect(dead_code, reason = "another benchmark uses the rest")]
mod spread;

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agentcron::clock::Clock;
use agentcron::config::{self, Environment};
use agentcron::domain::delivery::{
    AttemptReport, AttemptResult, DeliveryStatus, NewDelivery, Phases, Verdict,
};
use agentcron::domain::delivery_mode::RateLimit;
use agentcron::domain::ids::{BackendRunId, DeliveryId, InstallationId, ThreadId};
use agentcron::domain::run::{Outcome, RunChange, Status};
use agentcron::engine::{Wakes, lease};
use agentcron::store::{
    Admission, ClaimLimits, Claimable, ClaimedRun, DaemonLock, Execution, FinishedAttempt, Place, Published,
    RunEnding, Step, Store, StoreError,
};
use anyhow::Result;
use clap::Parser;
use futures_util::future::{FutureExt, try_join_all};
use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use machine::now;
use process::CpuTime;
use spread::{Spread, median};

#[derive(Parser)]
#[command(name = "store", about = "Measures what a life costs the store")]
struct Arguments {
    /// The number of lives.
    #[arg(long, default_value_t = 10_000)]
    crons: usize,
    /// The number of measurements; medians are printed.
    #[arg(long, default_value_t = 3)]
    repeat: usize,
    /// Measures a store on PostgreSQL as well, if this machine has its programs.
    #[arg(long)]
    postgres: bool,
    /// Measures a store on this PostgreSQL server as well.
    #[arg(long)]
    server: Option<String>,
    /// How many operations wait for the writer at the same time, as a burst has.
    #[arg(long, default_value_t = 128)]
    at_once: usize,
    /// `cargo bench` passes this; it has no effect.
    #[arg(long, hide = true)]
    bench: bool,
}

const URL: &str = "http://127.0.0.1:8080/hooks/digest";

/// The operations of a life, and plain inserts.
const PARTS: [&str; 6] = [
    "plan and claim",
    "accept",
    "end",
    "claim a webhook",
    "finish its attempt",
    "plain insert, for comparison",
];

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    machine::print()?;
    print(&arguments, "SQLite", None)?;
    if let Some(url) = &arguments.server {
        print(&arguments, "PostgreSQL", Some(url))?;
        print_together(&arguments, url)?;
    }
    if !arguments.postgres {
        return Ok(());
    }
    match postgres::Postgres::start()? {
        None => println!("PostgreSQL's server is not installed."),
        Some(server) => {
            print(&arguments, "PostgreSQL", Some(&server.url()))?;
            print_together(&arguments, &server.url())?;
        }
    }
    Ok(())
}

/// Measures a store, and prints what it has measured.
fn print(arguments: &Arguments, engine: &str, server: Option<&str>) -> Result<()> {
    let mut measured: Vec<[Took; PARTS.len()]> = Vec::new();
    for number in 0..arguments.repeat.max(1) {
        measured.push(measure(arguments, server, number)?);
    }
    println!(
        "{} lives on {engine}, {} at once; processor time of this process and time, each of one, medians of {}:",
        arguments.crons, arguments.at_once, arguments.repeat
    );
    let mut life = [0.0, 0.0];
    for (part, name) in PARTS.iter().enumerate() {
        let each = [0, 1].map(|which| {
            let micros = measured.iter().map(|parts| parts[part][which].as_secs_f64() * 1e6).collect();
            median(micros).unwrap_or(f64::NAN)
        });
        println!("{:>8.1} µs {:>8.1} µs  {name}", each[0], each[1]);
        if part < PARTS.len() - 1 {
            life = [life[0] + each[0], life[1] + each[1]];
        }
    }
    println!("{:>8.1} µs {:>8.1} µs  a life", life[0], life[1]);
    Ok(())
}

/// The processor time and the time that a part took for one life.
type Took = [Duration; 2];

/// Returns what each part took for one life.
fn measure(arguments: &Arguments, server: Option<&str>, number: usize) -> Result<[Took; PARTS.len()]> {
    let (count, at_once) = (arguments.crons, arguments.at_once);
    let folder = tempfile::Builder::new().prefix("store-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let store = open(folder.path(), server, number)?;
    let at = a_minute_ago()?;
    let mut meter = Meter { count, parts: Vec::new() };
    runtime.block_on(async {
        store.sync_file_crons(at, crons(folder.path(), count, at)?).await?;
        let due = at + Duration::from_secs(60);
        meter.begin()?;
        let mut claimed: Vec<ClaimedRun> = Vec::new();
        while claimed.len() < count {
            let limits = ClaimLimits {
                starts: at_once,
                in_flight: 1,
                running_max: 10 * count,
                own_places: usize::MAX,
            };
            let claim = store.claim_starts(due, limits).await?;
            anyhow::ensure!(!claim.starts.is_empty(), "only {} of {count} runs were planned", claimed.len());
            claimed.extend(claim.starts);
        }
        meter.end()?;
        let thread_id = ThreadId(uuid::Uuid::from_u64_pair(1, 2));
        meter.begin()?;
        many((&claimed, at_once), |claimed| {
            let backend_run_id = BackendRunId(claimed.run.run_id.0);
            let change = RunChange::Accept { thread_id, backend_run_id, at: due };
            store.step_run(Step::of(claimed.held(), change))
        })
        .await?;
        meter.end()?;
        meter.begin()?;
        many((&claimed, at_once), |claimed| store.end_run(ending(claimed, due))).await?;
        meter.end()?;
        meter.begin()?;
        let mut deliveries = Vec::new();
        while deliveries.len() < count {
            let admit = |_: Claimable<'_>| Admission::Admitted(());
            let claim = store.claim_deliveries(due, at_once, RateLimit::default(), Vec::new(), admit).await?;
            anyhow::ensure!(!claim.deliveries.is_empty(), "only {} webhooks are due", deliveries.len());
            deliveries.extend(claim.deliveries.into_iter().map(|(delivery, ())| delivery));
        }
        meter.end()?;
        meter.begin()?;
        for deliveries in deliveries.chunks(at_once) {
            let finished = deliveries.iter().map(|delivery| FinishedAttempt {
                delivery: delivery.clone(),
                at: due,
                report: report(),
                verdict: Verdict::Delivered,
                back: Vec::new(),
            });
            store.finish_attempts(Arc::new(finished.collect())).await?;
        }
        meter.end()?;
        meter.begin()?;
        insert_plainly(folder.path(), count, at_once)?;
        meter.end()
    })?;
    Ok(std::array::from_fn(|part| meter.parts[part].2))
}

/// Prints what several daemons on a server do together.
fn print_together(arguments: &Arguments, server: &str) -> Result<()> {
    print_bursts(arguments, server)?;
    let wakes = wakes(server)?;
    println!(
        "{:>8.2} ms until another daemon hears of a commit, p99 of {WAKES}",
        1e3 * Spread::of(wakes).p99.as_secs_f64()
    );
    for (name, held) in [("", false), (", while a snapshot is held open", true)] {
        let claims = claims(server, &format!("claims-{held}"), held)?;
        println!(
            "{:>8.2} ms for a claim at 100 in a second, p99 of {CLAIMS}{name}",
            1e3 * Spread::of(claims).p99.as_secs_f64()
        );
    }
    Ok(())
}

/// Prints how long it takes until everything of a burst is claimed and committed, in a file, and by one daemon and by three on a
/// server.
fn print_bursts(arguments: &Arguments, server: &str) -> Result<()> {
    let all = [("in a file, by 1 daemon", None, 1)];
    let on_server = [("by 1 daemon", 1), ("by 2 daemons", 2), ("by 3 daemons", 3)];
    let all = all.into_iter().chain(on_server.map(|(name, daemons)| (name, Some(server), daemons)));
    for (name, server, daemons) in all {
        let mut took: Vec<f64> = Vec::new();
        for number in 0..arguments.repeat.max(1) {
            let schema = format!("burst-{daemons}-{number}");
            took.push(burst(arguments, server, daemons, &schema)?.as_secs_f64() * 1e3);
        }
        let took = median(took).unwrap_or(f64::NAN);
        println!("{took:>8.0} ms until {} that are due at once are claimed {name}", arguments.crons);
    }
    Ok(())
}

/// How many commits are heard.
const WAKES: usize = 500;
/// How many claims are made.
const CLAIMS: usize = 3_000;

/// Returns how long it takes from before a commit until another daemon knows that there is one, for each.
fn wakes(server: &str) -> Result<Vec<Duration>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let place = Place::on_server(server, "wakes")?;
    let (speaks, hears) = (shared(&place)?, shared(&place)?);
    runtime.block_on(async {
        let (stop, wakes) = (CancellationToken::new(), [Wakes::default(), Wakes::default()]);
        let mut living = JoinSet::new();
        for (store, wakes) in [&speaks, &hears].into_iter().zip(&wakes) {
            living.spawn(lease::run(store.clone(), Clock::system(), wakes.clone(), stop.clone()));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut took = Vec::new();
        for _ in 0..WAKES {
            tokio::time::sleep(Duration::from_millis(20)).await;
            // What it was woken for before.
            let _ = wakes[1].courier.notified().now_or_never();
            let heard = wakes[1].courier.notified();
            let began = Instant::now();
            speaks.publish(Published::default()).await?;
            heard.await;
            took.push(began.elapsed());
        }
        stop.cancel();
        while let Some(ended) = living.join_next().await {
            ended??;
        }
        Ok(took)
    })
}

/// Makes claims at a steady rate, one run for each, and returns how long each took.
fn claims(server: &str, schema: &str, is_held: bool) -> Result<Vec<Duration>> {
    let folder = tempfile::Builder::new().prefix("claims-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let store = shared(&Place::on_server(server, schema)?)?;
    let at = a_minute_ago()?;
    runtime.block_on(async {
        store.sync_file_crons(at, crons(folder.path(), CLAIMS, at)?).await?;
        let (client, connection) = tokio_postgres::connect(server, tokio_postgres::NoTls).await?;
        let mut carried = JoinSet::new();
        carried.spawn(connection);
        if is_held {
            client
                .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class")
                .await?;
        }
        let (due, mut took) = (at + Duration::from_secs(60), Vec::new());
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        for _ in 0..CLAIMS {
            tick.tick().await;
            let began = Instant::now();
            let limits =
                ClaimLimits { starts: 1, in_flight: 0, running_max: 10 * CLAIMS, own_places: usize::MAX };
            let claimed = store.claim_starts(due, limits).await?;
            took.push(began.elapsed());
            for claimed in &claimed.starts {
                store.end_run(ending(claimed, due)).await?;
            }
        }
        drop(client);
        while let Some(ended) = carried.join_next().await {
            ended??;
        }
        Ok(took)
    })
}

/// Returns the beginning of the minute before this one: what is due a minute later is due, and has not been for long.
fn a_minute_ago() -> Result<Timestamp> {
    let now = now().as_second();
    Ok(Timestamp::from_second(now - now % 60 - 60)?)
}

/// Opens a store for one of several daemons.
fn shared(place: &Place) -> Result<Store, StoreError> {
    let lock = Arc::new(DaemonLock::waived());
    Store::open_locked(
        &lock,
        place,
        Execution::WriterThread,
        InstallationId::default(),
        Clock::system(),
        None,
    )
}

/// Lets so many daemons plan and claim a burst together, and returns how long that takes.
fn burst(arguments: &Arguments, server: Option<&str>, daemons: usize, schema: &str) -> Result<Duration> {
    let folder = tempfile::Builder::new().prefix("burst-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let file = folder.path().join("agentcron.db");
    let place =
        server.map_or_else(|| Ok(file.as_path().into()), |server| Place::on_server(server, schema))?;
    let stores = (0..daemons).map(|_| shared(&place)).collect::<Result<Vec<Store>, StoreError>>()?;
    // They are due by now: nobody has been silent for longer than that.
    let at = a_minute_ago()?;
    runtime.block_on(async {
        stores[0].sync_file_crons(at, crons(folder.path(), arguments.crons, at)?).await?;
        // As after a start: each has planned before.
        for store in &stores {
            while store
                .claim_starts(at, ClaimLimits { starts: 1, in_flight: 0, running_max: 1, own_places: 1 })
                .await?
                .more_to_start
            {}
        }
        let (due, claimed) = (at + Duration::from_secs(60), AtomicUsize::new(0));
        let limits = ClaimLimits {
            starts: arguments.at_once,
            in_flight: 1,
            running_max: 100 * arguments.crons,
            own_places: usize::MAX,
        };
        let began = Instant::now();
        let work = |store| {
            let claimed = &claimed;
            async move {
                while claimed.load(Ordering::Relaxed) < arguments.crons {
                    let claim = Store::claim_starts(store, due, limits).await?;
                    claimed.fetch_add(claim.starts.len(), Ordering::Relaxed);
                    if claim.starts.is_empty() {
                        // The others have what is left.
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
                Ok::<(), StoreError>(())
            }
        };
        try_join_all(stores.iter().map(work)).await?;
        Ok(began.elapsed())
    })
}

/// Makes an operation for each, so many at once.
async fn many<'a, T, Output, Working>(
    (all, at_once): (&'a [T], usize),
    operation: impl Fn(&'a T) -> Working,
) -> Result<(), StoreError>
where
    Working: Future<Output = Result<Output, StoreError>>,
{
    for chunk in all.chunks(at_once) {
        try_join_all(chunk.iter().map(&operation)).await?;
    }
    Ok(())
}

/// The processor time of this process, part by part.
struct Meter {
    count: usize,
    parts: Vec<(CpuTime, Instant, Took)>,
}

impl Meter {
    fn begin(&mut self) -> Result<()> {
        self.parts.push((CpuTime::of(std::process::id())?, Instant::now(), Took::default()));
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let now = CpuTime::of(std::process::id())?;
        if let Some((since, began, took)) = self.parts.last_mut() {
            *took = [now.since(since), began.elapsed()].map(|took| took.div_f64(self.count.max(1) as f64));
        }
        Ok(())
    }
}

fn open(folder: &Path, server: Option<&str>, number: usize) -> Result<Store> {
    let file = folder.join("agentcron.db");
    let place = match server {
        None => file.as_path().into(),
        Some(url) => Place::on_server(url, &format!("lives-{number}"))?,
    };
    let lock = Arc::new(DaemonLock::take(&file)?);
    let new = InstallationId::default();
    Ok(Store::open_locked(&lock, &place, Execution::WriterThread, new, Clock::system(), None)?)
}

/// Returns crons that are all due in the minute after `at`.
fn crons(folder: &Path, count: usize, at: Timestamp) -> Result<Vec<Arc<config::CronDefinition>>> {
    let schedule = (at + Duration::from_secs(60)).strftime("%-M %-H %-d %-m *").to_string();
    let mut text = "[backend]\nurl = \"http://127.0.0.1:8080\"\n[webhooks.url]\ndisable_loopback = false\n\
                    [defaults]\ntimezone = \"UTC\"\non_run_completed = \"keep\"\n"
        .to_owned();
    for number in 0..count {
        writeln!(
            text,
            "[cron.digest-{number}]\nschedule = \"{schedule}\"\nassistant_id = \"agent\"\nwebhook = \"{URL}\"\n\
             input = {{ messages = [{{ role = \"user\", content = \"Summarise the channel in five lines.\" }}] }}"
        )?;
    }
    let file = folder.join("agentcron.toml");
    std::fs::write(&file, text)?;
    Ok(config::load(&file, &Environment::of_map([]))?.crons)
}

fn ending(claimed: &ClaimedRun, at: Timestamp) -> RunEnding {
    let run_id = claimed.run.run_id;
    let outcome = Outcome {
        status: Status::Success,
        reason: None,
        error: None,
        values: Some(json!({ "messages": [{ "type": "ai", "content": "Nothing happened." }] })),
        interrupts: None,
        ended_at: at,
        learnt_at: at,
    };
    let delivery = NewDelivery {
        delivery_id: DeliveryId::of_run(run_id, URL),
        run_id: Some(run_id),
        url: URL.to_owned(),
        body: body(),
        keeps_body: true,
        status: DeliveryStatus::Pending,
    };
    RunEnding { delivery: Some(delivery), ..RunEnding::of(claimed.held(), outcome) }
}

fn body() -> Vec<u8> {
    vec![b'x'; 1_024]
}

fn report() -> AttemptReport {
    AttemptReport {
        result: AttemptResult::Accepted { code: 204 },
        address: Some("127.0.0.1:8080".to_owned()),
        phases: Phases { head: Some(Duration::from_millis(1)), ..Phases::default() },
        answer: None,
        receiver_clock: None,
    }
}

/// Inserts rows of the size of a life, as many in a transaction as operations are made at once.
fn insert_plainly(folder: &Path, count: usize, at_once: usize) -> Result<()> {
    let mut connection = Connection::open(folder.join("plain.db"))?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
         CREATE TABLE lives (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body BLOB NOT NULL) STRICT",
    )?;
    for first in (0..count).step_by(at_once) {
        let tx = connection.transaction()?;
        let mut insert = tx.prepare_cached("INSERT INTO lives (id, body) VALUES (?1, ?2)")?;
        for number in first..count.min(first + at_once) {
            insert.execute((uuid::Uuid::from_u64_pair(number as u64, 0).to_string(), body()))?;
        }
        drop(insert);
        tx.commit()?;
    }
    Ok(())
}
