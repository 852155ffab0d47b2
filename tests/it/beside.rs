//! Daemons that share a PostgreSQL server with what is not like them: a pooler between, a build that knows one more column, a clock
//! that is wrong. Every occurrence is started once and on time.

use std::path::Path;
use std::process::Command;

use jiff::SignedDuration;
use rusqlite::Connection;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::final_checks::{
    assert_all_notified, assert_none_lost, assert_nothing_left_over, assert_started_once,
};
use super::support::history::RunRecord;
use super::support::postgres::Postgres;
use super::support::receiver::Receiver;
use super::support::skipped::skipped;
use super::support::span::Span;

/// A busy machine needs a moment, and a wrong clock would be off by minutes.
const ON_TIME: SignedDuration = SignedDuration::from_secs(5);
/// What stands before libc, where Debian's package has it.
const FAKE_TIME: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];

/// Crons on an agent server, with a receiver, and what a configuration says of them.
struct World {
    server: AgentServerOnPort,
    receiver: Receiver,
    span: Span,
    configuration: Configuration,
}

impl World {
    fn new(occurrences: usize) -> Self {
        let (server, receiver) = (AgentServerOnPort::start(), Receiver::start());
        let span = Span::soon(1, occurrences);
        let cron = Cron::new("brief", &span).runs_every_occurrence().webhook(&receiver.url("/hook"));
        let configuration =
            Configuration::new(&server.url()).http("socket = \"{folder}/own.sock\"").cron(cron);
        Self { server, receiver, span, configuration }
    }

    /// Waits for every occurrence, and checks that none was lost, started twice, or started late.
    async fn check(&self, daemon: &Daemon) -> Vec<RunRecord> {
        let runs = daemon.wait_until_finished(self.span.instants().len()).await;
        assert_none_lost(daemon.crons_known_since(), &runs, "brief", &self.span);
        assert!(runs.iter().all(|run| run.status == "success"), "{runs:#?}");
        let ledger = self.server.ledger();
        assert_started_once(&ledger, &runs);
        for entry in &ledger {
            let run = runs.iter().find(|run| entry.metadata["agentcron_run_id"] == *run.run_id).unwrap();
            let late = entry.created_at.duration_since(run.scheduled_for);
            assert!(late >= SignedDuration::ZERO && late < ON_TIME, "{late:?} late: {run:?}");
        }
        assert_all_notified(&self.receiver.received(), &runs);
        assert_nothing_left_over(&Connection::open(daemon.database_now()).unwrap());
        runs
    }
}

async fn start(daemon: &mut Daemon, environment: &[(&str, &str)]) {
    daemon.start_with(environment);
    daemon.wait_for_stderr("daemon ready").await;
}

#[tokio::test]
async fn a_pooler_that_pools_transactions_changes_nothing_but_what_is_heard() {
    let Some(store) = Postgres::start().unwrap() else {
        return skipped("a pooler, because PostgreSQL is not installed (Debian: postgresql)");
    };
    let Some(pooler) = store.pooler() else {
        return skipped("a pooler, because it is not installed (Debian: pgbouncer)");
    };
    let world = World::new(8);
    let through = world.configuration.clone().on_server(&pooler.url());
    let hearing =
        through.to_string().replace("[store]\n", &format!("[store]\nlisten_url = \"{}\"\n", store.url()));
    let (mut hears, mut deaf) = (Daemon::prepare(&hearing), Daemon::prepare(&through));
    start(&mut hears, &[]).await;
    start(&mut deaf, &[]).await;
    world.check(&hears).await;
    let said = "other daemons are not heard";
    assert_eq!((hears.stderr().matches(said).count(), deaf.stderr().matches(said).count()), (0, 1));
    for daemon in [&mut hears, &mut deaf] {
        daemon.terminate();
        assert!(daemon.wait_for_exit().await.success(), "{}", daemon.stderr());
    }
}

/// Checks that what `backup` prints is what makes a backup.
fn assert_dumped(daemon: &Daemon, store: &Postgres) {
    let file = daemon.folder().join("store.dump");
    let printed = &daemon.json(&["backup", file.to_str().unwrap()])[0];
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", printed["command"].as_str().unwrap()]).env("PATH", &store.programs);
    let dumped = shell.output().unwrap();
    assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
    assert!(std::fs::metadata(&file).unwrap().len() > 0);
}

#[tokio::test]
async fn a_daemon_goes_on_beside_a_newer_build_and_cannot_be_started_after_it() {
    let Some(store) = Postgres::start().unwrap() else {
        return skipped("a newer build, because PostgreSQL is not installed (Debian: postgresql)");
    };
    let world = World::new(8);
    let configuration = world.configuration.clone().on_server(&store.url());
    let mut daemon = Daemon::prepare(&configuration);
    start(&mut daemon, &[]).await;
    // What a build does at its start that knows one more column.
    store.psql(
        "BEGIN; ALTER TABLE agentcron.runs ADD COLUMN mood text; INSERT INTO agentcron.migrations (number) VALUES (2); COMMIT",
    );
    let runs = world.check(&daemon).await;
    // Commands connect anew.
    assert_eq!(daemon.history().len(), runs.len());
    daemon.assert_alive();
    assert_dumped(&daemon, &store);
    daemon.terminate();
    assert!(daemon.wait_for_exit().await.success());
    daemon.start_again();
    assert_eq!(daemon.wait_for_exit().await.code(), Some(3));
    let said = daemon.stderr();
    assert!(said.contains("a newer agentcron (schema 2, this one knows 1)"), "{said}");
    assert!(said.contains("restore a backup"), "{said}");
}

#[tokio::test]
async fn clocks_that_are_five_minutes_wrong_change_nothing() {
    let Some(store) = Postgres::start().unwrap() else {
        return skipped("wrong clocks, because PostgreSQL is not installed (Debian: postgresql)");
    };
    let Some(fake) = FAKE_TIME.into_iter().find(|path| Path::new(path).exists()) else {
        return skipped("wrong clocks, because libfaketime is not installed (Debian: libfaketime)");
    };
    let world = World::new(8);
    let configuration = world.configuration.clone().on_server(&store.url());
    let wrong = |by| [("LD_PRELOAD", fake), ("FAKETIME_DONT_FAKE_MONOTONIC", "1"), ("FAKETIME", by)];
    let (mut ahead, mut behind) = (Daemon::prepare(&configuration), Daemon::prepare(&configuration));
    start(&mut ahead, &wrong("+300s")).await;
    start(&mut behind, &wrong("-300s")).await;
    world.check(&behind).await;
    for daemon in [&mut ahead, &mut behind] {
        daemon.assert_alive();
    }
}
