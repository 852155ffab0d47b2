//! All crons are paused and resumed while no daemon lives, and one cron is paused until a time, which may come while a daemon
//! lives or while none does. I16: nothing of the calendar is started for an instant inside a pause, each such instant has a
//! record that says so, and none outside is left out. Nothing is sent while all crons are paused.

use std::collections::BTreeMap;

use agentcron::domain::act::Actor;
use agentcron::domain::ids::InstallationId;
use agentcron::store::{CronStateChange, PauseOfAllChange, Store, change_pause_of_all_alone};
use jiff::SignedDuration;
use rusqlite::Connection;

use super::*;

const SEEDS: u64 = 12;
const START: &str = "2026-03-02T08:00:03Z";
const LAST: &str = "2026-03-02T08:09:50Z";

const CRONS: &str = r#"
[defaults]
assistant_id = "agent"
end_time = "2026-03-02T08:10:00Z"
overlap = "allow"
catchup = "all"
start_deadline = "1h"
input = { messages = [{ role = "user", content = "sleep 3" }] }
[cron.free]
schedule = "* * * * * */10"
webhook = "http://receiver.example/free"

[cron.paused]
schedule = "* * * * * */10"
webhook = "http://receiver.example/paused"
"#;

/// Instants after the first and before the second are inside.
type Span = (Timestamp, Timestamp);

/// The pauses of a scenario.
#[derive(Default)]
struct Pauses {
    of_all: Vec<Span>,
    own: Vec<Span>,
}

impl Pauses {
    /// Begins or ends a pause, or gives the one in force another end, as somebody does at the command line.
    fn change_all(&mut self, scenario: &Scenario<'_>) {
        let (now, random) = (scenario.clock.now(), &scenario.random);
        let lasting = self.of_all.last_mut().filter(|(_, until)| *until > now);
        let until =
            random.percent(50).then(|| now + SignedDuration::from_millis(1 + random.below(120_000) as i64));
        let change = match (&lasting, random.percent(60)) {
            (Some(_), true) => PauseOfAllChange::Resume,
            (Some(_) | None, _) => PauseOfAllChange::Pause { note: None, until },
        };
        let end = match change {
            PauseOfAllChange::Resume => now,
            PauseOfAllChange::Pause { .. } => until.unwrap_or(Timestamp::MAX),
        };
        match lasting {
            Some((_, until)) => *until = end,
            None => self.of_all.push((now, end)),
        }
        let path = scenario.folder.join("agentcron.db");
        change_pause_of_all_alone(&path.as_path().into(), now, &Actor::uid(None), &change).unwrap();
    }

    /// Pauses the cron `paused` until a time.
    async fn pause_one(&mut self, scenario: &Scenario<'_>) {
        let now = scenario.clock.now();
        let until = now + SignedDuration::from_millis(1 + scenario.random.below(120_000) as i64);
        let (path, clock) = (scenario.folder.join("agentcron.db"), scenario.clock.clone());
        let store = Store::open(&path, Execution::Inline, InstallationId::default(), clock).unwrap();
        let pause = CronStateChange::Pause { note: None, until: Some(until) };
        store.change_cron_state(now, Actor::uid(None), "paused".to_owned(), pause).await.unwrap().unwrap();
        match self.own.last_mut().filter(|(_, until)| *until > now) {
            Some((_, last)) => *last = until,
            None => self.own.push((now, until)),
        }
    }

    fn covers(spans: &[Span], at: Timestamp) -> bool {
        spans.iter().any(|(since, until)| *since < at && at < *until)
    }

    /// Whether an occurrence of this instant must not be started.
    fn cover(&self, cron: &str, at: Timestamp) -> bool {
        Self::covers(&self.of_all, at) || (cron == "paused" && Self::covers(&self.own, at))
    }

    /// Whether an occurrence before a pause was skipped by it because it was found, or waited, only then.
    fn reach(&self, cron: &str, at: Timestamp, recorded_at: Timestamp) -> bool {
        let own = if cron == "paused" { self.own.as_slice() } else { &[] };
        let mut spans = self.of_all.iter().chain(own);
        spans.any(|(since, until)| at <= *since && *since <= recorded_at && recorded_at < *until)
    }
}

/// A record of the history.
struct Record {
    cron: String,
    first: Timestamp,
    last: Timestamp,
    status: String,
    code: String,
    recorded_at: Timestamp,
    /// When its latest start was sent.
    sent_at: Option<Timestamp>,
}

#[test]
fn nothing_starts_for_an_instant_inside_a_pause_and_nothing_outside_is_lost() {
    let mut counts = BTreeMap::new();
    let all = 1..=variable("SIMULATION_PAUSES").unwrap_or(SEEDS);
    for seed in variable("SIMULATION_SEED").map_or(all, |seed| seed..=seed) {
        eprintln!("SEED={seed}");
        for (what, count) in run_seed(seed) {
            *counts.entry(what).or_insert(0) += count;
        }
    }
    eprintln!("{counts:?}");
    for what in ["inside", "outside", "reached", "ends by itself"] {
        assert!(counts.contains_key(what), "{what} did not happen: {counts:?}");
    }
}

