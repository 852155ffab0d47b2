//! Control of webhooks while the daemon runs, by the real commands and the real files: hold, release at a rate, disable,
//! replay, resume.

use std::time::Duration;

use serde_json::Value;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::receiver::{Receiver, Reply};

/// Returns a cron that runs only when it is triggered.
fn triggered_cron(receiver: &Receiver) -> Cron {
    Cron::bare("notified")
        .with("schedule = \"0 0 1 1 *\"\noverlap = \"allow\"")
        .webhook(&receiver.url("/hook?token=sesame"))
}

/// Waits until the daemon responds, because its socket may be one that a killed process has left behind.
async fn wait_for_daemon(daemon: &Daemon) {
    let responds =
        || daemon.run_command(&["webhook", "replay", "--status", "failed", "--dry-run"]).status.success();
    daemon.wait_until("the daemon to respond", responds).await;
}

fn trigger(daemon: &Daemon) -> String {
    daemon.json(&["trigger", "notified"])[0]["run_id"].as_str().unwrap().to_owned()
}

fn webhooks(daemon: &Daemon, status: &str) -> Vec<Value> {
    daemon.json(&["webhook", "list", "--status", status])
}

async fn wait_for_webhooks(daemon: &Daemon, status: &str, count: usize) -> Vec<Value> {
    daemon.wait_until(&format!("{count} {status}"), || webhooks(daemon, status).len() == count).await;
    webhooks(daemon, status)
}

