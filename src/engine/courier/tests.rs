//! Origins that hang, fail and ask for patience, in simulated time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use super::origins::{Origins, Place};
use super::*;
use crate::config::{self, Environment};
use crate::domain::delivery::{AttemptResult, Pace};
use crate::store::Execution;
use crate::transport::{BodyStream, Transport};
use crate::webhook::Origin;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn failed(retry_after: Option<u64>) -> AttemptResult {
    let retry_after = retry_after.map(Duration::from_secs);
    AttemptResult::Refused { code: Some(503), detail: "busy".to_owned(), retry_after, pace: Pace::Usual }
}

fn places(origins: &Origins, now: Timestamp) -> Vec<Place> {
    std::iter::from_fn(|| origins.admit(Origin::new("https://a.example"), now)).collect()
}

/// One attempt after the other, as soon as each is allowed: when they were made.
fn attempts(origins: &Origins, mut now: Timestamp, count: usize) -> Vec<i64> {
    let mut made = Vec::new();
    while made.len() < count {
        match origins.admit(Origin::new("https://a.example"), now) {
            Some(place) => {
                made.push(now.as_second());
                place.judge(&failed(None), now);
            }
            None => now = origins.next_opening(now).unwrap(),
        }
    }
    made
}

#[test]
fn an_origin_has_four_places_and_another_one_its_own() {
    let origins = Origins::default();
    let taken = places(&origins, at(0));
    assert_eq!(taken.len(), 4);
    assert!(origins.admit(Origin::new("https://b.example"), at(0)).is_some());
    drop(taken);
    assert_eq!(places(&origins, at(0)).len(), 4);
}

#[test]
fn the_breaker_opens_after_five_failures_and_its_probes_grow_rare() {
    let origins = Origins::default();
    let made = attempts(&origins, at(0), 12);
    assert_eq!(made, [0, 0, 0, 0, 0, 30, 90, 210, 450, 930, 1830, 2730]);
    // One good answer closes it.
    let now = origins.next_opening(at(2730)).unwrap();
    let probe = places(&origins, now);
    assert_eq!(probe.len(), 1);
    assert_eq!(probe[0].judge(&AttemptResult::Accepted { code: 200 }, now), None);
    drop(probe);
    assert_eq!(places(&origins, now).len(), 4);
    assert_eq!(origins.next_opening(now), None);
}

#[test]
fn what_was_in_flight_when_it_opened_does_not_open_it_further() {
    let origins = Origins::default();
    attempts(&origins, at(0), 1);
    let taken = places(&origins, at(0));
    let opened: Vec<_> = taken.iter().filter_map(|place| place.judge(&failed(None), at(20))).collect();
    assert_eq!(opened.len(), 1);
    drop(taken);
    let two_more = attempts(&origins, at(20), 2);
    assert_eq!(two_more, [50, 110]);
}

#[test]
fn patience_holds_for_the_whole_origin_and_is_not_undone_by_another_answer() {
    let origins = Origins::default();
    let taken = places(&origins, at(0));
    taken[0].judge(&failed(Some(600)), at(0));
    taken[1].judge(&AttemptResult::Accepted { code: 200 }, at(1));
    drop(taken);
    assert!(places(&origins, at(599)).is_empty());
    assert_eq!(origins.next_opening(at(1)), Some(at(600)));
    assert_eq!(places(&origins, at(600)).len(), 4);
}

#[test]
fn a_receiver_that_says_no_is_well() {
    let origins = Origins::default();
    for code in [404, 302, 401, 422, 400, 403] {
        let place = origins.admit(Origin::new("https://a.example"), at(0)).unwrap();
        let detail = String::new();
        let no = AttemptResult::Refused { code: Some(code), detail, retry_after: None, pace: Pace::Slow };
        assert_eq!(place.judge(&no, at(0)), None);
    }
    assert_eq!(places(&origins, at(0)).len(), 4);
}

/// What the receivers saw.
#[derive(Default)]
struct Seen {
    hanging: usize,
    most_hanging: usize,
    delivered: Vec<Timestamp>,
}

