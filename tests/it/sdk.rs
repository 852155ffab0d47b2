//! The SDKs as their registries have them, pointed at us and at the real server behind us: the same calls come out the
//! same, the documented differences aside, and each run with a webhook tells it once.

mod differences;
mod pairs;
mod recording;

use std::collections::BTreeSet;
use std::io::Write;
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
use differences::Comparison;
use recording::Recording;

const PYTHON_SDK: &str = "0.4.14";
const JS_SDK: &str = "2.0.0";

/// A script needs about 40 s on an idle machine, most of it the server's own pauses.
const PATIENCE: Duration = Duration::from_secs(240);

#[tokio::test]
async fn the_python_sdk_sees_the_same_through_us_as_from_the_server() {
    let folder = format!("langgraph-sdk-{PYTHON_SDK}");
    let environment = installed::from_pypi(&folder, &format!("langgraph-sdk=={PYTHON_SDK}"));
    let comparison = compare(&environment.join("bin/python"), &scripts().join("calls.py")).await;
    comparison.assert_each_documented_one_occurred();
}

#[tokio::test]
async fn the_js_sdk_sees_the_same_through_us_as_from_the_server() {
    let (folder, package) =
        (format!("langgraph-sdk-js-{JS_SDK}"), format!("@langchain/langgraph-sdk@{JS_SDK}"));
    let Some(installed) = installed::from_npm(&folder, &[&package]) else {
        // Past the test harness, which would keep it to itself.
        let mut stderr = std::io::stderr();
        writeln!(stderr, "not tested: the JS SDK, for there is no node with npm on this machine").unwrap();
        return;
    };
    // Node resolves packages from where a script lies.
    let script = installed.join("calls.mjs");
    std::fs::copy(scripts().join("calls.mjs"), &script).unwrap();
    compare(Path::new("node"), &script).await;
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/sdk")
}

/// Both sides at the same time, on a server of the test's own: what the scripts do to its crons would disturb others.
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
    assert_eq!(paths(&received), expected, "webhooks that nobody asked for");
    let told = |path: String| {
        let told: Vec<_> = received.iter().filter(|one| one.path == path).collect();
        assert_eq!(told.len(), 1, "webhooks to {path}");
        json!({"content-type": told[0].header("content-type"), "body": told[0].json()})
    };
    for path in &direct.tells {
        let (direct_told, ours_told) = (told(format!("/direct{path}")), told(format!("/ours{path}")));
        comparison.webhook(path, &direct.plain(&direct_told), &ours.plain(&ours_told));
    }
    comparison.assert_same();
    assert_each_delivered_at_once(&daemon, ours.tells.len()).await;
    comparison
}

/// Our own books agree: as many deliveries as webhooks, each by its first attempt.
async fn assert_each_delivered_at_once(daemon: &Daemon, count: usize) {
    let list = || daemon.json(&["webhook", "list", "--limit", "1000"]);
    daemon
        .wait_until("deliveries to be over", || list().iter().all(|one| one["status"] == "delivered"))
        .await;
    let deliveries = list();
    assert_eq!(deliveries.len(), count, "{deliveries:#?}");
    assert!(deliveries.iter().all(|delivery| delivery["attempts_made"] == 1), "{deliveries:#?}");
}

/// Webhooks are judged as the server judges them, by its own file.
fn configuration(server: &RealServer) -> Configuration {
    let langgraph_json = format!("langgraph_json = {:?}", server.langgraph_json());
    Configuration::new(&server.url()).top(&langgraph_json).http("listen = \"127.0.0.1:0\"")
}

/// Where clients find it, by what it says when it listens: a port that was free a moment ago may be taken by now.
async fn address_of(daemon: &Daemon) -> SocketAddr {
    const SAID: &str = "listening for clients of the agent server's API address=";
    daemon.wait_for_stderr(SAID).await;
    let stderr = daemon.stderr();
    let (_, address) = stderr.split_once(SAID).unwrap();
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
