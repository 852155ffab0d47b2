//! Our own API, compared with its OpenAPI document: schemathesis generates valid and invalid requests and checks every
//! response against the document.

use std::process::Command;
use std::time::Duration;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::installed;
use super::support::receiver::Receiver;
use super::support::span::Span;

/// A schema cannot say which fields are valid together, so more statuses are accepted for valid requests.
const SETTINGS: &str = r#"
[[operations]]
include-name = "POST /v1/crons/{name}/backfill"
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "422", "429"]

[[operations]]
include-name = "POST /v1/crons/{name}/trigger"
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "422", "429"]

# It stays open.
[[operations]]
include-name = "GET /v1/events"
enabled = false

# `until` may have passed.
[[operations]]
include-name = "POST /v1/crons/{name}/pause"
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "422"]

[[operations]]
include-name = "POST /v1/pause"
checks.positive_data_acceptance.expected-statuses = ["2xx", "422"]

[[operations]]
include-name = "POST /v1/webhooks/replay"
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "422"]

[[operations]]
include-name = "POST /v1/forget"
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "422"]

# 613.0 is an integer for JSON Schema, but not for us.
[[operations]]
include-name = "POST /v1/webhooks/release"
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "422"]
"#;

/// How long schemathesis runs. It generates the same requests each time; how far it gets depends on the machine.
const SECONDS: &str = "45";

/// Over TCP, `/v1` acts for a key only.
const KEY: &str = "api_keys = [\"key-of-the-test-itself\"]";

#[tokio::test]
async fn the_daemon_keeps_to_its_openapi_document() {
    let schemathesis = installed::from_pypi("schemathesis", "schemathesis==4.32.5");
    let server = AgentServerOnPort::start();
    let receiver = Receiver::start();
    // The examples in the document name this cron, so that its runs are found by the ids in other responses.
    let digest = Cron::new("daily-digest", &Span::once()).webhook(&receiver.url("/hook?token=t0k3n"));
    let mut daemon = Daemon::start(
        &Configuration::new(&server.url()).http("listen = \"127.0.0.1:0\"").http(KEY).cron(digest),
    );
    let delivered = || {
        let deliveries = daemon.json(&["webhook", "list", "--status", "delivered"]);
        (!deliveries.is_empty()).then_some(())
    };
    daemon.wait_for_stderr("listening for clients of the agent server's API").await;
    daemon.wait_within(Duration::from_secs(60), "a delivery", delivered).await;
    let settings = daemon.folder().join("schemathesis.toml");
    std::fs::write(&settings, SETTINGS).unwrap();
    let document = format!("http://{}/openapi.json", address(&daemon.stderr()));
    let output = Command::new(schemathesis.join("bin/st"))
        .arg("--config-file")
        .arg(&settings)
        .args(["run", &document, "--seed", "1", "--generation-deterministic", "--max-examples", "20"])
        .args(["--max-time", SECONDS, "--warnings", "off", "--no-color"])
        .args(["--header", "x-api-key: key-of-the-test-itself"])
        .current_dir(daemon.folder())
        .env_remove("http_proxy")
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(report.contains("35 selected / 36 total"), "{report}");
    daemon.assert_alive();
    assert!(!daemon.stderr().contains("panicked"), "{}", daemon.stderr());
}

/// Returns the address that the log says the daemon listens on.
fn address(log: &str) -> &str {
    let line =
        log.lines().find(|line| line.contains("listening for clients of the agent server's API")).unwrap();
    let (_, rest) = line.split_once("address=").unwrap();
    rest.split_whitespace().next().unwrap()
}