fn output(daemon: &Daemon, arguments: &[&str]) -> String {
    let output = daemon.run_command(arguments);
    // What is not well may be what a test is about.
    assert!(matches!(output.status.code(), Some(0 | 5)), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn first_line(daemon: &Daemon) -> String {
    output(daemon, &["status"]).lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn a_hold_survives_a_restart_and_its_release_keeps_to_a_rate() {
    let server = AgentServerOnPort::start();
    let receiver = Receiver::start();
    let mut daemon = Daemon::start(&Configuration::new(&server.url()).cron(triggered_cron(&receiver)));
    wait_for_daemon(&daemon).await;
    assert_eq!(first_line(&daemon), "all is well");
    let held = &daemon.json(&["webhook", "hold", "--note", "the receiver moves"])[0];
    assert_eq!((&held["before"]["state"], &held["now"]["state"]), (&"free".into(), &"held".into()));
    let runs: Vec<String> = (0..6).map(|_| trigger(&daemon)).collect();
    let waiting = wait_for_webhooks(&daemon, "pending", 6).await;
    assert!(
        waiting.iter().all(|row| row["held_since"].is_string() && row["attempts_made"] == 0),
        "{waiting:?}"
    );

    daemon.kill9();
    daemon.start_again();
    wait_for_daemon(&daemon).await;
    let line = first_line(&daemon);
    assert!(
        line.starts_with("webhooks (since") && line.contains(": held: the receiver moves; 6 wait"),
        "{line}"
    );
    let shown = output(&daemon, &["webhook", "show", &runs[0]]);
    assert!(shown.contains("held: the receiver moves, since "), "{shown}");
    assert!(output(&daemon, &["webhook", "list"]).contains("held: the receiver moves"));
    assert_eq!(receiver.received().len(), 0, "nothing is sent during a hold");

    let released = &daemon.json(&["webhook", "release", "--rate", "2/s"])[0];
    assert_eq!((&released["now"]["state"], &released["now"]["per_second"]), (&"released".into(), &2.into()));
    let arrived = receiver.wait_for(6).await;
    let took = arrived[5].arrived - arrived[0].arrived;
    // There are five gaps of half a second.
    assert!(took >= Duration::from_millis(2000), "{took:?}");
    wait_for_webhooks(&daemon, "delivered", 6).await;
    let order: Vec<&str> = arrived.iter().map(|request| request.header("webhook-id")).collect();
    assert_eq!(order.len(), runs.iter().filter(|run| order.contains(&format!("msg_{run}").as_str())).count());
    trigger(&daemon);
    wait_for_webhooks(&daemon, "delivered", 7).await;
    assert_eq!(first_line(&daemon), "all is well", "the release ended by itself");
}

#[tokio::test]
async fn what_is_too_old_at_a_release_is_suppressed_and_can_be_replayed() {
    let server = AgentServerOnPort::start();
    let receiver = Receiver::start();
    let daemon = Daemon::start(&Configuration::new(&server.url()).cron(triggered_cron(&receiver)));
    wait_for_daemon(&daemon).await;
    daemon.json(&["webhook", "hold"]);
    trigger(&daemon);
    wait_for_webhooks(&daemon, "pending", 1).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let released = &daemon.json(&["webhook", "release", "--discard-older-than", "1s"])[0];
    assert_eq!((&released["discarded"], &released["waiting"]), (&1.into(), &0.into()));
    let discarded = &wait_for_webhooks(&daemon, "suppressed", 1).await[0];
    assert!(discarded["reason"].as_str().unwrap().contains("older than 1s"), "{discarded}");
    assert_eq!(receiver.received().len(), 0);
    let dry = &daemon.json(&["webhook", "replay", "--status", "suppressed", "--dry-run"])[0];
    assert_eq!((&dry["replayed"], &dry["by_status"]["suppressed"]), (&1.into(), &1.into()));
    daemon.json(&["webhook", "replay", "--status", "suppressed"]);
    wait_for_webhooks(&daemon, "delivered", 1).await;
    assert_eq!(
        daemon.run_command(&["webhook", "replay"]).status.code(),
        Some(2),
        "a replay must say which webhooks"
    );
    assert_eq!(daemon.run_command(&["webhook", "replay", "--status", "sending"]).status.code(), Some(2));
    assert_eq!(daemon.run_command(&["webhook", "release", "--rate", "5/m"]).status.code(), Some(2));
}

#[tokio::test]
async fn webhooks_are_disabled_and_enabled_by_the_file_and_a_replay_sends_the_same() {
    let server = AgentServerOnPort::start();
    let receiver = Receiver::start();
    let configuration = Configuration::new(&server.url());
    let with =
        |http: &str, top: &str| configuration.clone().http(http).top(top).cron(triggered_cron(&receiver));
    let daemon = Daemon::start(&with("", ""));
    wait_for_daemon(&daemon).await;
    receiver.reply_always(Reply::status(503));
    let run = trigger(&daemon);
    let first = receiver.wait_for(1).await.remove(0);
    wait_for_webhooks(&daemon, "pending", 1).await;

    daemon.write_config(&with("disable_webhooks = true", ""));
    let waited = &wait_for_webhooks(&daemon, "suppressed", 1).await[0];
    assert!(waited["reason"].as_str().unwrap().contains("http.disable_webhooks"), "{waited}");
    trigger(&daemon);
    wait_for_webhooks(&daemon, "suppressed", 2).await;
    assert!(output(&daemon, &["status"]).contains("disabled (http.disable_webhooks): recorded, not sent"));
    let refused = daemon.run_command(&["webhook", "replay", &run]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("webhooks are disabled"), "{refused:?}");
    assert_eq!(receiver.received().len(), 1, "nothing is sent while they are disabled");

    // Webhooks are enabled again, and get a new header, both without a restart.
    receiver.reply_always(Reply::status(200));
    daemon.write_config(&with("", "webhooks.headers = { x-new = \"now\" }"));
    daemon.wait_for_stderr("webhooks enabled; suppressed ones stay unsent").await;
    assert!(!daemon.stderr().contains("settings not reloaded"), "{}", daemon.stderr());
    assert!(output(&daemon, &["status"]).contains("2 webhooks, not sent; `agentcron webhook replay"));
    assert_eq!(webhooks(&daemon, "suppressed").len(), 2, "suppressed webhooks are not sent by themselves");
    daemon.json(&["webhook", "replay", &run]);
    let again = receiver.wait_for(2).await.remove(1);
    assert_eq!(again.header("webhook-id"), first.header("webhook-id"));
    assert_eq!(again.body, first.body);
    assert_eq!((first.header("x-new"), again.header("x-new")), ("", "now"));
    wait_for_webhooks(&daemon, "delivered", 1).await;
    let shown = &daemon.json(&["webhook", "show", &run])[0];
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 2, "{shown}");
}

#[tokio::test]
async fn a_url_that_is_gone_is_suspended_until_one_of_its_webhooks_is_replayed() {
    let server = AgentServerOnPort::start();
    let receiver = Receiver::start();
    receiver.reply_always(Reply::status(410));
    let daemon = Daemon::start(&Configuration::new(&server.url()).cron(triggered_cron(&receiver)));
    wait_for_daemon(&daemon).await;
    let run = trigger(&daemon);
    wait_for_webhooks(&daemon, "gone", 1).await;
    trigger(&daemon);
    let gone = wait_for_webhooks(&daemon, "gone", 2).await;
    assert_eq!(receiver.received().len(), 1, "no request is made to a suspended URL");
    let reason = gone[1]["reason"].as_str().unwrap();
    assert!(reason.contains("suspended since") && reason.contains("410"), "{reason}");
    let line = first_line(&daemon);
    assert!(
        line.starts_with("URL http://127.0.0.1")
            && line.contains(": suspended: ")
            && !line.contains("sesame"),
        "{line}"
    );
    let attention = daemon.json(&["status"])[0]["attention"].clone();
    let kinds: Vec<_> = attention.as_array().unwrap().iter().map(|one| &one["what"]).collect();
    assert_eq!(kinds, ["url_suspended"]);

    receiver.reply_always(Reply::status(200));
    let replayed = output(&daemon, &["webhook", "replay", &run]);
    assert!(
        replayed.contains("was suspended; deliveries to it are resumed") && !replayed.contains("sesame"),
        "{replayed}"
    );
    wait_for_webhooks(&daemon, "delivered", 1).await;
    trigger(&daemon);
    wait_for_webhooks(&daemon, "delivered", 2).await;
    // This time the suspension is ended by `webhook resume`.
    receiver.reply_always(Reply::status(400).header("webhook-delivery", "disable"));
    trigger(&daemon);
    daemon.wait_until("a suspension", || first_line(&daemon).contains("suspended")).await;
    assert_eq!(daemon.run_command(&["webhook", "resume", "example.com"]).status.code(), Some(2));
    let resumed = output(&daemon, &["webhook", "resume", "/hook"]);
    assert!(resumed.contains("are resumed") && !resumed.contains("sesame"), "{resumed}");
}
