//! The tables of `docs/api.md` say what the daemon serves.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use agentcron::domain::reason::{DeliveryReasonCode, ReasonCode};
use serde_json::Value;

use super::markdown::Document;
use crate::support::daemon::Daemon;

const QUIET: &str = "http.listen = \"off\"\nstore.path = \"agentcron.db\"\n[cron.never]\nassistant_id = \"agent\"\n\
                     schedule = \"0 0 1 1 * 0 2099\"\n";

fn page() -> Document {
    Document::read(Path::new("docs/api.md"))
}

/// Returns the first cells of the first table after a text, without their backticks.
fn documented(text: &str) -> BTreeSet<String> {
    page().table_after(text).into_iter().map(|cells| cells[0].trim_matches('`').to_owned()).collect()
}

async fn running() -> Daemon {
    let daemon = Daemon::start(QUIET);
    let socket = daemon.folder().join("agentcron.sock");
    daemon.wait_until("the socket", || UnixStream::connect(&socket).is_ok()).await;
    daemon
}

pub(super) fn get(daemon: &Daemon, path: &str) -> String {
    let mut stream = UnixStream::connect(daemon.folder().join("agentcron.sock")).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[tokio::test]
async fn every_path_of_the_api_is_documented_and_no_other() {
    let daemon = running().await;
    let document: Value = serde_json::from_str(&get(&daemon, "/openapi.json")).unwrap();
    let mut served = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        served.extend(
            methods.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())),
        );
    }
    assert_eq!(documented("| method and path |"), served);
}

#[tokio::test]
async fn every_metric_is_documented_and_no_other() {
    let daemon = running().await;
    let metrics = get(&daemon, "/metrics");
    let helps = metrics.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next());
    assert_eq!(documented("| metric |"), helps.map(str::to_owned).collect());
}

#[test]
fn every_reason_code_is_documented_and_no_other() {
    let of_runs = ReasonCode::ALL.iter().map(|code| code.as_str().to_owned());
    assert_eq!(documented("<!-- reason codes of runs -->"), of_runs.collect());
    let of_webhooks = DeliveryReasonCode::ALL.iter().map(|code| code.as_str().to_owned());
    assert_eq!(documented("<!-- reason codes of webhooks -->"), of_webhooks.collect());
}
