//! `status` says what is wrong, the worst first, and its exit code and that of `health` say whether somebody has to act.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::{Daemon, POLL_EVERY};
use super::support::free_port::free_address;
use super::support::proxy::Proxy;

const PATIENCE: Duration = Duration::from_secs(60);

fn every_second(name: &str) -> Cron {
    Cron::bare(name).with("schedule = \"* * * * * *\"")
}

/// Returns the exit code and the output.
fn run(daemon: &Daemon, arguments: &[&str]) -> (Option<i32>, String) {
    let output = daemon.run_command(arguments);
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// Waits until status has a line that begins and goes on like this, and returns which one it is.
async fn wait_for_line(daemon: &Daemon, begins: &str, says: &str) -> usize {
    let began = Instant::now();
    loop {
        let (_, shown) = run(daemon, &["status"]);
        let found = shown.lines().position(|line| line.starts_with(begins) && line.contains(says));
        if let Some(position) = found {
            return position;
        }
        assert!(began.elapsed() < PATIENCE, "no line begins with {begins:?} and has {says:?}:\n{shown}");
        sleep(POLL_EVERY).await;
    }
}

fn kinds(daemon: &Daemon) -> Vec<String> {
    let attention = daemon.json(&["health"]).remove(0)["attention"].clone();
    let kind = |one: &Value| one["what"].as_str().unwrap().to_owned();
    attention.as_array().unwrap().iter().map(kind).collect()
}

#[tokio::test]
async fn a_daemon_that_has_its_store_alone_is_listed_while_it_lives_and_once_it_is_killed() {
    let server = AgentServerOnPort::start();
    let mut daemon = Daemon::start(
        &Configuration::new(&server.url()).cron(Cron::bare("a").with("schedule = \"@yearly\"")),
    );
    daemon.wait_for_stderr("daemon ready").await;
    let listed = daemon.json(&["daemons"]);
    assert_eq!(listed.len(), 1, "{listed:?}");
    let holds = serde_json::json!({ "runs": 0, "webhooks": 0, "threads": 0 });
    assert_eq!((&listed[0]["state"], &listed[0]["holds"]), (&"live".into(), &holds));
    assert_eq!(listed[0]["pid"].as_u64(), daemon.process_id().map(u64::from));
    assert_eq!(daemon.json(&["status"])[0]["daemons"].as_array(), Some(&listed));
    let (_, shown) = run(&daemon, &["daemons"]);
    assert!(shown.contains("live") && shown.contains("nothing"), "{shown}");
    daemon.kill9();
    assert_eq!(daemon.json(&["daemons"])[0]["state"], "lost");
    let (_, shown) = run(&daemon, &["status"]);
    assert!(
        shown.lines().any(|line| line.starts_with("daemons ") && line.contains("lost: 1 on ")),
        "{shown}"
    );
    daemon.start_again();
    daemon
        .wait_until("the next one to be there alone", || {
            let listed = daemon.json(&["daemons"]);
            listed.len() == 1 && listed[0]["number"] == 2 && listed[0]["state"] == "live"
        })
        .await;
    daemon.terminate();
    daemon.wait_for_exit().await;
    assert_eq!(run(&daemon, &["daemons"]).1, "no daemon\n");
}

#[tokio::test]
async fn what_is_wrong_comes_first_and_is_gone_when_it_is_over() {
    let server = AgentServerOnPort::start();
    let mut proxy = Proxy::start(server.address());
    let well = [every_second("works")];
    let configuration = Configuration::new(&proxy.url()).crons(well.clone());
    let daemon = Daemon::start(&configuration);
    daemon.wait_until("all to be well", || run(&daemon, &["status"]).1.starts_with("all is well\n")).await;
    assert_eq!((run(&daemon, &["status"]).0, run(&daemon, &["health"])), (Some(0), (Some(0), String::new())));

    let worse = configuration.clone().crons([
        every_second("fails").says("boom").with("overlap = \"allow\""),
        every_second("stops").says("boom").with("pause_after_failures = 2"),
        Cron::bare("rests").with("schedule = \"@yearly\""),
    ]);
    daemon.write_config(&worse.clone().cron(Cron::bare("wrong").with("schedule = \"0 25 * * *\"")));
    wait_for_line(&daemon, "configuration (since ", ": 1 mistake; what is understood").await;
    let shown = run(&daemon, &["status"]).1;
    assert!(shown.contains("hour 25") && shown.contains("cron `wrong` does not fire"), "{shown}");
    assert_eq!(run(&daemon, &["health"]).0, Some(5));
    daemon.write_config(&worse);
    wait_for_line(&daemon, "cron fails (since ", "in a row: ValueError: boom").await;
    wait_for_line(&daemon, "cron stops (since ", ": paused after failures: 2 runs in a row failed").await;
    assert!(daemon.run_command(&["pause", "rests", "--note", "until Monday"]).status.success());
    wait_for_line(&daemon, "cron rests (since ", ": paused: until Monday").await;

    proxy.go_down();
    assert_eq!(wait_for_line(&daemon, "agent server (since ", ": away: connection refused").await, 0);
    assert_eq!(kinds(&daemon), ["backend", "cron_failing", "cron_paused", "cron_paused"]);
    assert_eq!((run(&daemon, &["health"]).0, run(&daemon, &["health", "--alive"]).0), (Some(5), Some(0)));
    proxy.come_up();
    wait_for_line(&daemon, "outages, 24 h ", ": agent server away: ").await;
    daemon.write_config(&configuration);
    daemon.wait_within(PATIENCE, "all to be well", || kinds(&daemon).is_empty().then_some(())).await;
    assert_eq!(run(&daemon, &["status"]).0, Some(0));
    let outages = daemon.json(&["outages"]);
    let of_server: Vec<_> = outages.iter().filter(|outage| outage["what"] == "backend").collect();
    assert!(of_server.len() == 1 && of_server[0]["until"].is_string(), "{outages:?}");
}

#[tokio::test]
async fn a_receiver_that_is_away_is_shown_with_what_waits_for_it() {
    let server = AgentServerOnPort::start();
    let receiver = free_address();
    let cron = every_second("tells").webhook(&format!("http://{receiver}/hook"));
    let daemon = Daemon::start(&Configuration::new(&server.url()).cron(cron));
    let line = wait_for_line(&daemon, &format!("receiver http://{receiver} (since "), "webhook").await;
    assert_eq!(line, 0);
    let attention = daemon.json(&["status"])[0]["attention"][0].clone();
    assert!(attention["text"].as_str().unwrap().contains(" queued, next attempt "), "{attention}");
    assert_eq!(attention["needs_person"], true);
}

#[tokio::test]
async fn a_store_that_cannot_commit_is_the_worst_that_a_running_daemon_can_say() {
    let daemon = Daemon::start(&Configuration::new("http://127.0.0.1:9").cron(every_second("waits")));
    daemon.wait_for_stderr("ready").await;
    // Nothing can be committed, and it may pass, as on a full disk.
    let mut other = rusqlite::Connection::open(daemon.database()).unwrap();
    let lock = other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    assert_eq!(wait_for_line(&daemon, "disk (since ", ": the store cannot commit: ").await, 0);
    assert_eq!((run(&daemon, &["health"]).0, run(&daemon, &["health", "--alive"]).0), (Some(5), Some(0)));
    drop(lock);
    daemon
        .wait_within(PATIENCE, "the disk", || (!kinds(&daemon).contains(&"disk".to_owned())).then_some(()))
        .await;
}

#[tokio::test]
async fn the_socket_alone_is_enough_and_so_is_the_database() {
    let server = AgentServerOnPort::start();
    let daemon = Daemon::start(&Configuration::new(&server.url()).cron(every_second("works")));
    daemon.wait_until("all to be well", || run(&daemon, &["health"]).0 == Some(0)).await;
    let elsewhere = |store: &str, socket: &str| {
        let text = std::fs::read_to_string(daemon.config_path()).unwrap();
        let text =
            text.replace("agentcron.db", store).replace("[http]", &format!("[http]\nsocket = \"{socket}\""));
        std::fs::write(daemon.folder().join("elsewhere.toml"), text).unwrap();
        let path = daemon.folder().join("elsewhere.toml");
        let run = |arguments: &[&str]| {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_agentcron"));
            let output = command.args(arguments).arg("--config").arg(&path).output().unwrap();
            (output.status.code(), String::from_utf8(output.stdout).unwrap())
        };
        [&["health"][..], &["health", "--alive"], &["status"], &["outages"]].map(run)
    };
    let [health, alive, status, outages] = elsewhere("none.db", "agentcron.sock");
    assert_eq!((health.0, alive.0, status.0, outages.0), (Some(0), Some(0), Some(0), Some(0)));
    assert!(status.1.contains("version") && status.1.contains("agentcron.db"), "{}", status.1);
    let [health, alive, status, outages] = elsewhere("agentcron.db", "none.sock");
    assert_eq!((health.0, alive.0, status.0, outages.0), (Some(5), Some(5), Some(5), Some(0)));
    assert!(status.1.starts_with("daemon: it runs, and does not respond at its socket"), "{}", status.1);
    let [health, _, status, outages] = elsewhere("none.db", "none.sock");
    assert_eq!((health.0, status.0, outages.0), (Some(6), Some(6), Some(3)));
}

/// A mistake may hide where the database is, but not the daemon that runs with it.
#[tokio::test]
async fn a_mistake_about_the_database_hides_no_daemon_that_runs() {
    let server = AgentServerOnPort::start();
    let mut daemon = Daemon::start(&Configuration::new(&server.url()).cron(every_second("works")));
    daemon.wait_until("all to be well", || run(&daemon, &["health"]).0 == Some(0)).await;
    let right = std::fs::read_to_string(daemon.config_path()).unwrap();
    let commands: [&[&str]; 4] = [&["health", "--alive"], &["outages"], &["history"], &["list"]];
    let codes = |daemon: &Daemon| commands.map(|command| run(daemon, command).0);
    let socket = format!("socket = \"{}\"", daemon.folder().join("agentcron.sock").display());
    for wrong in [
        right.replace("\npath", "\npth"),
        right.replace("[store]", "[stor]"),
        right.replace("[store]", "[store").replace("[http]", &format!("[http]\n{socket}")),
    ] {
        assert!(wrong != right);
        daemon.write_config(&wrong);
        assert_eq!(codes(&daemon), [Some(0); 4], "{wrong}");
        let (code, shown) = run(&daemon, &["status"]);
        assert!(code == Some(5) && shown.contains("running, started"), "{shown}");
    }
    daemon.kill9();
    daemon.write_config(&right.replace("\npath", "\npth"));
    assert_eq!(codes(&daemon), [Some(2); 4]);
    let output = daemon.run_command(&["status"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("unknown key `pth`") && told.contains("nothing here tells which"), "{told}");
}
