//! `history --follow` beside a running daemon.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::past::config;
use crate::support::agent_server::AgentServerOnPort;
use crate::support::daemon::Daemon;

#[tokio::test]
async fn runs_are_printed_as_they_start_and_end_until_interrupted() {
    let server = AgentServerOnPort::start();
    let daemon = Daemon::start(&config(&server.url(), "http://127.0.0.1:2/hook"));
    daemon.wait_for_stderr("ready").await;
    let mut command = super::command(daemon.folder(), &["history", "--follow", "--json", "--cron", "fail"]);
    let command = command.arg("--config").arg(daemon.config_path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut ended = Vec::new();
    for line in BufReader::new(child.stdout.as_mut().unwrap()).lines() {
        let run: Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert_eq!(run["cron_name"], "fail");
        if run["phase"] == "ended" {
            ended.push(run["run_id"].clone());
        }
        if ended.len() == 3 {
            break;
        }
    }
    ended.sort_by_key(Value::to_string);
    ended.dedup();
    assert_eq!(ended.len(), 3, "an end is printed once");
    let interrupt = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    super::demand(&output, 0);
    assert_eq!(super::stderr(&output), "");
}
