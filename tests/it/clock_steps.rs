//! The wall clock is set while the real loops run: back by seconds, minutes and hours, and forward. Time is
//! tokio's paused time, which advances only while everything waits; only the wall clock is set.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agentcron::backend::embedded::{EmbeddedServer, LedgerEntry};
use agentcron::clock::Clock;
use agentcron::config::{self, Environment};
use agentcron::daemon::{self, World};
use agentcron::store::{Execution, Reader, Sharing};
use agentcron::transport::Transport;
use axum::Router;
use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp, Unit};
use rusqlite::Connection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const CRONS: &str = r#"
[cron.minutely]
schedule = "* * * * *"
assistant_id = "agent"
overlap = "allow"
catchup = "all"

[cron.latest]
schedule = "*/10 * * * *"
assistant_id = "agent"
"#;

/// Half past the minute, so that no step coincides with an occurrence.
const START: &str = "2026-03-02T08:00:30Z";

/// Crons beside those, for what waits while the clock is set: a webhook that fails, and a run with a timeout.
const WAITING: &str = r#"
[cron.fails]
schedule = "1 8 2 3 *"
assistant_id = "agent"
webhook = "http://receiver.example/fails"

[cron.slow]
schedule = "5 8 2 3 *"
assistant_id = "agent"
input = { messages = [{ role = "user", content = "sleep 100000" }] }
timeout = "20m"
"#;

struct Scenario {
    folder: tempfile::TempDir,
    clock: Clock,
    server: EmbeddedServer,
    crons: String,
    began: Instant,
    /// When a webhook arrived, by the clock that is not set. Each is refused.
    attempts: Arc<Mutex<Vec<Duration>>>,
}

impl Scenario {
    /// Runs a daemon through steps of the clock, and for `minutes_after` minutes after the last of them. Each
    /// step comes with the number of minutes to wait before it.
    fn run(steps: &[(u64, SignedDuration)], minutes_after: u64) -> Self {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let scenario = Self::new(CRONS.to_owned());
            let events = async {
                for (minutes, step) in steps {
                    tokio::time::sleep(Duration::from_secs(60 * minutes)).await;
                    scenario.clock.step(*step);
                    // The daemon must notice the step within a second.
                    tokio::time::sleep(Duration::from_millis(1100)).await;
                    assert_eq!(scenario.noticed(), Some(as_notice(*step)), "{step}");
                    tokio::time::sleep(Duration::from_millis(58_900)).await;
                }
                tokio::time::sleep(Duration::from_secs(60 * minutes_after)).await;
            };
            scenario.live(events).await;
            scenario
        })
    }

    fn new(crons: String) -> Self {
        let clock = Clock::simulated(START.parse().unwrap());
        let server = {
            let clock = clock.clone();
            EmbeddedServer::new(move || clock.now())
        };
        let folder = tempfile::tempdir().unwrap();
        Self { folder, clock, server, crons, began: Instant::now(), attempts: Arc::default() }
    }

    /// Runs a daemon until `events` are over, and stops it.
    async fn live(&self, events: impl Future<Output = ()>) {
        let stop = CancellationToken::new();
        let events = async {
            events.await;
            stop.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = self.daemon(stop.clone()) => ended.unwrap(),
            () = events => {}
        }
    }

    async fn daemon(&self, stop: CancellationToken) -> Result<(), daemon::DaemonError> {
        let file = self.folder.path().join("agentcron.toml");
        let database = self.database();
        let head = format!("[backend]\nurl = \"http://backend.example\"\n[store]\npath = {database:?}\n");
        std::fs::write(&file, head + &self.crons).unwrap();
        let environment = Environment::of_map([]);
        let world = World {
            config: config::load(&file, &environment).unwrap(),
            environment,
            clock: self.clock.clone(),
            backend: Transport::router(self.server.router()),
            receivers: Transport::router(self.receiver()),
            execution: Execution::Inline,
            sharing: Sharing::Alone,
            host: String::new(),
            new_installation: agentcron::domain::ids::InstallationId::default(),
            socket: None,
            listen: None,
            relay: None,
            reload: None,
            manager: None,
            watchdog: None,
        };
        daemon::serve(world, || {}, stop).await
    }

    fn receiver(&self) -> Router {
        let (attempts, began) = (Arc::clone(&self.attempts), self.began);
        Router::new().fallback(async move || {
            attempts.lock().unwrap().push(began.elapsed());
            StatusCode::INTERNAL_SERVER_ERROR
        })
    }

    fn database(&self) -> std::path::PathBuf {
        self.folder.path().join("agentcron.db")
    }

    /// Returns the last step that the daemon noticed.
    fn noticed(&self) -> Option<String> {
        let database = Connection::open(self.database()).unwrap();
        let sql = "SELECT detail FROM notices WHERE kind = 'clock_step'";
        database.query_row(sql, [], |row| row.get(0)).ok()
    }

    /// Returns the instants of a cron that the server was asked to run, in order, and asserts that none was
    /// run twice.
    fn started(&self, cron: &str) -> Vec<Timestamp> {
        let mut instants = BTreeMap::new();
        for entry in self.server.ledger() {
            if entry.metadata["cron_name"] == cron {
                let at: Timestamp = entry.metadata["scheduled_for"].as_str().unwrap().parse().unwrap();
                *instants.entry(at).or_insert(0) += 1;
            }
        }
        let twice: Vec<_> = instants.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "{cron} was fired twice for {twice:?}");
        instants.into_keys().collect()
    }

    /// Returns `HH:MM status xCOUNT` for each record of a cron's occurrences that did not run, the oldest first.
    fn left_out(&self, cron: &str) -> Vec<String> {
        let database = Connection::open(self.database()).unwrap();
        let sql = "SELECT strftime('%H:%M', scheduled_for / 1000, 'unixepoch') || ' ' || status || ' x' \
                   || occurrences FROM runs WHERE cron_name = ?1 AND send_count = 0 ORDER BY scheduled_for";
        let mut statement = database.prepare(sql).unwrap();
        statement.query_map([cron], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }
}

