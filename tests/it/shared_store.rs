//! Three processes share one store; each is killed or stopped and continued at random, and so is the server of the store. No
//! occurrence is lost or started twice, and every webhook has one id.
//!
//! `AGENTCRON_SOAK=10` does so for five minutes.

use std::time::Duration;

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
const CRONS: [&str; 4] = ["brief", "kept", "waits", "streams"];
/// How long the daemons may take to finish what is left: a lease of ten seconds may have to end first.
const CLEANUP_MAX: Duration = Duration::from_secs(120);

#[tokio::test]
async fn three_daemons_that_are_killed_and_stopped_lose_nothing_and_start_nothing_twice() {
    three_daemons(None).await;
}

#[tokio::test]
async fn three_daemons_on_postgresql_lose_nothing_and_start_nothing_twice_while_it_crashes_too() {
    match Postgres::start().unwrap() {
        Some(server) => three_daemons(Some(server)).await,
        None => skipped("daemons on PostgreSQL, because its server is not installed (Debian: postgresql)"),
    }
}

/// On SQLite, the lock of the file is waived.
async fn three_daemons(mut on: Option<Postgres>) {
    let seconds = 30 * soak::times(1);
    let mut random = SeededRandom::new(super::killing::seed());
    let (server, receiver) = (AgentServerOnPort::start(), Receiver::start());
    let span = Span::soon(1, seconds);
    let cron = |name: &str| Cron::new(name, &span).runs_every_occurrence().webhook(&receiver.url("/hook"));
    let configuration = Configuration::new(&server.url()).backend("request_timeout = \"1s\"").crons([
        cron("brief"),
        cron("kept").says("sleep 0.5").with("on_run_completed = \"keep\""),
        cron("waits").says("sleep 0.2").with("mode = \"wait\""),
        cron("streams").says("sleep 0.2").with("mode = \"stream\""),
    ]);
    let configuration = match &on {
        Some(server) => configuration.http("socket = \"{folder}/agentcron.sock\"").on_server(&server.url()),
        None => configuration,
    };
    let environment: &[(&str, &str)] = if on.is_some() { &[] } else { &SHARED };
    let mut daemons = vec![Daemon::prepare(&configuration)];
    let database = daemons[0].database();
    // The others have sockets of their own, in their own folders.
    let elsewhere = configuration.to_string().replace("{folder}/agentcron.db", database.to_str().unwrap());
    daemons.extend([Daemon::prepare(&elsewhere), Daemon::prepare(&elsewhere)]);
    for daemon in &mut daemons {
        daemon.start_with(environment);
        daemon.wait_for_stderr("daemon ready").await;
    }
    let (mut kills, mut stops, mut crashes) = (0, 0, 0);
    while now() < span.last() {
        tokio::time::sleep(random.millis(500, 2500)).await;
        if let Some(server) = on.as_mut().filter(|_| random.below(5) == 0) {
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
            daemon.signal("STOP");
            // Often longer than the lease, so that the others take over before it goes on.
            tokio::time::sleep(random.millis(100, 14_000)).await;
            daemon.signal("CONT");
            stops += 1;
        }
    }
    let last = span.last();
    let all_done = |runs: &[RunRecord]| {
        let has_last =
            |cron: &str| runs.iter().any(|run| run.cron_name == cron && run.last_scheduled_for == last);
        CRONS.iter().all(|cron| has_last(cron)) && runs.iter().all(RunRecord::is_finished)
    };
    let runs = daemons[0].wait_for_history_within(CLEANUP_MAX, "all runs to be finished", all_done).await;
    daemons[0]
        .wait_within(CLEANUP_MAX, "threads to be deleted", || (daemons[0].deletions_due() == 0).then_some(()))
        .await;
    daemons.iter_mut().for_each(Daemon::assert_alive);
    for cron in CRONS {
        assert_none_lost(&daemons[0], &runs, cron, &span);
    }
    assert!(runs.iter().all(|run| run.status == "success"), "{runs:#?}");
    assert_started_once(&server.ledger(), &runs);
    assert_all_notified(&receiver.received(), &runs);
    assert_nothing_left_over(&rusqlite::Connection::open(daemons[0].database_now()).unwrap());
    eprintln!(
        "{kills} kills, {stops} stops and {crashes} crashes of the server: {} occurrences, none lost, none doubled",
        runs.len()
    );
}
