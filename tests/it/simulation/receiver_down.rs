//! A receiver is down for an hour while hundreds of runs end: once it is up, it is notified of all of them,
//! of each once.

use agentcron::transport::TransportError;
use jiff::ToSpan;
use rusqlite::Connection;

use super::*;

const START: &str = "2026-03-02T08:00:00Z";

const CRONS: &str = r#"
[cron.brief]
schedule = "* * * * * */10"
end_time = "2026-03-02T09:00:00Z"
assistant_id = "agent"
overlap = "allow"
input = { messages = [{ role = "user", content = "hi" }] }
webhook = "http://receiver.example/brief"
"#;

#[test]
fn a_receiver_that_was_down_for_an_hour_is_notified_of_everything_once() {
    runtime().block_on(async {
        let start: Timestamp = START.parse().unwrap();
        let up_at = start + 1.hour();
        let (random, folder) = (Random::of_seed(1), folder());
        let mut scenario =
            Scenario::new(random.clone(), folder.path(), CRONS, start, Network::new(random, 0));
        let (clock, answering) = (scenario.clock.clone(), scenario.network.to(recording(&scenario.arrived)));
        let attempts_in_vain = Arc::new(Mutex::new(0));
        let refused = Arc::clone(&attempts_in_vain);
        scenario.receivers = Transport::function(move |request| {
            if clock.now() < up_at {
                *refused.lock().unwrap() += 1;
                return Box::pin(async { Err(TransportError::NotSent("connection refused".to_owned())) });
            }
            let answering = answering.clone();
            Box::pin(async move { answering.send(request).await })
        });
        scenario.live_in_calm().await;
        let database = Connection::open(folder.path().join("agentcron.db")).unwrap();
        let tally = oracle::judge_runs(&scenario, &database, &oracle::rows(&database));
        assert_eq!((tally.delivered, tally.delivered_again), (359, 0));
        let accepted = "SELECT count(*) FROM attempts WHERE code = 200";
        assert_eq!(database.query_row(accepted, [], |row| row.get(0)), Ok(359));
        // Its circuit breaker is open, so that it does not get an attempt for each run; a probe comes every
        // 15 min at most.
        let in_vain = *attempts_in_vain.lock().unwrap();
        assert!((5..60).contains(&in_vain), "{in_vain} attempts while it was down");
        let last = "SELECT max(ended_at) FROM deliveries";
        let last: i64 = database.query_row(last, [], |row| row.get(0)).unwrap();
        let waited = Timestamp::from_millisecond(last).unwrap() - up_at;
        eprintln!("{in_vain} attempts in vain; all notified {waited:#} after it was up");
        assert!(last <= (up_at + 40.minutes()).as_millisecond(), "{waited:#}");
    });
}
