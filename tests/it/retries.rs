//! Failed runs that are retried, by themselves and by hand: the real daemon on an agent server.

use std::time::Duration;

use serde_json::{Value, json};

use super::faults::{json_answer, queries_run};
use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::final_checks::assert_started_once;
use super::support::history::RunRecord;
use super::support::proxy::Proxy;
use super::support::real_server::RealServer;
use super::support::receiver::{Received, Receiver};
use super::support::span::Span;

/// Returns a cron that occurs once, fails, and is retried by these rules.
fn fails(name: &str, retry: &str) -> Cron {
    Cron::new(name, &Span::once()).says("boom").with(&format!("retry = {{ {retry} }}"))
}

/// Waits until a run has failed and its retry waits, and returns the id of the retry.
async fn waiting_retry(daemon: &Daemon) -> String {
    let is_waiting = |run: &RunRecord| run.phase == "pending";
    let holds = |runs: &[RunRecord]| runs.len() == 2 && runs.iter().any(is_waiting);
    let runs = daemon.wait_for_history("a retry that waits", holds).await;
    assert!(is_waiting(&runs[1]), "{runs:#?}");
    runs[1].run_id.clone()
}

fn retry_of(request: &Received) -> (Value, Value) {
    let metadata = &request.json()["metadata"];
    (metadata["agentcron_retry"].clone(), metadata["agentcron_status"].clone())
}

fn statuses(runs: &[RunRecord]) -> Vec<&str> {
    runs.iter().map(|run| run.status.as_str()).collect()
}

fn output(daemon: &Daemon, arguments: &[&str]) -> String {
    String::from_utf8(daemon.run_command(arguments).stdout).unwrap()
}

