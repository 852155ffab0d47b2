//! Origins that hang, fail and ask us to wait, in simulated time.

mod answers;
mod control;
mod limits;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use super::origin_limiter::{Change, Changes, Lane, OriginLimiter, Permit};
use super::*;
use crate::config::{self, Environment};
use crate::domain::bounds::{
    ATTEMPTS_PER_ORIGIN, ATTEMPTS_PER_URL, CLIENT_ATTEMPTS_IN_FLIGHT, RECEIVERS_REMEMBERED,
};
use crate::domain::cron::CronSource;
use crate::domain::delivery::{AttemptResult, Fault};
use crate::domain::ids::{DaemonNumber, DeliveryId};
use crate::store::Execution;
use crate::transport::{BodyStream, Transport};
use crate::webhook::{Origin, WebhookSettings};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// What the receivers have received.
#[derive(Default)]
struct ReceiverLog {
    hanging: usize,
    most_hanging: usize,
    /// By URL, when it was accepted.
    accepted: HashMap<String, Timestamp>,
}

impl ReceiverLog {
    fn one_more_hangs(&mut self) {
        self.hanging += 1;
        self.most_hanging = self.most_hanging.max(self.hanging);
    }
}

/// When the simulation begins.
const START: i64 = 60;

/// Deliveries to an origin that works; they become due at half the rate at which it can answer.
fn works() -> impl Iterator<Item = (String, i64)> {
    (0..200).map(|number| (format!("http://works.example/{number}"), START * 1000 + number * 5))
}

/// Deliveries to an origin that hangs, all due before the others.
fn hangs() -> impl Iterator<Item = (String, i64)> {
    (0..200).map(|number| (format!("http://hangs.example/{number}"), 1))
}

/// Makes a store with one run and these deliveries: the URL, and when it is due in milliseconds.
fn store_with_deliveries(
    folder: &tempfile::TempDir,
    deliveries: impl Iterator<Item = (String, i64)>,
) -> Store {
    let path = folder.path().join("agentcron.db");
    let store = Store::open(
        &path,
        Execution::Inline,
        crate::domain::ids::InstallationId::default(),
        crate::clock::Clock::system(),
    )
    .unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    let run_id = uuid::Uuid::nil();
    connection
        .execute_batch(&format!(
            "PRAGMA foreign_keys = OFF; INSERT INTO runs (run_id, cron_id, cron_name, cron_source, definition_id, trigger, \
             scheduled_for, due_at, start_before, exclusive, phase, start_number, status, ended_at) \
             VALUES ('{run_id}', 'c', 'c', 'file', 'd', 'schedule', 0, 0, 0, 0, 'ended', 1, 'success', 0); BEGIN;"
        ))
        .unwrap();
    for (url, due_at) in deliveries {
        let delivery_id = crate::domain::ids::DeliveryId::of_run(crate::domain::ids::RunId(run_id), &url);
        let sql = "INSERT INTO deliveries (delivery_id, run_id, url, receiver, body, status, due_at, created_at) \
                   VALUES (?1, ?2, ?3, '', CAST('{}' AS BLOB), 'pending', ?4, 0)";
        connection.execute(sql, (delivery_id.to_string(), run_id.to_string(), url, due_at)).unwrap();
    }
    let receiver = crate::store::RECEIVER;
    connection.execute_batch(&format!("UPDATE deliveries SET receiver = {receiver}; COMMIT")).unwrap();
    store
}

fn receivers(log: &Arc<Mutex<ReceiverLog>>, clock: &Clock) -> Transport {
    let (log, clock) = (Arc::clone(log), clock.clone());
    Transport::function(move |request: Request<Bytes>| {
        let (log, clock) = (Arc::clone(&log), clock.clone());
        Box::pin(async move {
            if request.uri().host() == Some("hangs.example") {
                log.lock().unwrap().one_more_hangs();
                tokio::time::sleep(Duration::from_secs(19)).await;
                log.lock().unwrap().hanging -= 1;
                return Ok(Response::builder().status(503).body(empty()).unwrap());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            log.lock().unwrap().accepted.insert(request.uri().to_string(), clock.now());
            Ok(Response::new(empty()))
        })
    })
}

fn empty() -> BodyStream {
    Box::pin(futures_util::stream::empty())
}

/// Makes a courier with the default settings.
fn courier(folder: &tempfile::TempDir, store: &Store, clock: &Clock, receivers: Transport) -> Courier {
    let file = folder.path().join("agentcron.toml");
    std::fs::write(&file, "").unwrap();
    let environment = Environment::of_map([]);
    let settings = WebhookSettings::of_config(&config::load(&file, &environment).unwrap());
    let webhooks = settings.webhooks.clone();
    Courier {
        lacking: Lacking::default(),
        store: store.clone(),
        sender: Sender::new(receivers, environment, clock.clone(), webhooks),
        clock: clock.clone(),
        wakes: Wakes::default(),
        webhooks: config::live(settings).1,
        outages: crate::engine::outages::Outages::default(),
        origins: OriginLimiter::default(),
    }
}

/// Runs a courier for ten simulated minutes; also returns how many attempts got a 503.
async fn ten_minutes(deliveries: impl Iterator<Item = (String, i64)>) -> (ReceiverLog, u32) {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with_deliveries(&folder, deliveries);
    let clock = Clock::simulated(at(START));
    let log = Arc::<Mutex<ReceiverLog>>::default();
    let courier = courier(&folder, &store, &clock, receivers(&log, &clock));
    let stop = CancellationToken::new();
    let working = run(courier, Pulse::new("courier"), stop.clone());
    let looking = async {
        tokio::time::sleep(Duration::from_secs(600)).await;
        stop.cancel();
    };
    tokio::join!(async { working.await.unwrap() }, looking);
    let connection = rusqlite::Connection::open(folder.path().join("agentcron.db")).unwrap();
    let refused = "SELECT count(*) FROM attempts WHERE code = 503";
    let refused = connection.query_row(refused, [], |row| row.get(0)).unwrap();
    (std::mem::take(&mut *log.lock().unwrap()), refused)
}

/// Returns the 99th percentile, in milliseconds, of the time from being due to the 2xx.
fn p99(log: &ReceiverLog) -> i64 {
    let late = |(url, due_at)| log.accepted[&url].as_millisecond() - due_at;
    let mut late: Vec<i64> = works().map(late).collect();
    late.sort_unstable();
    late[late.len() * 99 / 100 - 1]
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_hangs_delays_no_other_and_its_open_breaker_costs_no_attempts() {
    let (alone, _) = ten_minutes(works()).await;
    assert_eq!(alone.accepted.len(), 200);
    let (beside, refused) = ten_minutes(hangs().chain(works())).await;
    assert_eq!((beside.accepted.len(), beside.most_hanging), (200, ATTEMPTS_PER_ORIGIN));
    let (before, now) = (p99(&alone), p99(&beside));
    eprintln!("p99: {before} ms alone, {now} ms beside an origin that hangs");
    assert!(before > 0 && now * 10 <= before * 11, "p99: {before} ms alone, {now} ms beside it");
    // One round, in which the fifth failure opened the breaker, and the probes of ten minutes.
    assert!((12..=20).contains(&refused), "{refused} attempts at the origin that hangs");
}
