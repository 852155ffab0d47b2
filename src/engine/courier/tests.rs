//! Origins that hang, fail and ask us to wait, in simulated time.

mod answers;
mod control;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use super::origin_limiter::{Lane, OriginLimiter, Permit};
use super::*;
use crate::config::{self, Environment};
use crate::domain::bounds::{ATTEMPTS_PER_ORIGIN, CLIENT_ATTEMPTS_IN_FLIGHT, ORIGINS_REMEMBERED};
use crate::domain::cron::CronSource;
use crate::domain::delivery::{AttemptResult, Pace};
use crate::store::Execution;
use crate::transport::{BodyStream, Transport};
use crate::webhook::{Origin, WebhookSettings};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn failed(retry_after: Option<u64>) -> AttemptResult {
    let retry_after = retry_after.map(Duration::from_secs);
    AttemptResult::Refused { code: Some(503), detail: "busy".to_owned(), retry_after, pace: Pace::Usual }
}

fn of_file(origin: &str) -> Lane {
    Lane { origin: Origin::new(origin), source: CronSource::File }
}

fn of_client(origin: &str) -> Lane {
    Lane { origin: Origin::new(origin), source: CronSource::Api }
}

fn permits(origins: &OriginLimiter, now: Timestamp) -> Vec<Permit> {
    std::iter::from_fn(|| origins.admit(of_file("https://a.example"), now)).collect()
}

/// Makes one attempt after the other, as soon as each is allowed, and returns when they were made.
fn attempts(origins: &OriginLimiter, mut now: Timestamp, count: usize) -> Vec<i64> {
    let mut made = Vec::new();
    while made.len() < count {
        match origins.admit(of_file("https://a.example"), now) {
            Some(permit) => {
                made.push(now.as_second());
                permit.judge(&failed(None), now);
            }
            None => now = origins.next_opening(now).unwrap(),
        }
    }
    made
}

#[test]
fn what_a_client_causes_at_an_origin_is_no_matter_of_files() {
    let origins = OriginLimiter::default();
    let retry_in_a_day = failed(Some(86_400));
    origins.admit(of_client("https://a.example"), at(0)).unwrap().judge(&retry_in_a_day, at(0));
    assert!(origins.admit(of_client("https://a.example"), at(1)).is_none());
    assert_eq!(permits(&origins, at(1)).len(), ATTEMPTS_PER_ORIGIN);
    // However many origins clients name, some attempts are left for files.
    let many = (0..ATTEMPTS_IN_FLIGHT)
        .filter_map(|number| origins.admit(of_client(&format!("https://{number}.example")), at(1)));
    let many: Vec<Permit> = many.collect();
    assert_eq!(many.len(), CLIENT_ATTEMPTS_IN_FLIGHT);
    assert!(many.len() < ATTEMPTS_IN_FLIGHT && origins.admit(of_file("https://c.example"), at(1)).is_some());
}

#[test]
fn an_origin_has_four_permits_and_another_one_its_own() {
    let origins = OriginLimiter::default();
    let taken = permits(&origins, at(0));
    assert_eq!(taken.len(), 4);
    assert!(origins.admit(of_file("https://b.example"), at(0)).is_some());
    drop(taken);
    assert_eq!(permits(&origins, at(0)).len(), 4);
}

#[test]
fn the_breaker_opens_after_five_failures_and_its_probes_become_rare() {
    let origins = OriginLimiter::default();
    let made = attempts(&origins, at(0), 12);
    assert_eq!(made, [0, 0, 0, 0, 0, 30, 90, 210, 450, 930, 1830, 2730]);
    // One good answer closes it.
    let now = origins.next_opening(at(2730)).unwrap();
    let probe = permits(&origins, now);
    assert_eq!(probe.len(), 1);
    assert_eq!(probe[0].judge(&AttemptResult::Accepted { code: 200 }, now), None);
    drop(probe);
    assert_eq!(permits(&origins, now).len(), 4);
    assert_eq!(origins.next_opening(now), None);
}

#[test]
fn what_was_in_flight_when_it_opened_does_not_open_it_further() {
    let origins = OriginLimiter::default();
    attempts(&origins, at(0), 1);
    let taken = permits(&origins, at(0));
    let opened: Vec<_> = taken.iter().filter_map(|permit| permit.judge(&failed(None), at(20))).collect();
    assert_eq!(opened.len(), 1);
    drop(taken);
    let two_more = attempts(&origins, at(20), 2);
    assert_eq!(two_more, [50, 110]);
}

#[test]
fn retry_after_holds_for_the_whole_origin_and_is_not_undone_by_another_answer() {
    let origins = OriginLimiter::default();
    let taken = permits(&origins, at(0));
    taken[0].judge(&failed(Some(600)), at(0));
    taken[1].judge(&AttemptResult::Accepted { code: 200 }, at(1));
    drop(taken);
    assert!(permits(&origins, at(599)).is_empty());
    assert_eq!(origins.next_opening(at(1)), Some(at(600)));
    assert_eq!(permits(&origins, at(600)).len(), 4);
}

#[test]
fn open_breakers_are_remembered_and_the_number_of_other_origins_is_bounded() {
    let origins = OriginLimiter::default();
    attempts(&origins, at(0), 5);
    for number in 0..2 * ORIGINS_REMEMBERED {
        let permit = origins.admit(of_file(&format!("https://{number}.example")), at(1)).unwrap();
        permit.judge(&failed(None), at(1));
    }
    assert!(origins.remembered() <= ORIGINS_REMEMBERED);
    assert!(permits(&origins, at(1)).is_empty(), "its breaker is still open");
}

#[test]
fn a_receiver_that_refuses_is_well() {
    let origins = OriginLimiter::default();
    for code in [404, 302, 401, 422, 400, 403] {
        let permit = origins.admit(of_file("https://a.example"), at(0)).unwrap();
        let detail = String::new();
        let no = AttemptResult::Refused { code: Some(code), detail, retry_after: None, pace: Pace::Slow };
        assert_eq!(permit.judge(&no, at(0)), None);
    }
    assert_eq!(permits(&origins, at(0)).len(), 4);
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
        let sql = "INSERT INTO deliveries (delivery_id, run_id, url, body, status, due_at, created_at) \
                   VALUES (?1, ?2, ?3, CAST('{}' AS BLOB), 'pending', ?4, 0)";
        connection.execute(sql, (delivery_id.to_string(), run_id.to_string(), url, due_at)).unwrap();
    }
    connection.execute_batch("COMMIT").unwrap();
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
    let working = run(courier, stop.clone());
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
    assert_eq!((beside.accepted.len(), beside.most_hanging), (200, 4));
    let (before, now) = (p99(&alone), p99(&beside));
    eprintln!("p99: {before} ms alone, {now} ms beside an origin that hangs");
    assert!(before > 0 && now * 10 <= before * 11, "p99: {before} ms alone, {now} ms beside it");
    // Two rounds of four, in which the fifth failure opened the breaker, and three probes in ten minutes.
    assert!((8..=12).contains(&refused), "{refused} attempts at the origin that hangs");
}