#[tokio::test]
async fn two_failures_and_a_success_are_one_occurrence_with_one_webhook() {
    let server = AgentServerOnPort::start();
    let proxy = Proxy::start(server.address());
    let report = r#"{"run_id": "01a2081f-740d-7775-bcd5-db522831835e", "status": "error"}"#;
    proxy.inject(2, queries_run, json_answer(200, report));
    let receiver = Receiver::start();
    let cron = fails("flaky", r#"max = 3, backoff = "1s", factor = 1.5"#).says("hi");
    let daemon = Daemon::start(&Configuration::new(&proxy.url()).cron(cron.webhook(&receiver.url("/hook"))));
    let runs = daemon
        .wait_for_history("a success", |runs| {
            runs.iter().any(|run| run.status == "success") && runs.iter().all(RunRecord::is_finished)
        })
        .await;
    assert_eq!(statuses(&runs), ["error", "error", "success"]);
    assert!(runs.iter().all(|run| run.scheduled_for == runs[0].scheduled_for));
    assert!(runs.windows(2).all(|pair| pair[1].started_at >= pair[0].ended_at), "{runs:#?}");
    assert_started_once(&server.ledger(), &runs);
    let on_server: Vec<Value> =
        server.ledger().iter().map(|entry| entry.metadata["agentcron_retry"].clone()).collect();
    assert_eq!(on_server, [0, 1, 2]);
    let received = receiver.wait_for(1).await;
    assert_eq!(retry_of(&received[0]), (json!(2), json!("success")));
    assert_eq!(daemon.json(&["webhook", "list"]).len(), 1);

    let history = output(&daemon, &["history"]);
    assert!(history.contains("retry 1;") && history.contains("retry 2"), "{history}");
    let second = format!("cron=flaky run_id={} retry=1 status=error ", runs[1].run_id);
    assert_eq!(daemon.stderr().matches(&second).count(), 1, "{}", daemon.stderr());
    assert_eq!(daemon.stderr().matches(" retry=").count(), 1, "{}", daemon.stderr());
    let details = &daemon.json(&["show", &runs[1].run_id])[0];
    let known: Vec<_> = details["runs"].as_array().unwrap().iter().map(|run| run["run_id"].clone()).collect();
    assert_eq!(known, runs.iter().map(|run| json!(run.run_id)).collect::<Vec<_>>());
    assert_eq!(details["events"][0]["event"], "retried");
    let shown = output(&daemon, &["show", &runs[1].run_id]);
    assert!(shown.contains("retry 2 of 3 is due at") && shown.contains(&runs[2].run_id), "{shown}");
    let at = runs[0].scheduled_for.to_string();
    let explained = output(&daemon, &["explain", "flaky", "--at", &at]);
    assert!(runs.iter().all(|run| explained.contains(&run.run_id)), "{explained}");
    let status = &daemon.json(&["status"])[0];
    assert_eq!(status["ended_24h"], json!({ "success": 1 }), "{status}");
}

#[tokio::test]
async fn each_run_tells_of_its_end_if_that_is_wanted() {
    let server = AgentServerOnPort::start();
    let receiver = Receiver::start();
    let cron =
        fails("told", r#"max = 1, backoff = "1s", webhook_each = true"#).webhook(&receiver.url("/hook"));
    let daemon = Daemon::start(&Configuration::new(&server.url()).cron(cron));
    let runs = daemon.wait_until_finished(2).await;
    assert_eq!(statuses(&runs), ["error", "error"]);
    let received = receiver.wait_for(2).await;
    let told: Vec<_> = received.iter().map(retry_of).collect();
    assert_eq!(told, [(json!(0), json!("error")), (json!(1), json!("error"))]);
}

#[tokio::test]
async fn a_daemon_that_dies_between_two_runs_goes_on_and_tells_once() {
    let server = AgentServerOnPort::start();
    let receiver = Receiver::start();
    let cron = fails("killed", r#"max = 1, backoff = "4s""#).webhook(&receiver.url("/hook"));
    let mut daemon = Daemon::start(&Configuration::new(&server.url()).cron(cron));
    waiting_retry(&daemon).await;
    daemon.kill9();
    daemon.start_again();
    let runs = daemon.wait_until_finished(2).await;
    assert_eq!(statuses(&runs), ["error", "error"]);
    assert_started_once(&server.ledger(), &runs);
    assert_eq!(receiver.wait_for(1).await.len(), 1);
    assert_eq!(daemon.json(&["webhook", "list"]).len(), 1);
}

#[tokio::test]
async fn each_run_may_take_so_long_and_the_occurrence_so_long() {
    let server = AgentServerOnPort::start();
    let receiver = Receiver::start();
    let slow = |name: &str, retry: &str| {
        fails(name, retry).says("sleep 1000").webhook(&receiver.url(&format!("/{name}")))
    };
    let crons = [
        slow("each", r#"max = 1, backoff = "1s", timeout_each = "1s""#),
        slow("all", r#"max = 1, backoff = "1s""#).with("timeout = \"2s\""),
    ];
    let daemon = Daemon::start(&Configuration::new(&server.url()).crons(crons));
    daemon.wait_until_finished(3).await;
    let received = receiver.wait_for(2).await;
    let mut told: Vec<_> = received.iter().map(|request| (request.path.clone(), retry_of(request))).collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [
        ("/all".to_owned(), (json!(0), json!("timeout"))),
        ("/each".to_owned(), (json!(1), json!("timeout"))),
    ];
    assert_eq!(told, expected);
    let reason = daemon.history().into_iter().find(|run| run.cron_name == "each").unwrap().reason;
    assert!(reason.contains("longer than 1s"), "{reason}");
}

#[tokio::test]
async fn an_occurrence_that_waits_for_its_retry_is_in_progress() {
    let server = AgentServerOnPort::start();
    let cron =
        Cron::new("often", &Span::soon(1, 4)).says("boom").with(r#"retry = { max = 1, backoff = "4s" }"#);
    let daemon = Daemon::start(&Configuration::new(&server.url()).cron(cron));
    let runs = daemon
        .wait_for_history("the retry to end", |runs| {
            runs.iter().filter(|run| run.status == "error").count() == 2 && runs.len() >= 4
        })
        .await;
    let overlaps = runs.iter().filter(|run| run.reason_code == "overlap").count();
    assert!(overlaps >= 2, "{runs:#?}");
}

#[tokio::test]
async fn what_drops_a_waiting_retry_lets_the_failure_be_told() {
    let server = AgentServerOnPort::start();
    for how in ["pause", "remove", "cancel"] {
        let receiver = Receiver::start();
        let cron = fails("dropped", r#"max = 1, backoff = "1h""#).webhook(&receiver.url("/hook"));
        let configuration = Configuration::new(&server.url());
        let daemon = Daemon::start(&configuration.clone().cron(cron));
        let run_id = waiting_retry(&daemon).await;
        assert!(receiver.received().is_empty(), "{how}");
        match how {
            "pause" => drop(daemon.json(&["pause", "dropped"])),
            "cancel" => drop(daemon.json(&["cancel", &run_id])),
            _ => daemon.write_config(&configuration.cron(Cron::bare("other").with("schedule = \"@yearly\""))),
        }
        let received = receiver.wait_for(1).await;
        assert_eq!(retry_of(&received[0]), (json!(0), json!("error")), "{how}");
        let runs = daemon.wait_until_finished(2).await;
        assert!(["skipped", "cancelled"].contains(&runs[1].status.as_str()), "{how}: {runs:#?}");
        assert_eq!(receiver.received().len(), 1, "{how}");
    }
}

#[tokio::test]
async fn a_run_is_retried_by_hand_with_another_input() {
    let server = AgentServerOnPort::start();
    let receiver = Receiver::start();
    let cron = Cron::bare("asked").with("schedule = \"0 0 1 1 *\"").says("boom");
    let daemon = Daemon::start(&Configuration::new(&server.url()).cron(cron.webhook(&receiver.url("/hook"))));
    daemon.wait_until("the socket", || daemon.folder().join("agentcron.sock").exists()).await;
    let run_id = daemon.json(&["trigger", "asked"])[0]["run_id"].as_str().unwrap().to_owned();
    daemon.wait_until_finished(1).await;
    let input = |text: &str| {
        let path = daemon.folder().join("input.json");
        let messages = json!({ "messages": [{ "role": "user", "content": text }] });
        std::fs::write(&path, messages.to_string()).unwrap();
        path.display().to_string()
    };
    let refused = daemon.run_command(&["retry", &run_id, "--input", &input("${{ env.HOME }}")]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("placeholders"), "{refused:?}");
    let retry = daemon.json(&["retry", &run_id, "--input", &input("hi")])[0].clone();
    assert_eq!((&retry["retry"], &retry["trigger"]), (&json!(1), &json!("manual")));
    let runs = daemon.wait_until_finished(2).await;
    assert_eq!(statuses(&runs), ["error", "success"]);
    let received = receiver.wait_for(2).await;
    assert_eq!(retry_of(&received[1]), (json!(1), json!("success")));
    assert_eq!(received[1].json()["kwargs"]["input"]["messages"][0]["content"], "hi");
    let plain = output(&daemon, &["retry", &run_id]);
    assert!(plain.contains("of asked is starting: retry 2"), "{plain}");
    assert_eq!(statuses(&daemon.wait_until_finished(3).await), ["error", "success", "error"]);
}

#[tokio::test]
async fn a_failing_graph_is_retried_on_the_real_server() {
    let server = RealServer::shared();
    let receiver = Receiver::start();
    let cron = fails("real", r#"max = 2, backoff = "1s", factor = 1"#).webhook(&receiver.url("/hook"));
    let daemon =
        Daemon::start(&Configuration::new(&server.url()).cron(cron.with("start_deadline = \"10m\"")));
    let runs = daemon
        .wait_for_history_within(Duration::from_secs(120), "three runs", |runs| {
            runs.len() == 3 && runs.iter().all(RunRecord::is_finished)
        })
        .await;
    assert_eq!(statuses(&runs), ["error"; 3]);
    let threads: std::collections::BTreeSet<_> = runs.iter().map(|run| &run.thread_id).collect();
    assert_eq!(threads.len(), 3, "each has a thread of its own");
    let received = receiver.wait_for(1).await;
    assert_eq!(retry_of(&received[0]), (json!(2), json!("error")));
    assert_eq!(daemon.json(&["webhook", "list"]).len(), 1);
}
