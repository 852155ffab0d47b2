//! Who did what is on record: over the Unix socket, with a key, and by the daemon itself.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use agentcron::transport::BodyStream;
use futures_util::StreamExt;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::support::agent_server::AgentServerOnPort;
use super::support::client::Client;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::free_port::free_address;
use super::support::growing_list::PATIENCE;
use super::support::span::now;

const KEY: &str = "[http.keys.deploy]\nkey = \"act-key-of-16-characters\"\naccess = \"act\"";

fn printed(daemon: &Daemon, arguments: &[&str]) -> String {
    let output = daemon.run_command(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns what was done, by whom, to which cron and with which note.
fn in_short(acts: &[Value]) -> Vec<String> {
    let text = |act: &Value| {
        let by = [&act["by"]["kind"], &act["by"]["name"]].map(|part| part.as_str().unwrap_or("-"));
        let [what, cron, note] =
            ["what", "cron_name", "note"].map(|key| act[key].as_str().unwrap_or("-").to_owned());
        format!("{what} by {}: {cron} {note}", by.join(" "))
    };
    acts.iter().map(text).collect()
}

#[tokio::test]
async fn acts_say_who_did_what_to_which_cron() {
    let server = AgentServerOnPort::start();
    let address = free_address();
    let crons = [Cron::yearly("one"), Cron::yearly("fails").says("boom").with("pause_after_failures = 1")];
    let configuration = Configuration::new(&server.url()).http(&format!("listen = \"{address}\"")).http(KEY);
    let mut daemon = Daemon::start(&configuration.crons(crons));
    daemon.wait_for_stderr("ready").await;
    let client = Client::new(address).with("x-api-key", "act-key-of-16-characters").ready().await;
    printed(&daemon, &["pause", "one", "--note", "it \u{1b}[31mmoves"]);
    printed(&daemon, &["backfill", "one", "--from", "1h", "--dry-run"]);
    assert_eq!(client.post("/v1/crons/one/resume", &json!({})).await.status, 200);
    let triggered = client.post("/v1/crons/fails/trigger", &json!({})).await.json();
    let run_id = triggered["run_id"].as_str().unwrap().to_owned();
    daemon.wait_until("the pause after the failure", || daemon.json(&["acts"]).len() == 4).await;
    let created =
        client.post("/runs/crons", &json!({ "schedule": "@yearly", "assistant_id": "agent" })).await;
    assert_eq!(created.status, 200, "{}", created.text());
    let by_uid = format!("uid {}", std::fs::metadata(daemon.folder()).unwrap().uid());
    let name = created.json()["cron_id"].as_str().unwrap().to_owned();
    let expected = [
        format!("paused by {by_uid}: one it \u{1b}[31mmoves"),
        "resumed by key deploy: one -".to_owned(),
        "triggered by key deploy: fails -".to_owned(),
        "paused by agentcron -: fails 1 run failed (pause_after_failures = 1)".to_owned(),
        format!("created by key deploy: {name} -"),
    ];
    assert_eq!(in_short(&daemon.json(&["acts"])), expected);
    assert_eq!(in_short(&daemon.json(&["acts", "one"])), expected[..2]);
    assert_eq!(daemon.json(&["acts", "--until", "1h"]).len(), 0);
    let page = client.get("/v1/acts?limit=2").await.json();
    assert_eq!(in_short(page["items"].as_array().unwrap()), [expected[4].clone(), expected[3].clone()]);
    let cursor = page["next_cursor"].as_str().unwrap();
    let page = client.get(&format!("/v1/acts?cron=one&cursor={cursor}")).await.json();
    assert_eq!(in_short(page["items"].as_array().unwrap()), [expected[1].clone(), expected[0].clone()]);
    assert_eq!(client.get("/v1/acts?cron=oen").await.status, 404);

    let shown = printed(&daemon, &["show", "one"]);
    assert!(shown.contains(&format!("paused by {by_uid}: it ")) && !shown.contains('\u{1b}'), "{shown}");
    let shown = printed(&daemon, &["show", &run_id]);
    assert!(shown.contains("triggered by key deploy"), "{shown}");
    let table = printed(&daemon, &["history", "fails"]);
    let (run, act) = (table.find("ValueError: boom").unwrap(), table.find("(paused)").unwrap());
    assert!(table.find("(triggered)").unwrap() < run && run < act, "{table}");
    assert!(!printed(&daemon, &["history", "fails", "--failed"]).contains("(paused)"));
    assert_eq!(daemon.json(&["history", "fails"]).len(), 1);
    daemon.terminate();
    daemon.wait_for_exit().await;
    assert_eq!(in_short(&daemon.json(&["acts"])), expected, "and while it is down");
}

#[tokio::test]
async fn all_crons_are_paused_and_resumed_with_and_without_a_daemon() {
    let server = AgentServerOnPort::start();
    let every_second = |name: &str| Cron::bare(name).with("schedule = \"* * * * * *\"");
    let mut daemon = Daemon::prepare(&Configuration::new(&server.url()).cron(every_second("one")));
    let refused = daemon.run_command(&["pause", "--all"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("there is no database yet"), "{refused:?}");
    daemon.start_again();
    daemon.wait_for_stderr("ready").await;
    let succeeded = |daemon: &Daemon| daemon.json(&["history", "--status", "success"]).len();
    daemon.wait_until("a run", || succeeded(&daemon) > 0).await;
    daemon.terminate();
    daemon.wait_for_exit().await;
    let paused = printed(&daemon, &["pause", "--all", "--note", "upgrade"]);
    assert!(paused.starts_with("all crons are paused; `agentcron resume --all`"), "{paused}");
    let ran = succeeded(&daemon);
    daemon.start_again();
    let skipped = |daemon: &Daemon| {
        let records = daemon.json(&["history", "--reason", "paused"]);
        records.iter().filter_map(|record| record["occurrences"].as_u64()).sum::<u64>()
    };
    daemon.wait_until("three skipped occurrences", || skipped(&daemon) >= 3).await;
    assert_eq!(succeeded(&daemon), ran);
    let status = printed(&daemon, &["status"]);
    assert!(
        status.starts_with("all crons (since ") && status.contains("paused: upgrade; nothing"),
        "{status}"
    );
    assert_eq!(daemon.json(&["status"])[0]["all_paused"]["note"], "upgrade");
    assert!(printed(&daemon, &["list"]).contains("all crons were paused: upgrade"));
    assert_eq!(daemon.json(&["list", "--state", "paused"]).len(), 1);
    assert!(
        printed(&daemon, &["explain", "one", "--at", "2030-01-01"]).contains("all crons have been paused")
    );
    let resumed = printed(&daemon, &["resume", "one"]);
    assert!(resumed.contains("but all crons are: `agentcron resume --all`"), "{resumed}");
    printed(&daemon, &["trigger", "one"]);
    daemon.wait_until("the triggered run", || succeeded(&daemon) == ran + 1).await;
    assert_eq!(
        printed(&daemon, &["resume", "--all"]),
        "all crons are resumed, except those that are paused by themselves\n"
    );
    daemon.wait_until("a run of the schedule", || succeeded(&daemon) > ran + 1).await;
    assert!(!printed(&daemon, &["status"]).contains("all crons"));

    let until = Timestamp::from_second(now().as_second() + 3).unwrap().to_string();
    let paused = printed(&daemon, &["pause", "one", "--until", &until]);
    assert!(paused.starts_with("one is paused until "), "{paused}");
    assert_eq!(daemon.json(&["list"])[0]["paused"]["until"].as_str(), Some(until.as_str()));
    let last_act = |daemon: &Daemon| in_short(&daemon.json(&["acts", "-n", "1"])).pop();
    let ended = Some("resumed by agentcron -: one the pause was over".to_owned());
    daemon.wait_until("the end of the pause", || last_act(&daemon) == ended).await;
    let ran = succeeded(&daemon);
    daemon.wait_until("a run after the pause", || succeeded(&daemon) > ran).await;
    let passed = daemon.run_command(&["pause", "--all", "--until", "2020-01-01"]);
    assert_eq!(passed.status.code(), Some(2), "{passed:?}");
}

#[tokio::test]
async fn a_triggered_run_can_have_an_input_of_its_own_and_be_waited_for() {
    let server = AgentServerOnPort::start();
    let crons = [Cron::yearly("works"), Cron::yearly("fails").says("boom")];
    let address = free_address();
    let configuration = Configuration::new(&server.url()).http(&format!("listen = \"{address}\""));
    let daemon = Daemon::start(&configuration.crons(crons));
    daemon.wait_for_stderr("ready").await;
    let waited = |arguments: &[&str]| {
        let output = daemon.run_command(&[arguments, &["--wait"]].concat());
        let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code(), out, err)
    };
    let input = daemon.folder().join("input.json");
    std::fs::write(&input, r#"{ "messages": [{ "role": "user", "content": "boom" }] }"#).unwrap();
    let input = input.to_str().unwrap();
    let (code, out, err) = waited(&["trigger", "works"]);
    assert!(code == Some(0) && out.contains("success") && err.is_empty(), "{code:?} {out} {err}");
    let (code, out, err) = waited(&["trigger", "works", "--input", input]);
    assert!(code == Some(1) && out.contains("ValueError: boom"), "{code:?} {out}");
    assert!(err.contains("did not succeed: error"), "{err}");
    let (code, out, _) = waited(&["trigger", "fails", "--json"]);
    let run: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &run["status"]), (Some(1), &json!("error")));
    std::fs::write(input, r#"{ "messages": [{ "role": "user", "content": "hi" }] }"#).unwrap();
    let (code, out, _) = waited(&["retry", run["run_id"].as_str().unwrap(), "--input", input, "--json"]);
    let run: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &run["status"], &run["retry"]), (Some(0), &json!("success"), &json!(1)));
    std::fs::write(input, r#"{ "text": "${{ env.HOME }}" }"#).unwrap();
    let refused = daemon.run_command(&["trigger", "works", "--input", input]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("expected plain values"), "{refused:?}");
    // What an error says must not be found out by trying.
    let stranger = Client::new(address).ready().await;
    assert_eq!(stranger.get("/v1/runs?grep=boom").await.status, 403);
    assert_eq!(stranger.get("/v1/acts").await.status, 200);
    let last = &daemon.json(&["acts", "works"])[1];
    assert_eq!((&last["what"], &last["note"]), (&json!("triggered"), &json!("with another input")));
}

#[tokio::test]
async fn a_signal_ends_the_waiting_and_not_the_run() {
    let server = AgentServerOnPort::start();
    let daemon = Daemon::start(&Configuration::new(&server.url()).cron(Cron::yearly("slow").says("sleep 3")));
    daemon.wait_for_stderr("ready").await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentcron"));
    let command = command.args(["trigger", "slow", "--wait", "--config"]).arg(daemon.config_path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("of slow is starting"), "{line}");
    let interrupt = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("goes on"), "{output:?}");
    let succeeded = || daemon.json(&["history", "--status", "success"]).len() == 1;
    daemon.wait_until("the end of the run", succeeded).await;
}