/// Returns the step as the daemon's notice shows it.
fn as_notice(step: SignedDuration) -> String {
    let sign = if step.is_negative() { '-' } else { '+' };
    let (hours, minutes, seconds) =
        (step.abs().as_hours(), step.abs().as_mins() % 60, step.abs().as_secs() % 60);
    match (hours, step.abs().as_mins()) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, _) => format!("{sign}{minutes}m {seconds}s"),
        (_, _) => format!("{sign}{hours}h {minutes}m"),
    }
}

/// When the clock is set back, after a quarter of an hour.
#[derive(Clone, Copy, Debug)]
enum When {
    Never,
    Live,
    WhileDown,
}

/// What `list`, `next`, `status` and `/v1` promise at a moment: the next instant of a cron.
struct Promise {
    cron: String,
    made_at: Timestamp,
    next: Timestamp,
    /// How many runs the server had been asked for by then.
    started: usize,
}

/// What was seen after the clock was set back, for more than an hour.
struct Observed {
    scenario: Rc<Scenario>,
    set_to: Timestamp,
    until: Timestamp,
    promises: Vec<Promise>,
    /// When the run with a timeout was over, by the clock that is not set.
    timed_out: Option<Duration>,
}

impl Observed {
    fn of(when: When, step: SignedDuration) -> Self {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let scenario = Rc::new(Scenario::new(format!("{CRONS}{WAITING}")));
            let now = scenario.clock.now();
            let mut seen = Self { scenario, set_to: now, until: now, promises: Vec::new(), timed_out: None };
            let clock = seen.scenario.clock.clone();
            let quarter = tokio::time::sleep(Duration::from_secs(900));
            let scenario = Rc::clone(&seen.scenario);
            let watch = async {
                seen.set_to = clock.now();
                // A live step is noticed within a second.
                tokio::time::sleep(Duration::from_secs(7)).await;
                for _ in 0..2 * 70 {
                    seen.look();
                    tokio::time::sleep(Duration::from_secs(30)).await;
                }
                seen.until = clock.now();
            };
            match when {
                When::WhileDown => {
                    scenario.live(quarter).await;
                    clock.step(step);
                    scenario.live(watch).await;
                }
                When::Live | When::Never => {
                    let events = async {
                        quarter.await;
                        clock.step(step);
                        watch.await;
                    };
                    scenario.live(events).await;
                }
            }
            seen
        })
    }

    fn look(&mut self) {
        let reader = Reader::open(&self.scenario.database()).unwrap();
        let (now, started) = (self.scenario.clock.now(), self.scenario.server.ledger().len());
        let decided = reader.decided(now).unwrap();
        for row in reader.crons(now).unwrap() {
            let next = decided.next_within(row.cron.as_ref().unwrap(), now);
            let promise = next.map(|next| Promise { cron: row.name.clone(), made_at: now, next, started });
            self.promises.extend(promise);
            let is_over = row.last.is_some_and(|last| last.status_word() == "timeout");
            if row.name == "slow" && is_over && self.timed_out.is_none() {
                self.timed_out = Some(self.scenario.began.elapsed());
            }
        }
    }

    /// Asserts that the first run of each cron after a promise was the promised one, and at its time.
    fn promises_were_kept(&self) {
        let ledger = self.scenario.server.ledger();
        let last = self.until - SignedDuration::from_secs(5);
        for Promise { cron, made_at, next, started } in &self.promises {
            let of_cron = |entry: &&LedgerEntry| entry.metadata["cron_name"] == *cron;
            let first = ledger[*started..].iter().find(of_cron);
            let at =
                |entry: &LedgerEntry| entry.metadata["scheduled_for"].as_str().unwrap().parse::<Timestamp>();
            let first_at = first.map(|entry| at(entry).unwrap());
            if *next <= last {
                let late = first.unwrap().created_at.duration_since(*next);
                assert_eq!(first_at, Some(*next), "{cron}, promised at {made_at}");
                assert!(late < SignedDuration::from_secs(5), "{cron} {late} late, promised at {made_at}");
            } else {
                assert!(
                    first_at.is_none_or(|at| at >= *next),
                    "{cron} at {first_at:?}, promised at {made_at}"
                );
            }
        }
        assert!(self.promises.len() > 3 * 100, "{}", self.promises.len());
    }
}

