//! Stops, restarts, and stores that cannot be used.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;
use rusqlite::Connection;
use serde_json::json;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::final_checks::{assert_all_notified, assert_started_once, starts_by_run};
use super::support::history::RunRecord;
use super::support::proxy::{Fault, ProxiedRequest, Proxy};
use super::support::receiver::Receiver;
use super::support::skipped::skipped;
use super::support::span::{Span, now};

/// Nothing listens there, and no cron fires.
const NO_BACKEND: &str = "http://127.0.0.1:9";

#[tokio::test]
async fn a_stop_leaves_runs_in_progress_to_the_next_start_which_reports_their_end_once() {
    let server = AgentServerOnPort::start();
    let receiver = Receiver::start();
    let span = Span::once();
    let crons = ["background", "wait", "stream"].map(|mode| {
        let cron = Cron::new(mode, &span).says("sleep 5").with(&format!("mode = \"{mode}\""));
        cron.webhook(&receiver.url("/hook"))
    });
    let thread = Cron::new("thread", &span).says("sleep 5").with("thread = \"talk\"");
    let configuration = Configuration::new(&server.url()).crons(crons);
    let configuration = configuration.cron(thread.webhook(&receiver.url("/hook")));
    let mut daemon = Daemon::start(&configuration);
    let backend_run = daemon.wait_for_history("four running runs", |runs| count(runs, "running") == 4).await;
    daemon.terminate();
    assert_eq!(daemon.wait_for_exit().await.code(), Some(0));
    assert_eq!(count(&daemon.history(), "running"), 4, "the daemon did not wait for them");

    daemon.start_again();
    let runs = daemon.wait_until_finished(4).await;
    for (before, after) in backend_run.iter().zip(&runs) {
        assert_eq!((after.status.as_str(), &after.backend_run_id), ("success", &before.backend_run_id));
    }
    assert_started_once(&server.ledger(), &runs);
    assert_eq!(receiver.received().len(), 4);
    assert_all_notified(&receiver.received(), &runs);
    daemon.terminate();
    assert_eq!(daemon.wait_for_exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_start_that_waits_for_its_store_can_be_stopped() {
    let mut daemon = Daemon::start(&Configuration::new(NO_BACKEND));
    daemon.wait_for_stderr("ready").await;
    daemon.kill9();
    // Nothing can be committed, and it may pass, as on a full disk.
    let other = Connection::open(daemon.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    daemon.start_again();
    daemon.wait_for_stderr("another process holds its write lock").await;
    daemon.terminate();
    assert_eq!(daemon.wait_for_exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_start_after_a_very_long_absence_can_be_stopped_and_the_next_goes_on() {
    const DAYS: i64 = 400;
    let other = Configuration::new(NO_BACKEND).cron(Cron::bare("other").with("schedule = \"@yearly\""));
    let dense = Cron::bare("dense").with("schedule = \"* * * * * */2\"");
    let mut daemon = Daemon::start(&Configuration::new(NO_BACKEND).cron(dense));
    daemon.wait_for_stderr("ready").await;
    daemon.terminate();
    assert_eq!(daemon.wait_for_exit().await.code(), Some(0));
    let ago = DAYS * 86_400_000;
    let sql = "UPDATE crons SET cursor = cursor - ?1, created_at = created_at - ?1";
    Connection::open(daemon.database()).unwrap().execute(sql, [ago]).unwrap();
    daemon.write_config(&other);
    let dropped = |daemon: &Daemon| -> i64 {
        let sql = "SELECT coalesce(sum(occurrences), 0) FROM runs WHERE reason_code = 'removed'";
        Connection::open(daemon.database()).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    daemon.start_again();
    daemon.wait_until("the removal", || dropped(&daemon) > 0).await;
    daemon.terminate();
    assert_eq!(daemon.wait_for_exit().await.code(), Some(0));
    let first = dropped(&daemon);
    assert!(first < DAYS * 43_200, "{first} occurrences were accounted for before it was stopped");
    daemon.start_again();
    daemon.wait_until("the next start to go on", || dropped(&daemon) > first).await;
    daemon.terminate();
    assert_eq!(daemon.wait_for_exit().await.code(), Some(0));
}

#[tokio::test]
async fn an_end_that_came_while_no_daemon_ran_is_reported_in_full_by_the_next() {
    let server = AgentServerOnPort::start();
    let receiver = Receiver::start();
    let span = Span::once();
    let cron = |name: &str| Cron::new(name, &span).webhook(&receiver.url(&format!("/{name}")));
    let crons = [cron("echo").says("sleep 2"), cron("boom").says("boom"), cron("asker").assistant("asker")];
    let proxy = Proxy::start(server.address());
    // The first process never learns that a run has ended.
    proxy.inject(usize::MAX, |request: &ProxiedRequest| request.path.ends_with("/join"), Fault::Hang);
    let mut daemon = Daemon::start(&Configuration::new(&proxy.url()).crons(crons));
    daemon.wait_for_history("three running runs", |runs| count(runs, "running") == 3).await;
    daemon.kill9();
    proxy.heal();
    daemon
        .wait_until("the runs to end on the server", || {
            server.ledger().iter().all(|entry| !matches!(entry.status.as_str(), "pending" | "running"))
        })
        .await;
    daemon.start_again();
    let runs = daemon.wait_until_finished(3).await;
    let status = |name: &str| runs.iter().find(|run| run.cron_name == name).unwrap().status.clone();
    assert_eq!([status("echo"), status("boom"), status("asker")], ["success", "error", "interrupted"]);
    let received = receiver.wait_for(3).await;
    let values = |name: &str| {
        let request = received.iter().find(|request| request.path == format!("/{name}")).unwrap();
        request.json()["values"]["messages"].as_array().map_or(0, Vec::len)
    };
    assert_eq!([values("echo"), values("boom"), values("asker")], [2, 1, 1], "messages in the webhooks");
}

#[tokio::test]
async fn what_ended_while_no_daemon_ran_keeps_nothing_from_being_caught_up_and_took_what_the_server_says() {
    let server = AgentServerOnPort::start();
    let receiver = Receiver::start();
    let crons = [
        Cron::new("often", &Span::soon(10, 20)).says("sleep 5"),
        Cron::new("slow", &Span::soon(10, 1))
            .says("sleep 15")
            .with("timeout = \"10s\"")
            .webhook(&receiver.url("/slow")),
    ];
    let mut daemon = Daemon::start(&Configuration::new(&server.url()).crons(crons));
    daemon.wait_for_history("two running runs", |runs| count(runs, "running") == 2).await;
    daemon.kill9();
    let from = now();
    let long_enough = from + SignedDuration::from_secs(22);
    daemon
        .wait_within(Duration::from_secs(60), "two occurrences", || (now() > long_enough).then_some(()))
        .await;
    daemon.start_again();
    let caught_up = |run: &RunRecord| run.cron_name == "often" && run.scheduled_for > from && run.was_fired();
    let runs = daemon.wait_for_history("one that is caught up", |runs| runs.iter().any(caught_up)).await;
    assert!(runs.iter().all(|run| run.reason_code != "overlap"), "{runs:#?}");
    for (name, seconds, reason_code) in [("often", 5, ""), ("slow", 15, "after_timeout")] {
        let run = runs.iter().find(|run| run.cron_name == name).unwrap();
        assert_eq!((run.status.as_str(), run.reason_code.as_str()), ("success", reason_code), "{run:?}");
        let took = run.ended_at.unwrap().duration_since(run.started_at.unwrap());
        let expected = SignedDuration::from_secs(seconds)..SignedDuration::from_secs(seconds + 6);
        assert!(expected.contains(&took), "{name} took {took:#}");
        let shown = String::from_utf8(daemon.run_command(&["show", &run.run_id]).stdout).unwrap();
        assert!(shown.contains("agentcron learnt that it had ended"), "{shown}");
    }
    let body = receiver.wait_for(1).await[0].json();
    assert_eq!(
        (&body["status"], &body["metadata"]["agentcron_reason_code"]),
        (&json!("success"), &json!("after_timeout"))
    );
    assert!(body["run_ended_at"].as_str() < body["webhook_sent_at"].as_str(), "{body}");
}

#[tokio::test]
async fn a_stop_ends_within_the_grace_although_a_request_hangs() {
    let server = AgentServerOnPort::start();
    let proxy = Proxy::start(server.address());
    proxy.inject(1, ProxiedRequest::starts_run, Fault::Hang);
    let receiver = Receiver::start();
    let cron = Cron::new("case", &Span::once()).webhook(&receiver.url("/hook"));
    let configuration =
        Configuration::new(&proxy.url()).backend("request_timeout = \"10m\"").top("shutdown_grace = \"1s\"");
    let mut daemon = Daemon::start(&configuration.cron(cron));
    proxy.wait_until_received("the start", |seen| seen.iter().any(ProxiedRequest::starts_run)).await;
    daemon.terminate();
    let status = daemon.exit_within(Duration::from_secs(20)).await.expect("the grace is one second");
    assert_eq!(status.code(), Some(0));
    daemon.start_again();
    let runs = daemon.wait_until_finished(1).await;
    assert_eq!(runs[0].status, "success", "{runs:?}");
    assert_started_once(&server.ledger(), &runs);
    assert_eq!(starts_by_run(&server.ledger()).len(), 1);
    assert_all_notified(&receiver.received(), &runs);
}

#[tokio::test]
async fn a_second_signal_ends_the_daemon_at_once() {
    let server = AgentServerOnPort::start();
    let proxy = Proxy::start(server.address());
    proxy.inject(1, ProxiedRequest::starts_run, Fault::Hang);
    let configuration =
        Configuration::new(&proxy.url()).backend("request_timeout = \"10m\"").top("shutdown_grace = \"10m\"");
    let mut daemon = Daemon::start(&configuration.cron(Cron::new("case", &Span::once())));
    proxy.wait_until_received("the start", |seen| seen.iter().any(ProxiedRequest::starts_run)).await;
    daemon.terminate();
    // Two equal signals at the same moment would count as one.
    daemon.wait_for_stderr("stopping").await;
    assert!(daemon.exit_within(Duration::from_millis(500)).await.is_none(), "the request still hangs");
    daemon.terminate();
    let status = daemon.wait_for_exit().await;
    assert_ne!(status.code(), Some(0), "what was in flight was not finished");
    daemon.start_again();
    let runs = daemon.wait_until_finished(1).await;
    assert_started_once(&server.ledger(), &runs);
}

#[tokio::test]
async fn a_second_daemon_on_the_same_store_does_not_start() {
    let mut daemon = Daemon::start(&Configuration::new(NO_BACKEND));
    daemon.wait_until("the first daemon to have its store", || daemon.database().exists()).await;
    let second = daemon.run_command(&["run"]);
    let stderr = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(4), "{stderr}");
    let process_id = daemon.process_id().unwrap().to_string();
    for part in ["agentcron.db", "another agentcron daemon", &process_id] {
        assert!(stderr.contains(part), "no {part:?} in {stderr}");
    }
    daemon.assert_alive();
}

#[tokio::test]
async fn a_store_that_cannot_be_used_is_reported_and_not_changed() {
    let text = |path: &Path| std::fs::write(path, "dear diary\n".repeat(1000)).unwrap();
    assert_refused("not a database", text, &["damaged, or no SQLite database"]).await;
    assert_refused("half a database", |path| cut(path, 2), &["damaged"]).await;
    assert_refused("a scribbled page", scribble, &["damaged"]).await;
    let foreign = |path: &Path| {
        let connection = Connection::open(path).unwrap();
        connection
            .execute_batch("CREATE TABLE recipes (name TEXT); INSERT INTO recipes VALUES ('soup')")
            .unwrap();
    };
    assert_refused("a database of another program", foreign, &["database of another program", "store.path"])
        .await;
    let newer = |path: &Path| {
        make_store(path);
        Connection::open(path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    };
    assert_refused("a database of a newer version", newer, &["newer agentcron", "99"]).await;
}

#[tokio::test]
async fn a_store_in_a_directory_that_cannot_be_written_is_reported() {
    let daemon = Daemon::prepare(&Configuration::new(NO_BACKEND));
    make_store(&daemon.database());
    let before = std::fs::read(daemon.database()).unwrap();
    let set_mode = |mode: u32| {
        std::fs::set_permissions(daemon.folder(), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode(0o500);
    if std::fs::write(daemon.folder().join("probe"), "").is_ok() {
        skipped("a folder that cannot be written: the user who runs this test may write anywhere (root)");
        return;
    }
    let output = daemon.run_command(&["run"]);
    set_mode(0o700);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("agentcron.db") && stderr.contains("denied"), "{stderr}");
    assert_eq!(std::fs::read(daemon.database()).unwrap(), before);
}

fn count(runs: &[RunRecord], phase: &str) -> usize {
    runs.iter().filter(|run| run.phase == phase).count()
}

/// Asserts that a daemon refuses to start on this file with a message that contains these parts, and does not
/// change a byte of the file.
async fn assert_refused(name: &str, make: impl Fn(&Path), parts: &[&str]) {
    let daemon = Daemon::prepare(&Configuration::new(NO_BACKEND));
    make(&daemon.database());
    let before = std::fs::read(daemon.database()).unwrap();
    let output = daemon.run_command(&["run"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{name}: {stderr}");
    for part in parts.iter().chain(&["agentcron.db"]) {
        assert!(stderr.contains(part), "{name}: no {part:?} in {stderr}");
    }
    assert!(before == std::fs::read(daemon.database()).unwrap(), "{name}: the file was changed");
}

/// Creates a store as a stopped daemon leaves it.
fn make_store(path: &Path) {
    let store = agentcron::store::Store::open(
        path,
        agentcron::store::Execution::WriterThread,
        agentcron::domain::ids::InstallationId::default(),
        agentcron::clock::Clock::system(),
    )
    .unwrap();
    drop(store);
    assert!(path.exists());
}

fn cut(path: &Path, into: u64) {
    make_store(path);
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length / into).unwrap();
}

fn scribble(path: &Path) {
    make_store(path);
    let mut bytes = std::fs::read(path).unwrap();
    // The second page is the root of the first table.
    bytes[4096..4096 + 512].fill(0xa5);
    std::fs::write(path, bytes).unwrap();
}
