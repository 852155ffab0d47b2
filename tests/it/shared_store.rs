//! Three processes share one store; each is killed or stopped and continued at random, and so is the server of the store. No
//! occurrence is lost or started twice, and every webhook has one id.
//!
//! `AGENTCRON_SOAK=10` does so for five minutes, with a hundred occurrences in a second (25 of each kind; `AGENTCRON_SOAK_CRONS=250`
//! makes a thousand), and prints how late those began that had nothing to do with a daemon that was killed or stopped.

use std::collections::HashMap;
use std::time::Duration;

use agentcron::backend::embedded::LedgerEntry;
use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::Value;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::final_checks::{
    assert_all_notified, assert_none_lost, assert_nothing_left_over, assert_started_once,
};
use super::support::history::RunRecord;
use super::support::postgres::Postgres;
use super::support::receiver::Receiver;
use super::support::seeded_random::SeededRandom;
use super::support::skipped::skipped;
use super::support::soak;
use super::support::span::{Span, now};

const SHARED: [(&str, &str); 1] = [("AGENTCRON_SHARED_STORE", "1")];
const PATIENCE: Duration = Duration::from_secs(60);
/// How many crons of each kind there are in a soak.
const CRONS_IN_SOAK: usize = 25;
/// How long the daemons may take to finish what is left: a lease of ten seconds may have to end first.
const CLEANUP_MAX: Duration = Duration::from_secs(120);

/// Returns daemons that share the store of the first one, each with a socket of its own, once they are ready.
async fn sharing(count: usize, configuration: &Configuration, environment: &[(&str, &str)]) -> Vec<Daemon> {
    let configuration = configuration.clone().http("socket = \"{folder}/agentcron.sock\"");
    let mut daemons = vec![Daemon::prepare(&configuration)];
    let database = daemons[0].database();
    // The others have sockets of their own, in their own folders.
    let elsewhere = configuration.to_string().replace("{folder}/agentcron.db", database.to_str().unwrap());
    daemons.extend((1..count).map(|_| Daemon::prepare(&elsewhere)));
    for daemon in &mut daemons {
        daemon.start_with(environment);
        daemon.wait_for_stderr("daemon ready").await;
    }
    daemons
}

