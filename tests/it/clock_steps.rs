//! The wall clock is set while the real loops run: back by seconds, minutes and hours, and forward. Time is
//! tokio's paused time, which advances only while everything waits; only the wall clock is set.

use std::collections::BTreeMap;
use std::time::Duration;

use agentcron::backend::embedded::EmbeddedServer;
use agentcron::clock::Clock;
use agentcron::config::{self, Environment};
use agentcron::daemon::{self, World};
use agentcron::store::Execution;
use agentcron::transport::Transport;
use axum::Router;
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
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

struct Scenario {
    folder: tempfile::TempDir,
    clock: Clock,
    server: EmbeddedServer,
}

impl Scenario {
    /// Runs a daemon through steps of the clock, each after so many minutes, and for some minutes after the
    /// last.
    fn run(steps: &[(u64, SignedDuration)], minutes_after: u64) -> Self {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let clock = Clock::simulated(START.parse().unwrap());
            let server = {
                let clock = clock.clone();
                EmbeddedServer::new(move || clock.now())
            };
            let scenario = Self { folder: tempfile::tempdir().unwrap(), clock, server };
            let stop = CancellationToken::new();
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
                stop.cancel();
                std::future::pending::<()>().await;
            };
            tokio::select! {
                ended = scenario.daemon(stop.clone()) => ended.unwrap(),
                () = events => {}
            }
            scenario
        })
    }

    async fn daemon(&self, stop: CancellationToken) -> Result<(), daemon::DaemonError> {
        let file = self.folder.path().join("agentcron.toml");
        let database = self.database();
        let head = format!("[backend]\nurl = \"http://backend.example\"\n[store]\npath = {database:?}\n");
        std::fs::write(&file, head + CRONS).unwrap();
        let environment = Environment::of_map([]);
        let world = World {
            config: config::load(&file, &environment).unwrap(),
            environment,
            clock: self.clock.clone(),
            backend: Transport::router(self.server.router()),
            receivers: Transport::router(Router::new()),
            execution: Execution::Inline,
            new_installation: agentcron::domain::ids::InstallationId::default(),
            socket: None,
            listen: None,
            relay: None,
            reload: None,
        };
        daemon::serve(world, || {}, stop).await
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

    /// Returns `HH:MM status xCOUNT`, in the order of time, of a cron's occurrences that did not run.
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

fn minutes(from: &str, count: i64) -> Vec<Timestamp> {
    let from: Timestamp = from.parse().unwrap();
    (0..count).map(|minute| from + SignedDuration::from_mins(minute)).collect()
}

#[test]
fn a_clock_set_back_by_seconds_or_minutes_fires_nothing_twice_and_leaves_nothing_out() {
    for step in [SignedDuration::from_secs(-10), SignedDuration::from_mins(-10)] {
        // The wall clock goes from 8:01 to 8:15, is set back, and goes on until well after 8:15.
        let scenario = Scenario::run(&[(15, step)], 30);
        let fired = scenario.started("minutely");
        assert_eq!(fired, minutes("2026-03-02T08:01:00Z", i64::try_from(fired.len()).unwrap()), "{step}");
        assert!(fired.len() > 30, "{step}: {}", fired.len());
        scenario.started("latest");
        assert!(scenario.left_out("minutely").is_empty());
    }
}

#[test]
fn a_clock_set_back_by_hours_keeps_firing_and_fires_nothing_twice() {
    let scenario = Scenario::run(&[(15, SignedDuration::from_hours(-4))], 5 * 60);
    let fired = scenario.started("minutely");
    // It fires from 4:16 on. The minutes that were fired before come again and are not fired again.
    assert_eq!(fired, minutes("2026-03-02T04:16:00Z", i64::try_from(fired.len()).unwrap()));
    assert!(fired.len() > 5 * 60 - 1, "{}", fired.len());
    scenario.started("latest");
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
