//! Our own API beside its own OpenAPI document: schemathesis makes up requests, good ones and bad ones, and judges every
//! answer by what the document says.

use std::process::Command;
use std::time::Duration;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::installed;
use super::support::receiver::Receiver;
use super::support::span::Span;

/// Fields that are good each for itself may not be good together, which a schema cannot say.
const SETTINGS: &str = r#"
[[operations]]
include-name = "POST /v1/crons/{name}/backfill"
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "422"]

[[operations]]
include-name = "POST /v1/webhooks/replay"
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "422"]

# To JSON Schema 613.0 is an integer, to us it is none.
[[operations]]
include-name = "POST /v1/webhooks/release"
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "422"]
"#;

/// Of the whole run; what it makes up is the same each time, how far it gets depends on the machine.
const SECONDS: &str = "45";

#[tokio::test]
async fn what_the_document_promises_is_what_the_daemon_does() {
    let schemathesis = installed::from_pypi("schemathesis", "schemathesis==4.32.5");
    let server = AgentServerOnPort::start();
    let receiver = Receiver::start();
    // The document's examples name it; so its runs are found by the ids in one another's answers.
    let digest = Cron::new("daily-digest", &Span::once()).tells(&receiver.url("/hook?token=t0k3n"));
    let mut daemon =
        Daemon::start(&Configuration::new(&server.url()).http("listen = \"127.0.0.1:0\"").cron(digest));
    let delivered = || {
        let deliveries = daemon.json(&["webhook", "list", "--status", "delivered"]);
        (!deliveries.is_empty()).then_some(())
    };
    daemon.wait_for_stderr("listening for clients of the agent server's API").await;
    daemon.wait_within(Duration::from_secs(60), "a delivery", delivered).await;
    let settings = daemon.folder().join("schemathesis.toml");
    std::fs::write(&settings, SETTINGS).unwrap();
    let document = format!("http://{}/openapi.json", address(&daemon.stderr()));
    let judged = Command::new(schemathesis.join("bin/st"))
        .arg("--config-file")
        .arg(&settings)
        .args(["run", &document, "--seed", "1", "--generation-deterministic", "--max-examples", "20"])
        .args(["--max-time", SECONDS, "--warnings", "off", "--no-color"])
        .current_dir(daemon.folder())
        .env_remove("http_proxy")
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&judged.stdout);
    assert!(judged.status.success(), "{words}\n{}", String::from_utf8_lossy(&judged.stderr));
    assert!(words.contains("20 selected / 20 total"), "{words}");
    daemon.assert_alive();
    assert!(!daemon.stderr().contains("panicked"), "{}", daemon.stderr());
}

/// Where it says that it listens.
fn address(log: &str) -> &str {
    let line =
        log.lines().find(|line| line.contains("listening for clients of the agent server's API")).unwrap();
    let (_, rest) = line.split_once("address=").unwrap();
    rest.split_whitespace().next().unwrap()
}