/// Returns the numbers of the daemons, and whether their leases were ended by others.
fn numbers(database: &Connection) -> Vec<(i64, bool)> {
    let sql = "SELECT number, recovered_at IS NOT NULL FROM daemons ORDER BY number";
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Waits until a daemon responds and lists as many, all of which work, and returns them.
async fn listed(daemon: &Daemon, count: usize) -> Vec<Value> {
    let works = |one: &Value| one["state"] == "live" && !one["host"].as_str().unwrap().is_empty();
    let found = || {
        let socket_responds = daemon.json(&["status"])[0]["daemon"]["running"] == true;
        let listed = daemon.json(&["daemons"]);
        (socket_responds && listed.len() == count && listed.iter().all(works)).then_some(listed)
    };
    daemon.wait_within(PATIENCE, "daemons to be listed", found).await
}

#[tokio::test]
async fn daemons_are_restarted_one_after_the_other_without_waiting_for_a_lease() {
    let (server, receiver) = (AgentServerOnPort::start(), Receiver::start());
    let span = Span::soon(2, 6);
    let configuration = Configuration::new(&server.url()).cron(
        Cron::new("long", &span).runs_every_occurrence().says("sleep 4").webhook(&receiver.url("/hook")),
    );
    let mut daemons = sharing(2, &configuration, &SHARED).await;
    let database = Connection::open(daemons[0].database()).unwrap();
    let held = |number: i64| -> i64 {
        let sql = "SELECT count(*) FROM runs WHERE held_by = ?1 AND phase = 'running'";
        database.query_row(sql, [number], |row| row.get(0)).unwrap()
    };
    let both = listed(&daemons[0], 2).await;
    let pids: Vec<Value> = daemons.iter().map(|daemon| daemon.process_id().unwrap().into()).collect();
    assert_eq!(both.iter().map(|one| one["pid"].clone()).collect::<Vec<_>>(), pids);
    for index in 0..2 {
        let pid = daemons[index].process_id().unwrap();
        let number: i64 =
            database.query_row("SELECT number FROM daemons WHERE pid = ?1", [pid], |row| row.get(0)).unwrap();
        daemons[index].wait_until("it to follow a run", || held(number) > 0).await;
        daemons[index].terminate();
        assert!(daemons[index].wait_for_exit().await.success());
        // It has gone, and holds nothing. Nobody had to wait until its lease was over.
        assert!(!numbers(&database).contains(&(number, true)), "its lease was waited for");
        let row = "SELECT left_at IS NOT NULL FROM daemons WHERE number = ?1";
        assert!(database.query_row(row, [number], |row| row.get::<_, bool>(0)).unwrap());
        assert_eq!(held(number), 0);
        assert_ne!(listed(&daemons[1 - index], 1).await[0]["number"], number);
        daemons[index].start_with(&SHARED);
        listed(&daemons[index], 2).await;
    }
    let runs = daemons[0].wait_until_finished(span.instants().len()).await;
    assert_none_lost(daemons[0].crons_known_since(), &runs, "long", &span);
    assert!(runs.iter().all(|run| run.status == "success"), "{runs:#?}");
    assert_started_once(&server.ledger(), &runs);
    assert_all_notified(&receiver.received(), &runs);
}

#[tokio::test]
async fn three_daemons_that_are_killed_and_stopped_lose_nothing_and_start_nothing_twice() {
    three_daemons(None, Crashes::No).await;
}

#[tokio::test]
async fn three_daemons_on_postgresql_that_are_killed_and_stopped_lose_nothing_and_start_nothing_twice() {
    three_on_postgresql(Crashes::No).await;
}

#[tokio::test]
async fn three_daemons_on_postgresql_lose_nothing_and_start_nothing_twice_while_it_crashes_too() {
    three_on_postgresql(Crashes::Yes).await;
}

async fn three_on_postgresql(crashes: Crashes) {
    match Postgres::start().unwrap() {
        Some(server) => three_daemons(Some(server), crashes).await,
        None => skipped("daemons on PostgreSQL, because its server is not installed (Debian: postgresql)"),
    }
}

/// Whether the server of the store crashes now and then.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Crashes {
    No,
    Yes,
}