fn run_seed(seed: u64) -> BTreeMap<&'static str, u64> {
    runtime().block_on(async {
        let random = Random::of_seed(seed);
        let folder = folder();
        let network = Network::new(random.clone(), 0);
        let scenario = Scenario::new(random.clone(), folder.path(), CRONS, START.parse().unwrap(), network);
        let mut pauses = Pauses::default();
        for _ in 0..6 {
            let crashed = CancellationToken::new();
            simulate_crash_after(1 + random.below(120), crashed.clone());
            tokio::select! {
                biased;
                () = crashed.cancelled() => {}
                () = tokio::time::sleep(random.wait(Duration::from_secs(150))) => {}
                result = scenario.daemon(CancellationToken::new()) => panic!("the daemon ended: {result:?}"),
            }
            for _ in 0..2 {
                // What its tasks were doing ends here.
                tokio::time::sleep(Duration::from_millis(1)).await;
                tokio::time::sleep(random.wait(Duration::from_secs(20))).await;
                match random.percent(70) {
                    true => pauses.change_all(&scenario),
                    false => pauses.pause_one(&scenario).await,
                }
            }
        }
        scenario.live_in_calm().await;
        judge(&scenario, &pauses)
    })
}

fn judge(scenario: &Scenario<'_>, pauses: &Pauses) -> BTreeMap<&'static str, u64> {
    let database = Connection::open(scenario.folder.join("agentcron.db")).unwrap();
    let records = records(&database);
    let mut counts = BTreeMap::new();
    for cron in ["free", "paused"] {
        let mut at: Timestamp = "2026-03-02T08:00:10Z".parse().unwrap();
        let last = LAST.parse().unwrap();
        while at <= last {
            let covering = |record: &&Record| record.cron == cron && record.first <= at && at <= record.last;
            let of_instant: Vec<&Record> = records.iter().filter(covering).collect();
            let what = format!("{cron} at {at}, {:?} and {:?}", pauses.of_all, pauses.own);
            let [record] = of_instant.as_slice() else { panic!("{what}: {} records", of_instant.len()) };
            let is_skipped = (record.status.as_str(), record.code.as_str()) == ("skipped", "paused");
            let is_inside = pauses.cover(cron, at);
            let is_reached = pauses.reach(cron, at, record.recorded_at);
            let happened = match (is_inside, is_skipped) {
                (true, true) => "inside",
                (false, true) if is_reached => "reached",
                (false, false) if record.status == "success" => "outside",
                _ => panic!("{what}: {} {}, recorded at {}", record.status, record.code, record.recorded_at),
            };
            *counts.entry(happened).or_insert(0) += 1;
            at += SignedDuration::from_secs(10);
        }
    }
    let started = records.iter().filter_map(|record| record.sent_at);
    let wrong = started.filter(|at| Pauses::covers(&pauses.of_all, *at)).collect::<Vec<_>>();
    assert!(wrong.is_empty(), "sent at {wrong:?} while all were paused: {:?}", pauses.of_all);
    let by_itself = "SELECT count(*) FROM acts WHERE actor_kind = 'agentcron'";
    let ended: i64 = database.query_row(by_itself, [], |row| row.get(0)).unwrap();
    if ended > 0 {
        counts.insert("ends by itself", ended.unsigned_abs());
    }
    let left = "SELECT (SELECT count(*) FROM crons WHERE paused_until < ?1 AND pause_ended = 0) \
                + (SELECT count(*) FROM pauses_of_all WHERE until < ?1 AND ended IS NULL)";
    let now = scenario.clock.now().as_millisecond();
    assert_eq!(database.query_row(left, [now], |row| row.get::<_, i64>(0)), Ok(0), "an end is not on record");
    counts
}

fn records(database: &Connection) -> Vec<Record> {
    let sql = "SELECT cron_name, scheduled_for, coalesce(last_scheduled_for, scheduled_for), status, \
               coalesce(reason_code, ''), ended_at, sent_at FROM runs";
    let mut statement = database.prepare(sql).unwrap();
    let at = |millis: i64| Timestamp::from_millisecond(millis).unwrap();
    let records = statement.query_map([], |row| {
        Ok(Record {
            cron: row.get(0)?,
            first: at(row.get(1)?),
            last: at(row.get(2)?),
            status: row.get(3)?,
            code: row.get(4)?,
            recorded_at: at(row.get(5)?),
            sent_at: row.get::<_, Option<i64>>(6)?.map(at),
        })
    });
    records.unwrap().map(Result::unwrap).collect()
}
