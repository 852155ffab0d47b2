//! Three daemons share one store, and slow receivers get more webhooks than they may have at once. One of the daemons is killed,
//! one is stopped and one comes: but for the seconds around these changes and the start, each receiver hears of one daemon only, and never of
//! more webhooks at once than one daemon may send. All of them arrive.

use std::collections::BTreeSet;

use agentcron::domain::bounds::ATTEMPTS_PER_URL;
use rusqlite::Connection;

use super::*;

const START: &str = "2026-03-02T08:00:00Z";
const ORIGINS: usize = 6;
/// As long as a receiver takes to answer. More becomes due meanwhile than it may have at once.
const ANSWER: Duration = Duration::from_secs(6);
/// After these seconds the second daemon is killed, the third one is stopped, and a fourth one comes.
const KILLED: u64 = 60;
const STOPPED: u64 = 150;
const COMES: u64 = 200;
/// How long after a change two may send to the same receiver: the rest of a lease, a beat, and an answer.
const UNSETTLED: Duration = Duration::from_secs(10 + 2 + 6 + 1);

/// Who sent what when.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<Vec<Attempt>>>);

struct Attempt {
    origin: String,
    daemon: usize,
    began: tokio::time::Instant,
    ended: Option<tokio::time::Instant>,
}

impl Sent {
    fn begin(&self, origin: &str, daemon: usize) -> Ends {
        let mut sent = self.0.lock().unwrap();
        let began = tokio::time::Instant::now();
        sent.push(Attempt { origin: origin.to_owned(), daemon, began, ended: None });
        Ends(self.clone(), sent.len() - 1)
    }

    /// Returns the attempts that lasted at this instant.
    fn at(&self, at: tokio::time::Instant, origin: &str) -> Vec<usize> {
        let sent = self.0.lock().unwrap();
        let lasts = |one: &&Attempt| {
            one.origin == origin && one.began <= at && one.ended.is_none_or(|ended| ended > at)
        };
        sent.iter().filter(lasts).map(|one| one.daemon).collect()
    }
}

/// Ends an attempt when it is dropped, as it is with its daemon.
struct Ends(Sent, usize);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.0.lock().unwrap()[self.1].ended = Some(tokio::time::Instant::now());
    }
}

fn crons() -> String {
    (0..ORIGINS)
        .map(|origin| {
            format!(
                "[cron.c{origin}]\nschedule = \"* * * * * *\"\nend_time = \"2026-03-02T08:04:00Z\"\nassistant_id = \"agent\"\n\
                 overlap = \"allow\"\ncatchup = \"all\"\nwebhook = \"http://r{origin}.example/\"\n\
                 input = {{ messages = [{{ role = \"user\", content = \"hi\" }}] }}\n"
            )
        })
        .collect()
}

#[test]
fn each_receiver_belongs_to_one_daemon_and_its_limits_hold_for_all() {
    runtime().block_on(async {
        let (random, folder, start) = (Random::of_seed(1), folder(), START.parse::<Timestamp>().unwrap());
        let crons: &'static str = crons().leak();
        let network = Network::new(random.clone(), 0);
        network.calm_down();
        let scenario = Scenario::new(random, folder.path(), crons, start, network);
        let (sent, began) = (Sent::default(), tokio::time::Instant::now());
        let second = |second: u64| tokio::time::sleep_until(began + Duration::from_secs(second));
        let stop = CancellationToken::new();
        let killed = async {
            tokio::select! {
                ended = daemon(&scenario, &sent, 1, CancellationToken::new()) => panic!("it ended: {ended:?}"),
                () = second(KILLED) => {}
            }
        };
        let stopped = async {
            let stopping = async {
                second(STOPPED).await;
                stop.cancel();
            };
            let (ended, ()) = tokio::join!(daemon(&scenario, &sent, 2, stop.clone()), stopping);
            ended.unwrap();
        };
        let comes = async {
            second(COMES).await;
            daemon(&scenario, &sent, 3, CancellationToken::new()).await.unwrap();
        };
        let all = async {
            tokio::join!(daemon(&scenario, &sent, 0, CancellationToken::new()), killed, stopped, comes)
        };
        let end = async {
            second(300).await;
            while !oracle::has_ended(folder.path()) {
                tokio::time::sleep(CHECK_EVERY).await;
                assert!(began.elapsed() < CALM_MOST, "some webhooks wait for ever");
            }
        };
        tokio::select! {
            _ = all => unreachable!("two daemons live for ever"),
            () = end => {}
        }
        judge(&sent, began);
        let store = Connection::open(folder.path().join("agentcron.db")).unwrap();
        let count = |status: &str| -> i64 {
            let sql = format!("SELECT count(*) FROM deliveries WHERE status {status} 'delivered'");
            store.query_row(&sql, [], |row| row.get(0)).unwrap()
        };
        // The first second is over when the first daemon comes.
        let fired = i64::try_from(ORIGINS).unwrap() * (4 * 60 - 1);
        assert_eq!((count("="), count("<>")), (fired, 0));
    });
}

/// Looks at every half second of the first minutes, and of the long time that the backlog takes.
fn judge(sent: &Sent, began: tokio::time::Instant) {
    let (mut owners, mut most) = (BTreeSet::new(), 0);
    for half in 0..2000 {
        let at = began + Duration::from_millis(500 * half);
        let changes = [0, KILLED, STOPPED, COMES].map(|second| began + Duration::from_secs(second));
        let is_settled = !changes.iter().any(|change| (*change..*change + UNSETTLED).contains(&at));
        for origin in 0..ORIGINS {
            let senders = sent.at(at, &format!("r{origin}.example"));
            let different: BTreeSet<usize> = senders.iter().copied().collect();
            most = most.max(senders.len());
            owners.extend(different.iter().copied());
            let after = at - began;
            assert!(!is_settled || different.len() <= 1, "r{origin} hears of {senders:?} after {after:?}");
            assert!(
                !is_settled || senders.len() <= ATTEMPTS_PER_URL,
                "r{origin}: {senders:?} after {after:?}"
            );
        }
    }
    eprintln!("{most} at once at most, by {owners:?}");
    assert!(most >= ATTEMPTS_PER_URL, "no receiver had as many as it may have");
    assert_eq!(owners, BTreeSet::from([0, 1, 2, 3]), "somebody had no receiver");
}

async fn daemon(
    scenario: &Scenario<'_>,
    sent: &Sent,
    number: usize,
    stop: CancellationToken,
) -> Result<(), daemon::DaemonError> {
    // They do not begin at the same instant.
    tokio::time::sleep(Duration::from_millis(300 * number as u64)).await;
    let (sent, answering) = (sent.clone(), scenario.network.to(recording(&scenario.arrived)));
    let receivers = Transport::function(move |request| {
        let lasts = sent.begin(request.uri().host().unwrap_or_default(), number);
        let answering = answering.clone();
        Box::pin(async move {
            tokio::time::sleep(ANSWER).await;
            let answer = answering.send(request).await;
            drop(lasts);
            answer
        })
    });
    let world = World { sharing: Sharing::Shared, receivers, ..scenario.world() };
    daemon::serve(world, || {}, stop).await
}
