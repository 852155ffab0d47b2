//! The server of a store is lost for good, and its standby takes its place, with the last commits or without them. No occurrence is
//! started twice or lost, and no daemon exits.

use std::collections::BTreeSet;
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
use super::support::skipped::skipped;
use super::support::span::Span;

const SECONDS: usize = 30;
/// What is committed in this time is lost.
const LOST: Duration = Duration::from_millis(2500);
const CLEANUP_MAX: Duration = Duration::from_secs(180);
/// More transactions than there are in the time that is lost.
const USES_UP_NUMBERS: &str =
    "DO $$ BEGIN FOR number IN 1..3000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$";

/// How a standby has what was committed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Replication {
    /// Before the commit is confirmed.
    Synchronous,
    /// After that, so the last commits may be lost.
    Asynchronous,
}

#[tokio::test]
async fn a_failover_that_loses_the_last_commits_starts_nothing_twice_and_loses_nothing() {
    failover(Replication::Asynchronous).await;
}

#[tokio::test]
async fn a_failover_that_loses_no_commit_starts_nothing_twice_and_loses_nothing() {
    failover(Replication::Synchronous).await;
}

async fn failover(replication: Replication) {
    let Some(mut primary) = Postgres::start().unwrap() else {
        return skipped("a failover, because PostgreSQL is not installed (Debian: postgresql)");
    };
    let mut standby = primary.standby();
    if replication == Replication::Synchronous {
        primary.psql("ALTER SYSTEM SET synchronous_standby_names = '*'");
        primary.psql("SELECT pg_reload_conf()");
    }
    let url = format!("postgres://agentcron@127.0.0.1:{},127.0.0.1:{}/postgres", primary.port, standby.port);
    let (server, receiver) = (AgentServerOnPort::start(), Receiver::start());
    let span = Span::soon(1, SECONDS);
    let cron = |name: &str| Cron::new(name, &span).runs_every_occurrence().webhook(&receiver.url("/hook"));
    let configuration = Configuration::new(&server.url())
        .backend("request_timeout = \"1s\"")
        .http("socket = \"{folder}/agentcron.sock\"")
        .on_server(&format!("{url}?target_session_attrs=read-write"))
        .crons([cron("brief"), cron("kept").says("sleep 0.5").with("on_run_completed = \"keep\"")]);
    let mut daemons = [Daemon::prepare(&configuration), Daemon::prepare(&configuration)];
    for daemon in &mut daemons {
        daemon.start_again();
        daemon.wait_for_stderr("daemon ready").await;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    match replication {
        Replication::Synchronous => primary.stop_at_once(),
        Replication::Asynchronous => {
            // What is committed from now on does not reach it any more.
            standby.stop_at_once();
            tokio::time::sleep(LOST).await;
            primary.stop_at_once();
            standby.start_again();
        }
    }
    standby.promote();
    // The numbers of the transactions that were lost are given out again.
    standby.psql(USES_UP_NUMBERS);
    let last = span.last();
    let all_done = |runs: &[RunRecord]| {
        let has_last =
            |cron: &str| runs.iter().any(|run| run.cron_name == cron && run.last_scheduled_for == last);
        ["brief", "kept"].iter().all(|cron| has_last(cron)) && runs.iter().all(RunRecord::is_finished)
    };
    let runs = daemons[0].wait_for_history_within(CLEANUP_MAX, "all runs to be finished", all_done).await;
    daemons[0]
        .wait_within(CLEANUP_MAX, "threads to be deleted", || (daemons[0].deletions_due() == 0).then_some(()))
        .await;
    daemons.iter_mut().for_each(Daemon::assert_alive);
    for cron in ["brief", "kept"] {
        assert_none_lost(daemons[0].crons_known_since(), &runs, cron, &span);
    }
    assert!(runs.iter().all(|run| run.status == "success"), "{runs:#?}");
    assert_started_once(&server.ledger(), &runs);
    if replication == Replication::Synchronous {
        assert_all_notified(&receiver.received(), &runs);
    }
    // Whoever was told of an end that the store has lost is told again, under the same id, of the end that is recorded now.
    let told: BTreeSet<String> =
        receiver.received().iter().map(|request| request.header("webhook-id").to_owned()).collect();
    let fired = runs.iter().filter(|run| run.was_fired());
    assert_eq!(told, fired.map(|run| format!("msg_{}", run.run_id)).collect());
    assert_nothing_left_over(&rusqlite::Connection::open(daemons[0].database_now()).unwrap());
    let lost = if replication == Replication::Synchronous { Duration::ZERO } else { LOST };
    eprintln!("{} occurrences over a failover that lost {lost:?}: none lost, none doubled", runs.len());
}