/// Reads a feed until an event contains this text, and returns what was read.
async fn read_until(feed: &mut BodyStream, text: &str) -> String {
    let mut read = String::new();
    while !read.contains(text) {
        let piece = tokio::time::timeout(PATIENCE, feed.next()).await;
        let piece = piece.unwrap_or_else(|_| panic!("no {text} in {read}"));
        read += std::str::from_utf8(&piece.unwrap().unwrap()).unwrap();
    }
    read
}

#[tokio::test]
async fn a_feed_tells_what_changes_and_ends_at_once_when_the_daemon_stops() {
    let server = AgentServerOnPort::start();
    let address = free_address();
    let keys = format!("{KEY}\n[http.keys.app]\nkey = \"client-key-of-16-characters\"\naccess = \"client\"");
    let configuration =
        Configuration::new(&server.url()).http(&format!("listen = \"{address}\"")).http(&keys);
    let mut daemon = Daemon::start(&configuration.cron(Cron::yearly("one")));
    daemon.wait_for_stderr("ready").await;
    let client = Client::new(address).with("x-api-key", "act-key-of-16-characters").ready().await;
    let forbidden =
        Client::new(address).with("x-api-key", "client-key-of-16-characters").get("/v1/events").await;
    assert_eq!(forbidden.status, 403);
    let response = client.open("GET", "/v1/events", "").await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut feed = response.into_body();
    read_until(&mut feed, "event: changed\ndata: {\"what\":\"daemon\",\"cron\":null,\"run_id\":null}\n\n")
        .await;
    printed(&daemon, &["pause", "one"]);
    read_until(&mut feed, "data: {\"what\":\"cron\",\"cron\":\"one\",\"run_id\":null}\n\n").await;
    printed(&daemon, &["pause", "--all"]);
    read_until(&mut feed, "data: {\"what\":\"cron\",\"cron\":null,\"run_id\":null}\n\n").await;
    let run = client.post("/v1/crons/one/trigger", &json!({})).await.json();
    let changed = format!("data: {{\"what\":\"run\",\"cron\":\"one\",\"run_id\":{}}}\n\n", run["run_id"]);
    read_until(&mut feed, &changed).await;
    let mut others = Vec::new();
    let full = loop {
        let response = client.open("GET", "/v1/events", "").await;
        match response.status().as_u16() {
            200 => others.push(response.into_body()),
            status => break status,
        }
    };
    assert_eq!((full, others.len()), (503, 63));
    drop(others.pop());
    let freed = async {
        while client.open("GET", "/v1/events", "").await.status() != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, freed).await.expect("the place of a feed that was closed");
    // It would wait for other streams for an hour.
    daemon.terminate();
    daemon.wait_for_exit().await;
    while let Some(piece) = tokio::time::timeout(PATIENCE, feed.next()).await.unwrap() {
        piece.unwrap();
    }
}