#[test]
fn a_clock_set_back_by_any_size_fires_nothing_twice_leaves_nothing_out_and_keeps_every_promise() {
    let control = Observed::of(When::Never, SignedDuration::ZERO);
    control.promises_were_kept();
    let attempts_by_control = control.scenario.attempts.lock().unwrap().clone();
    assert!(attempts_by_control.len() > 30, "{attempts_by_control:?}");
    let timed_out_by_control = control.timed_out.unwrap();
    for step in [
        SignedDuration::from_secs(-20),
        SignedDuration::from_mins(-40),
        SignedDuration::from_hours(-3),
        SignedDuration::from_hours(-48),
    ] {
        // What waits is put off by no more than the restart may have hidden.
        for (when, attempt_late, timeout_late) in [(When::Live, 5, 35), (When::WhileDown, 65, 20 * 60)] {
            eprintln!("{step} {when:?}");
            let seen = Observed::of(when, step);
            seen.promises_were_kept();
            let fired = seen.scenario.started("minutely");
            let mut due = seen.set_to.round(Unit::Minute).unwrap();
            while due < seen.until {
                assert!(due <= seen.set_to || fired.contains(&due), "{step} {when:?}: {due} was left out");
                due += SignedDuration::from_mins(1);
            }
            seen.scenario.started("latest");
            assert_eq!(seen.scenario.left_out("minutely"), Vec::<String>::new(), "{step} {when:?}");
            let attempts = seen.scenario.attempts.lock().unwrap().clone();
            // A restart forgets the probes of a receiver that is away. Then the retry schedule counts.
            let by_control: Vec<Duration> = match when {
                When::WhileDown => vec![Duration::from_secs(2393)],
                When::Live | When::Never => attempts_by_control.clone(),
            };
            let attempts: Vec<Duration> = match when {
                When::WhileDown => attempts.into_iter().filter(|at| at.as_secs() > 900).collect(),
                When::Live | When::Never => attempts,
            };
            assert!(attempts.len() >= by_control.len(), "{step} {when:?}: {attempts:?}");
            for (attempt, by_control) in attempts.iter().zip(&by_control) {
                assert!(
                    *attempt <= *by_control + Duration::from_secs(attempt_late),
                    "{step} {when:?}: {attempts:?}"
                );
            }
            let timed_out = seen.timed_out.expect("it reached its timeout");
            let latest = timed_out_by_control + Duration::from_secs(timeout_late);
            assert!(timed_out <= latest, "{step} {when:?}: {timed_out:?}, {timed_out_by_control:?}");
        }
    }
}

fn minutes(from: &str, count: i64) -> Vec<Timestamp> {
    let from: Timestamp = from.parse().unwrap();
    (0..count).map(|minute| from + SignedDuration::from_mins(minute)).collect()
}

#[test]
fn a_clock_set_forward_is_caught_up_by_policy() {
    let scenario = Scenario::run(&[(15, SignedDuration::from_hours(3))], 12);
    let fired = scenario.started("minutely");
    assert_eq!(fired, minutes("2026-03-02T08:01:00Z", i64::try_from(fired.len()).unwrap()), "catchup = all");
    assert!(fired.len() > 3 * 60 + 15, "{}", fired.len());
    let expected = ["08:10", "11:10", "11:20"];
    let fired: Vec<_> =
        scenario.started("latest").iter().map(|at| at.strftime("%H:%M").to_string()).collect();
    assert_eq!(fired, expected, "the latest of the instants that were jumped over");
    assert_eq!(scenario.left_out("latest"), ["08:20 missed x17"]);
}

#[test]
fn a_clock_that_goes_wrong_and_is_corrected_fires_nothing_twice() {
    let (there, back) = (SignedDuration::from_hours(30), SignedDuration::from_hours(-30));
    let scenario = Scenario::run(&[(15, there), (5, back)], 60);
    let fired = scenario.started("minutely");
    let after: Timestamp = "2026-03-02T08:30:00Z".parse().unwrap();
    let right = |at: &&Timestamp| **at < after + SignedDuration::from_mins(40) && **at >= after;
    assert!(
        fired.iter().filter(right).count() == 40,
        "it continued once the clock was right again: {fired:?}"
    );
    scenario.started("latest");
}
