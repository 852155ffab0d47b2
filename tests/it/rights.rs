//! An agent server that refuses us: a run that cannot be followed says so at once, and goes on when it can be.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::faults::{joins, json_answer, posts_fence, queries_run, queries_thread, starts_our_run};
use super::support::agent_server::AgentServerOnPort;
use super::support::client::Client;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::free_port::free_address;
use super::support::history::RunRecord;
use super::support::proxy::{Fault, ProxiedRequest, Proxy};
use super::support::real_server::RealServer;
use super::support::receiver::Receiver;
use super::support::span::Span;

const PATIENCE: Duration = Duration::from_secs(120);
const ALWAYS: usize = usize::MAX;
const DENIED: &str = "the agent server refuses us (401): who are you?";

/// The value of a header of ours.
const NOTE: &str = "note-of-the-service";

fn denial() -> Fault {
    json_answer(401, r#"{"detail": "who are you?"}"#)
}

fn command(daemon: &Daemon, arguments: &[&str]) -> String {
    let output = daemon.run_command(arguments);
    assert!(matches!(output.status.code(), Some(0 | 5)), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn wait_until_denied(daemon: &Daemon, count: usize) -> Vec<RunRecord> {
    let denied = |runs: &[RunRecord]| runs.iter().filter(|run| run.reason_code == "backend_denied").count();
    daemon.wait_for_history_within(PATIENCE, "denials", |runs| denied(runs) == count).await
}

fn denied_now(daemon: &Daemon) -> Value {
    daemon.json(&["status"])[0]["denied"].clone()
}

/// Checks that the log has one line for the denials, however often they were tried, and one for their end.
fn assert_logged_once(daemon: &Daemon) {
    let log = daemon.stderr();
    assert_eq!(log.matches("access denied").count(), 1, "{log}");
    assert_eq!(log.matches("access granted again").count(), 1, "{log}");
}

#[tokio::test]
async fn a_run_that_cannot_be_followed_says_so_until_it_can_be() {
    let faults: [fn(&ProxiedRequest) -> bool; 2] = [
        |request| joins(request) || queries_run(request),
        |request| joins(request) || queries_thread(request),
    ];
    for is_denied in faults {
        let (server, receiver) = (AgentServerOnPort::start(), Receiver::start());
        let proxy = Proxy::start(server.address());
        proxy.inject(ALWAYS, is_denied, denial());
        let span = Span::once();
        let crons = ["one", "two"].map(|name| Cron::new(name, &span).webhook(&receiver.url("/hook")));
        let daemon = Daemon::start(&Configuration::new(&proxy.url()).crons(crons));
        let runs = wait_until_denied(&daemon, 2).await;
        for run in &runs {
            assert_eq!(
                (run.phase.as_str(), &run.reason),
                ("running", &format!("cannot be followed: {DENIED}"))
            );
            assert!(command(&daemon, &["show", &run.run_id]).contains("no access: cannot be followed"));
        }
        assert!(command(&daemon, &["history"]).contains("cannot be followed"));
        assert_eq!(denied_now(&daemon), json!({ "runs": 2, "threads": 0 }));
        let status = command(&daemon, &["status"]);
        assert!(status.contains("no access: 2 runs cannot be followed"), "{status}");
        assert!(status.contains("backend.api_key or backend.headers"), "{status}");
        // They are tried again before the server lets us.
        let tries = proxy.received().len();
        daemon
            .wait_within(PATIENCE, "another try", || (proxy.received().len() > tries + 1).then_some(()))
            .await;
        proxy.heal();
        let runs = daemon.wait_until_finished_within(PATIENCE, 2).await;
        let ended: Vec<_> = runs.iter().map(|run| (run.status.as_str(), run.reason.as_str())).collect();
        assert_eq!(ended, [("success", ""), ("success", "")]);
        assert_eq!(receiver.wait_for(2).await.len(), 2);
        assert_eq!(denied_now(&daemon), json!({ "runs": 0, "threads": 0 }));
        assert!(!command(&daemon, &["status"]).contains("no access"));
        assert_logged_once(&daemon);
    }
}

#[tokio::test]
async fn a_key_that_is_refused_is_one_line_and_one_outage_with_the_right_advice() {
    let server = AgentServerOnPort::start();
    let mut proxy = Proxy::start(server.address());
    let crons = [
        Cron::bare("goes").says("sleep 60").with("schedule = \"* * * * * *\""),
        Cron::bare("starts").with("schedule = \"* * * * * *\"\nstart_deadline = \"1s\"\noverlap = \"allow\""),
    ];
    let configuration = Configuration::new(&proxy.url()).backend("api_key = \"key-of-ours\"").crons(crons);
    let daemon = Daemon::start(&configuration);
    let goes = |runs: &[RunRecord]| runs.iter().any(|run| run.cron_name == "goes" && run.phase == "running");
    daemon.wait_for_history_within(PATIENCE, "a run", goes).await;
    proxy.inject(ALWAYS, |_| true, denial());
    proxy.go_down();
    proxy.come_up();
    let refused = |runs: &[RunRecord]| {
        let told = |cron: &str| {
            runs.iter()
                .any(|run| run.cron_name == cron && run.is_finished() && run.reason_code == "backend_denied")
        };
        told("goes") && told("starts")
    };
    daemon.wait_for_history_within(PATIENCE, "what did not run because of it", refused).await;
    let outage = || {
        let outages = daemon.json(&["outages"]);
        outages.into_iter().find(|outage| outage["what"] == "access")
    };
    let found = daemon.wait_within(PATIENCE, "the outage", outage).await;
    assert_eq!(found["why"], "401: who are you?; sent with x-api-key");
    let status = command(&daemon, &["status"]);
    assert!(status.contains("refuses us: 401: who are you?; sent with x-api-key"), "{status}");
    assert!(status.contains("correct backend.api_key or backend.headers and restart"), "{status}");
    assert!(!status.contains("start it"), "{status}");
    let failed = daemon.json(&["history", "--failed"]);
    assert!(
        failed.iter().any(|run| run["status"] == "skipped" && run["outage"]["what"] == "access"),
        "{failed:#?}"
    );
    proxy.heal();
    let is_over = || outage().filter(|outage| !outage["until"].is_null());
    daemon.wait_within(PATIENCE, "the end of the outage", is_over).await;
    daemon.wait_for_stderr("access granted again").await;
    assert_logged_once(&daemon);
    let log = daemon.stderr();
    let errors: Vec<_> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert!(errors.len() == 1 && errors[0].contains("x-api-key"), "{log}");
    assert!(!log.contains("key-of-ours"), "{log}");
}

#[tokio::test]
async fn what_was_said_of_a_run_before_is_said_again_afterwards() {
    let server = AgentServerOnPort::start();
    let proxy = Proxy::start(server.address());
    proxy.inject(1, starts_our_run, Fault::LoseReply);
    proxy.inject(ALWAYS, posts_fence, denial());
    let cron = Cron::new("lost", &Span::once()).says("sleep 2");
    let daemon =
        Daemon::start(&Configuration::new(&proxy.url()).backend("request_timeout = \"2s\"").cron(cron));
    let run = wait_until_denied(&daemon, 1).await.remove(0);
    assert_eq!(
        (run.phase.as_str(), run.reason),
        ("unconfirmed", format!("its start cannot be confirmed: {DENIED}"))
    );
    assert_eq!(denied_now(&daemon), json!({ "runs": 1, "threads": 0 }));
    let is_followed = |runs: &[RunRecord]| runs[0].reason.starts_with("cannot be followed");
    proxy.heal();
    proxy.inject(ALWAYS, |request| joins(request) || queries_run(request), denial());
    daemon.wait_for_history_within(PATIENCE, "the denial to follow", is_followed).await;
    proxy.heal();
    let run = daemon.wait_until_finished_within(PATIENCE, 1).await.remove(0);
    assert_eq!((run.status.as_str(), run.reason_code.as_str()), ("success", "adopted"), "{run:?}");
}

#[tokio::test]
async fn a_thread_that_cannot_be_deleted_is_told_and_deleted_later() {
    let server = AgentServerOnPort::start();
    let proxy = Proxy::start(server.address());
    proxy.inject(
        ALWAYS,
        |request| request.method == "DELETE",
        json_answer(403, r#"{"detail": "not yours"}"#),
    );
    let daemon = Daemon::start(&Configuration::new(&proxy.url()).cron(Cron::new("deletes", &Span::once())));
    let run = daemon.wait_until_finished_within(PATIENCE, 1).await.remove(0);
    daemon.wait_until("the denial", || denied_now(&daemon) == json!({ "runs": 0, "threads": 1 })).await;
    let shown = command(&daemon, &["show", &run.run_id]);
    let told = "no access: its thread cannot be deleted: the agent server refuses us (403): not yours";
    assert!(shown.contains(told), "{shown}");
    assert!(command(&daemon, &["status"]).contains("no access: 1 thread cannot be deleted"));
    assert_eq!((run.status.as_str(), run.reason.as_str()), ("success", ""));
    proxy.heal();
    daemon.wait_within(PATIENCE, "the deletion", || (daemon.deletions_due() == 0).then_some(())).await;
    assert_eq!(denied_now(&daemon), json!({ "runs": 0, "threads": 0 }));
    daemon.wait_for_stderr("access granted again").await;
    assert_logged_once(&daemon);
}

#[tokio::test]
async fn on_a_server_with_users_runs_are_followed_with_a_header_of_ours() {
    let server = RealServer::start_with_users();
    let receiver = Receiver::start();
    let address = free_address();
    let without = Configuration::new(&server.url()).http(&format!("listen = \"{address}\""));
    let cron = Cron::bare("ours").with("schedule = \"0 0 1 1 *\"\nstart_deadline = \"1h\"");
    let cron = cron.with("on_run_completed = \"keep\"").webhook(&receiver.url("/ours"));
    let without = without.cron(cron);
    let mut daemon = Daemon::start(&without);
    let alice = Client::new(address).with("authorization", "Bearer token-of-alice").ready().await;
    let thread = alice.post("/threads", &json!({})).await.json()["thread_id"].as_str().unwrap().to_owned();
    let run = json!({
        "assistant_id": "agent",
        "input": { "messages": [{ "role": "user", "content": "hello" }] },
        "webhook": receiver.url("/hook"),
    });
    let accepted = alice.post(&format!("/threads/{thread}/runs"), &run).await;
    assert_eq!(accepted.status, 200, "{}", accepted.text());
    let run = wait_until_denied(&daemon, 1).await.remove(0);
    assert_eq!((run.phase.as_str(), run.reason), ("running", format!("cannot be followed: {DENIED}")));
    assert_eq!(denied_now(&daemon), json!({ "runs": 1, "threads": 0 }));

    // Credentials of somebody else are no better: the server hides from them what is Alice's.
    let with = without.clone().backend("headers.authorization = \"Bearer ${{ env.SERVICE_TOKEN }}\"");
    daemon.write_config(&with);
    daemon.kill9();
    daemon.start_with(&[("SERVICE_TOKEN", "token-of-bob")]);
    let is_hidden = |runs: &[RunRecord]| runs[0].reason.contains("the agent server refuses us (404)");
    daemon.wait_for_history_within(PATIENCE, "the hidden run", is_hidden).await;
    assert_eq!(denied_now(&daemon), json!({ "runs": 1, "threads": 0 }));
    daemon.write_config(&without);
    daemon.kill9();
    daemon.start_again();
    Client::new(address).ready().await;

    // A cron of ours waits, and says why.
    daemon.json(&["trigger", "ours"]);
    let runs = wait_until_denied(&daemon, 2).await;
    let ours = runs.iter().find(|run| run.cron_name == "ours").unwrap();
    assert_eq!((ours.phase.as_str(), ours.reason.as_str()), ("pending", DENIED));
    assert_eq!(denied_now(&daemon), json!({ "runs": 1, "threads": 0 }));
    assert!(receiver.received().is_empty());

    let with = without.backend("headers.authorization = \"Bearer ${{ env.SERVICE_TOKEN }}\"");
    daemon.write_config(&with.backend("headers.x-service = \"${{ env.SERVICE_NOTE }}\""));
    daemon.kill9();
    daemon.start_with(&[("SERVICE_TOKEN", "token-of-service"), ("SERVICE_NOTE", NOTE)]);
    let runs = daemon.wait_until_finished_within(PATIENCE, 2).await;
    assert!(
        runs.iter().all(|run| run.status == "success" && run.reason_code != "backend_denied"),
        "{runs:#?}"
    );
    let received = receiver.wait_for(2).await;
    let body = received.iter().find(|request| request.path == "/hook").unwrap().json();
    assert_eq!(body["values"]["messages"][1]["content"], "echo: hello", "{body}");
    assert_eq!(denied_now(&daemon), json!({ "runs": 0, "threads": 0 }));
    // The server shows this header to its graphs, and reports it with the run.
    let ours = runs.iter().find(|run| run.cron_name == "ours").unwrap();
    let service = Client::new(server.address()).with("authorization", "Bearer token-of-service");
    let report = service.get(&format!("/threads/{}/runs/{}", ours.thread_id, ours.backend_run_id)).await;
    assert!(report.text().contains(NOTE), "{}", report.text());
    for shown in received.iter().map(|request| request.json().to_string()).chain([daemon.stderr()]) {
        assert!(!shown.contains(NOTE) && !shown.contains("token-of-service"), "{shown}");
    }
    assert!(!command(&daemon, &["show", "--json", &ours.run_id]).contains(NOTE));
    // Our credentials are not for a program that shows none.
    let stranger = Client::new(address).get(&format!("/threads/{thread}")).await;
    assert_eq!(stranger.status, 401);
    let bob = Client::new(address).with("authorization", "Bearer token-of-bob");
    assert_eq!(bob.get(&format!("/threads/{thread}")).await.status, 404);
    assert_eq!(bob.get(&format!("/threads/{}", Uuid::new_v4())).await.status, 404);
}