/// The name of a kind of crons, and what makes a cron one of it.
type Kind = (&'static str, fn(Cron) -> Cron);

/// On SQLite, the lock of the file is waived.
async fn three_daemons(mut on: Option<Postgres>, crash: Crashes) {
    let seconds = 30 * soak::times(1);
    let mut random = SeededRandom::new(super::killing::seed());
    let (server, receiver) = (AgentServerOnPort::start(), Receiver::start());
    let span = Span::soon(1, seconds);
    let kinds: [Kind; 4] = [
        ("brief", |cron| cron),
        ("kept", |cron| cron.says("sleep 0.5").with("on_run_completed = \"keep\"")),
        ("waits", |cron| cron.says("sleep 0.2").with("mode = \"wait\"")),
        ("streams", |cron| cron.says("sleep 0.2").with("mode = \"stream\"")),
    ];
    let (mut names, mut crons) = (Vec::new(), Vec::new());
    for copy in 0..soak::count(1, CRONS_IN_SOAK) {
        for (kind, of_kind) in kinds {
            let name = format!("{kind}-{copy}");
            let cron = Cron::new(&name, &span).runs_every_occurrence().webhook(&receiver.url("/hook"));
            crons.push(of_kind(cron));
            names.push(name);
        }
    }
    let configuration = Configuration::new(&server.url()).backend("request_timeout = \"1s\"").crons(crons);
    let configuration = match &on {
        Some(server) => configuration.on_server(&server.url()),
        None => configuration,
    };
    let environment: &[(&str, &str)] = if on.is_some() { &[] } else { &SHARED };
    let mut daemons = sharing(3, &configuration, environment).await;
    let (mut kills, mut stops, mut crashes) = (0, Vec::new(), 0);
    while now() < span.last() {
        tokio::time::sleep(random.millis(500, 2500)).await;
        if let Some(server) = on.as_mut().filter(|_| crash == Crashes::Yes && random.below(5) == 0) {
            server.stop_at_once();
            tokio::time::sleep(random.millis(0, 3000)).await;
            server.start_again();
            crashes += 1;
            continue;
        }
        let index = usize::try_from(random.below(3)).unwrap();
        let daemon = &mut daemons[index];
        if random.below(2) == 0 {
            daemon.kill9();
            tokio::time::sleep(random.millis(0, 2000)).await;
            daemon.start_with(environment);
            kills += 1;
        } else {
            let (process_id, since) = (daemon.process_id().unwrap(), now());
            daemon.signal("STOP");
            // Often longer than the lease, so that the others take over before it goes on.
            tokio::time::sleep(random.millis(100, 14_000)).await;
            daemon.signal("CONT");
            stops.push(Stop { process_id, since, until: now() });
        }
    }
    let last = span.last();
    let all_done = |runs: &[RunRecord]| {
        let has_last =
            |cron: &str| runs.iter().any(|run| run.cron_name == cron && run.last_scheduled_for == last);
        names.iter().all(|cron| has_last(cron)) && runs.iter().all(RunRecord::is_finished)
    };
    let patience = soak::length(CLEANUP_MAX, Duration::from_secs(900));
    let runs = daemons[0].wait_for_history_within(patience, "all runs to be finished", all_done).await;
    daemons[0]
        .wait_within(patience, "threads to be deleted", || (daemons[0].deletions_due() == 0).then_some(()))
        .await;
    daemons.iter_mut().for_each(Daemon::assert_alive);
    let since = daemons[0].crons_known_since();
    for cron in &names {
        assert_none_lost(since, &runs, cron, &span);
    }
    let failed: Vec<_> = runs.iter().filter(|run| run.status != "success").collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_started_once(&server.ledger(), &runs);
    assert_all_notified(&receiver.received(), &runs);
    let database = Connection::open(daemons[0].database_now()).unwrap();
    assert_nothing_left_over(&database);
    let mut late = late_starts(&database, &server.ledger(), &runs, &stops);
    late.sort_unstable();
    let part = |parts: usize| late[(late.len() - 1) * parts / 100];
    eprintln!(
        "{kills} kills, {} stops and {crashes} crashes of the server: {} occurrences, none lost, none doubled; {} untouched ones \
         began {:?} (median), {:?} (p99) after their instant",
        stops.len(),
        runs.len(),
        late.len(),
        part(50),
        part(99)
    );
}

/// A time in which a daemon did nothing.
struct Stop {
    process_id: u32,
    since: Timestamp,
    until: Timestamp,
}

/// Returns how late those runs began that no other daemon had to take over, and that were not sent by one that was stopped
/// between their instant and their start.
fn late_starts(
    database: &Connection,
    ledger: &[LedgerEntry],
    runs: &[RunRecord],
    stops: &[Stop],
) -> Vec<Duration> {
    let pairs = |sql: &str| -> HashMap<String, i64> {
        let mut statement = database.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let claims = pairs("SELECT run_id, claim FROM runs");
    let processes = pairs("SELECT daemon_id, pid FROM daemons");
    let due: HashMap<&str, Timestamp> =
        runs.iter().map(|run| (run.run_id.as_str(), run.scheduled_for)).collect();
    let late = |entry: &LedgerEntry| {
        let text = |key: &str| entry.metadata[key].as_str().unwrap();
        let run_id = text("agentcron_run_id");
        // The store remembers the last hundred.
        let process = processes.get(text("agentcron_daemon_id"))?;
        let due = due[run_id];
        let was_stopped = |stop: &Stop| {
            *process == i64::from(stop.process_id) && stop.since <= entry.created_at && due <= stop.until
        };
        (claims[run_id] == 1 && !stops.iter().any(was_stopped))
            .then(|| Duration::try_from(entry.created_at.duration_since(due)).unwrap_or_default())
    };
    ledger.iter().filter(|entry| entry.after_seconds == 0.0).filter_map(late).collect()
}