impl Seen {
    fn one_more_hangs(&mut self) {
        self.hanging += 1;
        self.most_hanging = self.most_hanging.max(self.hanging);
    }
}

/// A store with one run and so many deliveries to each of two origins, all of them due.
async fn store_with_deliveries(folder: &tempfile::TempDir, of_each: usize) -> Store {
    let path = folder.path().join("agentcron.db");
    let store = Store::open(&path, Execution::Inline).unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    let run_id = uuid::Uuid::nil();
    connection
        .execute_batch(&format!(
            "PRAGMA foreign_keys = OFF; INSERT INTO runs (run_id, cron_id, cron_name, definition_id, trigger, \
             scheduled_for, due_at, start_before, exclusive, phase, attempt, status, ended_at) \
             VALUES ('{run_id}', 'c', 'c', 'd', 'schedule', 0, 0, 0, 0, 'ended', 1, 'success', 0);"
        ))
        .unwrap();
    // The hanging ones are due first.
    for (due_at, host) in [(1, "hangs"), (2, "works")] {
        for number in 0..of_each {
            let url = format!("http://{host}.example/{number}");
            let delivery_id = crate::domain::ids::DeliveryId::of_run(crate::domain::ids::RunId(run_id), &url);
            let sql = "INSERT INTO deliveries (delivery_id, run_id, url, body, status, due_at, created_at) \
                       VALUES (?1, ?2, ?3, CAST('{}' AS BLOB), 'pending', ?4, 0)";
            let row = (delivery_id.to_string(), run_id.to_string(), url, due_at);
            connection.execute(sql, row).unwrap();
        }
    }
    store
}

fn receivers(seen: &Arc<Mutex<Seen>>, clock: &Clock) -> Transport {
    let (seen, clock) = (Arc::clone(seen), clock.clone());
    Transport::function(move |request: Request<Bytes>| {
        let (seen, clock) = (Arc::clone(&seen), clock.clone());
        Box::pin(async move {
            if request.uri().host() == Some("hangs.example") {
                seen.lock().unwrap().one_more_hangs();
                tokio::time::sleep(Duration::from_secs(19)).await;
                seen.lock().unwrap().hanging -= 1;
                return Ok(Response::builder().status(503).body(empty()).unwrap());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            seen.lock().unwrap().delivered.push(clock.now());
            Ok(Response::new(empty()))
        })
    })
}

fn empty() -> BodyStream {
    Box::pin(futures_util::stream::empty())
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_hangs_delays_no_other_and_its_open_breaker_costs_no_attempts() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with_deliveries(&folder, 200).await;
    let clock = Clock::simulated(at(60));
    let seen = Arc::<Mutex<Seen>>::default();
    let file = folder.path().join("agentcron.toml");
    std::fs::write(&file, "").unwrap();
    let environment = Environment::of_map([]);
    let webhooks = config::load(&file, &environment).unwrap().webhooks;
    let courier = Courier {
        store,
        sender: Sender::new(receivers(&seen, &clock), environment, clock.clone(), webhooks),
        clock: clock.clone(),
        wakes: Wakes::default(),
        disable_webhooks: false,
        origins: Origins::default(),
    };
    let stop = CancellationToken::new();
    let working = run(courier, stop.clone());
    let looking = async {
        tokio::time::sleep(Duration::from_secs(600)).await;
        stop.cancel();
    };
    tokio::join!(async { working.await.unwrap() }, looking);
    let seen = seen.lock().unwrap();
    assert_eq!((seen.delivered.len(), seen.most_hanging), (200, 4));
    // 200 deliveries, four at a time, 10 ms each.
    let took = seen.delivered.iter().max().unwrap().duration_since(at(60));
    assert!(took.as_millis() < 1000, "{took}");
    let connection = rusqlite::Connection::open(folder.path().join("agentcron.db")).unwrap();
    let attempts: u32 =
        connection.query_row("SELECT count(*) FROM attempts WHERE code = 503", [], |r| r.get(0)).unwrap();
    // Twice four, of which the fifth opened it, and three probes in ten minutes.
    assert!((8..=12).contains(&attempts), "{attempts} attempts at the origin that hangs");
}
