//! The stock SDKs, pointed at agentcron and at the real server behind it: the same calls have the same results, except
//! for the documented differences, and each run with a webhook delivers it once.

mod differences;
mod pairs;
mod recording;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tokio::process::Command;
use uuid::Uuid;

use super::support::configuration::Configuration;
use super::support::daemon::Daemon;
use super::support::installed;
use super::support::real_server::RealServer;
use super::support::receiver::{Received, Receiver};
use super::support::skipped::skipped;
use differences::Comparison;
use recording::Recording;

/// A script needs about 40 s on an idle machine, most of which is spent in the server's own pauses.
const PATIENCE: Duration = Duration::from_secs(240);

#[tokio::test]
async fn the_python_sdk_sees_the_same_through_us_as_from_the_server() {
    let python = installed::python_sdk().join("bin/python");
    let comparison = compare(&python, &scripts().join("calls.py")).await;
    comparison.assert_each_documented_one_occurred();
}

#[tokio::test]
async fn the_js_sdk_sees_the_same_through_us_as_from_the_server() {
    let Some(installed) = installed::js_sdk() else {
        skipped("the JS SDK, because this machine has no node with npm");
        return;
    };
    // Node resolves packages from the folder of the script.
    let script = installed.join("calls.mjs");
    std::fs::copy(scripts().join("calls.mjs"), &script).unwrap();
    compare(Path::new("node"), &script).await;
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/sdk")
}

/// Runs the script against both sides at the same time and compares what it recorded. The server is not the shared one,
/// because what the scripts do to its crons would disturb other tests.
async fn compare(program: &Path, script: &Path) -> Comparison {
    let (server, receiver) = (RealServer::start(), Receiver::start());
    let daemon = Daemon::start(&configuration(&server));
    let address = address_of(&daemon).await;
    let (direct, ours) = tokio::join!(
        record(program, script, server.url(), receiver.url("/direct")),
        record(program, script, format!("http://{address}"), receiver.url("/ours")),
    );
    let [direct, ours] = [direct, ours].map(|printed| Recording::read(&printed, &server.url()));
    let mut comparison = Comparison::default();
    comparison.calls(&direct, &ours);

    assert_eq!(direct.tells, ours.tells);
    let expected = ["/direct", "/ours"]
        .iter()
        .flat_map(|side| direct.tells.iter().map(move |path| format!("{side}{path}")));
    let expected: BTreeSet<String> = expected.collect();
    let paths = |received: &[Received]| received.iter().map(|one| one.path.clone()).collect::<BTreeSet<_>>();
    let received =
        receiver.wait_until("every webhook", |received| paths(received).is_superset(&expected)).await;
    assert_eq!(paths(&received), expected, "webhooks that no call asked for");
    let webhook_to = |path: String| {
        let webhooks: Vec<_> = received.iter().filter(|one| one.path == path).collect();
        assert_eq!(webhooks.len(), 1, "webhooks to {path}");
        json!({"content-type": webhooks[0].header("content-type"), "body": webhooks[0].json()})
    };
    for path in &direct.tells {
        let (of_direct, of_ours) = (webhook_to(format!("/direct{path}")), webhook_to(format!("/ours{path}")));
        comparison.webhook(path, &direct.plain(&of_direct), &ours.plain(&of_ours));
    }
    comparison.assert_same();
    assert_each_delivered_at_once(&daemon, ours.tells.len()).await;
    comparison
}

/// Asserts that the daemon's own record agrees: as many deliveries as webhooks, each delivered by its first attempt.
async fn assert_each_delivered_at_once(daemon: &Daemon, count: usize) {
    let list = || daemon.json(&["webhook", "list", "--limit", "1000"]);
    daemon
        .wait_until("all deliveries to end", || list().iter().all(|one| one["status"] == "delivered"))
        .await;
    let deliveries = list();
    assert_eq!(deliveries.len(), count, "{deliveries:#?}");
    assert!(deliveries.iter().all(|delivery| delivery["attempts_made"] == 1), "{deliveries:#?}");
}

/// Returns a configuration that judges webhook URLs by the server's own `langgraph.json`, as the server does.
fn configuration(server: &RealServer) -> Configuration {
    let langgraph_json = format!("langgraph_json = {:?}", server.langgraph_json());
    Configuration::new(&server.url()).top(&langgraph_json).http("listen = \"127.0.0.1:0\"")
}

/// Returns the address that the daemon logs when it listens. The daemon picks the port itself, because a port that a test
/// has found free may be in use a moment later.
async fn address_of(daemon: &Daemon) -> SocketAddr {
    const LOGGED: &str = "listening for clients of the agent server's API address=";
    daemon.wait_for_stderr(LOGGED).await;
    let stderr = daemon.stderr();
    let (_, address) = stderr.split_once(LOGGED).unwrap();
    address.split_whitespace().next().unwrap().parse().unwrap()
}

async fn record(program: &Path, script: &Path, url: String, hooks: String) -> String {
    let mut command = Command::new(program);
    command.arg(script).args([&url, &hooks, &Uuid::new_v4().to_string()]).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("{script:?} took longer than {PATIENCE:?}")).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script:?} at {url}: {}\n{stderr}", output.status);
    String::from_utf8(output.stdout).unwrap()
}
