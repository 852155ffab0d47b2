//! Webhooks that are released at a rate or held while a connection is being made, and attempts that panic.

use std::net::{IpAddr, Ipv4Addr};

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::domain::act::Actor;
use crate::domain::delivery::Turn;
use crate::domain::url_policy::UrlPolicy;
use crate::store::Reader;
use crate::transport::Dialer;

/// Returns the deliveries to this host as the store has them: `status attempts reason_code reason`.
fn rows(folder: &tempfile::TempDir, host: &str) -> Vec<String> {
    let connection = rusqlite::Connection::open(folder.path().join("agentcron.db")).unwrap();
    let sql = "SELECT status || ' ' || attempts || ' ' || coalesce(reason_code, '') || ' ' || coalesce(reason, '') \
               FROM deliveries WHERE url LIKE '%' || ?1 || '%' ORDER BY url";
    let mut statement = connection.prepare(sql).unwrap();
    statement.query_map([host], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Runs the courier until `looking` is done.
async fn work(courier: Courier, looking: impl Future<Output = ()>) {
    let stop = CancellationToken::new();
    let working = run(courier, Pulse::new("courier"), stop.clone());
    let looking = async {
        looking.await;
        stop.cancel();
    };
    tokio::join!(async { working.await.unwrap() }, looking);
}

#[tokio::test(start_paused = true)]
async fn held_webhooks_are_released_evenly_at_their_rate_and_then_sent_freely() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with_deliveries(&folder, works().take(50).map(|(url, _)| (url, 1)));
    store.hold_webhooks(at(60), Actor::AGENTCRON, None).await.unwrap();
    let clock = Clock::simulated(at(100));
    let log = Arc::<Mutex<ReceiverLog>>::default();
    let courier = courier(&folder, &store, &clock, receivers(&log, &clock));
    let wakes = courier.wakes.clone();
    work(courier, async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(log.lock().unwrap().accepted.len(), 0, "held");
        store.release_webhooks(clock.now(), Actor::AGENTCRON, Some(10)).await.unwrap();
        wakes.courier.notify_one();
        tokio::time::sleep(Duration::from_secs(10)).await;
    })
    .await;
    let mut delivered: Vec<Timestamp> = log.lock().unwrap().accepted.values().copied().collect();
    delivered.sort_unstable();
    assert_eq!(delivered.len(), 50);
    for (index, first) in delivered.iter().enumerate() {
        let within = delivered[index..].iter().filter(|at| at.duration_since(*first).as_millis() < 1000);
        assert!(within.count() <= 11, "{delivered:?}");
    }
    let took = delivered[49].duration_since(delivered[0]).as_millis();
    assert!((4800..=5200).contains(&took), "{took} ms for 50 at 10 a second");
    let mode = Reader::open(&folder.path().join("agentcron.db")).unwrap().webhook_queue().unwrap();
    assert_eq!(mode.mode, DeliveryMode::Free, "it has ended by itself");
}

#[tokio::test(start_paused = true)]
async fn a_hold_withdraws_attempts_that_are_still_connecting() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with_deliveries(&folder, works().take(1));
    let clock = Clock::simulated(at(60));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let wakes = Wakes::default();
    let (holder, waker, now) = (store.clone(), wakes.clone(), clock.clone());
    let dial = move |_| {
        let (store, wakes, clock) = (holder.clone(), waker.clone(), now.clone());
        async move {
            store.hold_webhooks(clock.now(), Actor::AGENTCRON, None).await.unwrap();
            wakes.courier.notify_one();
            // Simulated: over as soon as the courier has seen it. Sockets want real time.
            tokio::time::sleep(Duration::from_secs(1)).await;
            tokio::time::resume();
            TcpStream::connect(address).await
        }
    };
    let dialer = Dialer::new(async |_| Ok(vec![IpAddr::from([93, 184, 215, 14])]), dial);
    let receivers = Transport::to_receivers(None, dialer, UrlPolicy::nothing()).unwrap();
    let courier = Courier { wakes, ..courier(&folder, &store, &clock, receivers) };
    let mut got = Vec::new();
    work(courier, async {
        let (mut line, _) = listener.accept().await.unwrap();
        line.read_to_end(&mut got).await.unwrap();
    })
    .await;
    assert_eq!(String::from_utf8_lossy(&got), "", "nothing was written");
    let rows = rows(&folder, "works");
    assert!(rows[0].starts_with("pending 1 withdrawn not sent: webhooks were held"), "{rows:?}");
    // It has cost no step of the retry schedule.
    store.release_webhooks(clock.now(), Actor::AGENTCRON, None).await.unwrap();
    let admit = |_: Claimable<'_>| Admission::Admitted(());
    let claim =
        store.claim_deliveries(clock.now(), 2, RateLimit::default(), Vec::new(), admit).await.unwrap();
    let turns: Vec<_> = claim.deliveries.iter().map(|(taken, ())| (taken.attempt, taken.turn())).collect();
    assert_eq!(turns, [(2, Turn::Step(1))]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_panics_is_recorded_and_its_delivery_waits_for_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with_deliveries(&folder, hangs().take(1).chain(works().take(1)));
    let clock = Clock::simulated(at(60));
    let receivers = Transport::function(|request: Request<Bytes>| {
        Box::pin(async move {
            assert_ne!(request.uri().host(), Some("hangs.example"), "a bug that this test has planted");
            Ok(Response::new(empty()))
        })
    });
    let courier = courier(&folder, &store, &clock, receivers);
    work(courier, tokio::time::sleep(Duration::from_secs(2))).await;
    assert!(rows(&folder, "hangs")[0].starts_with("pending 1 attempt_failed a bug in agentcron"));
    assert_eq!(rows(&folder, "works"), ["delivered 1  "]);
}
