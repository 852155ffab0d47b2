//! Whoever may use the daemon's socket, and not read its database, is shown the same.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::receiver::Receiver;
use super::support::skipped::skipped;

const NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/// Returns what the command printed and its exit code.
fn shown(output: Output) -> (String, Option<i32>) {
    (String::from_utf8(output.stdout).unwrap(), output.status.code())
}

fn as_nobody(daemon: &Daemon, arguments: &[&str]) -> (String, Option<i32>) {
    shown(daemon.run_under(&NOBODY, arguments))
}

#[tokio::test]
async fn the_socket_shows_what_the_database_does() {
    let (server, receiver) = (AgentServerOnPort::start(), Receiver::start());
    let yearly = |name: &str| Cron::bare(name).with("schedule = \"@yearly\"");
    let crons = [
        yearly("works").webhook(&receiver.url("/hook?token=sesame")).with("thread = \"it\""),
        yearly("fails").says("boom").with("retry = { max = 1, backoff = \"1s\" }\ntimeout = \"1h\""),
        yearly("rests"),
    ];
    let mut daemon = Daemon::start(&Configuration::new(&server.url()).crons(crons));
    daemon.wait_for_stderr("ready").await;
    set_permissions(daemon.folder(), Permissions::from_mode(0o755)).unwrap();
    let socket = daemon.folder().join("agentcron.sock");
    set_permissions(socket, Permissions::from_mode(0o666)).unwrap();
    if as_nobody(&daemon, &["--version"]).1 != Some(0) {
        return skipped("who may use the socket only: this user cannot become another one");
    }
    for arguments in
        [&["trigger", "works"][..], &["trigger", "fails"], &["pause", "rests"], &["skip-next", "works"]]
    {
        assert!(daemon.run_command(arguments).status.success());
    }
    let is_over = |run: &serde_json::Value| {
        run["phase"] == "ended" && run["webhook"]["status"].as_str().unwrap_or("delivered") == "delivered"
    };
    daemon
        .wait_until("three runs to be over", || {
            let runs = daemon.json(&["history"]);
            runs.len() == 3 && runs.iter().all(is_over)
        })
        .await;
    let runs = daemon.json(&["history"]);
    let failed = runs.iter().find(|run| run["retry"] == 1).unwrap();
    let (id, at) = (failed["run_id"].as_str().unwrap(), failed["scheduled_for"].as_str().unwrap());
    let works = runs.iter().find(|run| run["cron_name"] == "works" && run["status"] == "success").unwrap();
    let works = works["run_id"].as_str().unwrap();
    for arguments in [&["webhook", "hold", "--note", "it moves"][..], &["webhook", "replay", works]] {
        assert!(daemon.run_command(arguments).status.success());
    }
    for arguments in [
        &["list"][..],
        &["list", "--state", "paused"],
        &["history"],
        &["history", "works", "--status", "success", "--trigger", "manual", "--since", "1h"],
        &["history", "--failed"],
        &["history", "--grep", "BOOM"],
        &["history", "--reason", "graph_error", "-n", "1"],
        &["show", &id[..8]],
        &["show", "works"],
        &["show", "fails"],
        &["explain", "fails"],
        &["explain", "works", "--at", at],
        &["explain", "rests", "--at", "2030-01-01"],
        &["webhook", "list"],
        &["webhook", "list", "--status", "pending", "--cron", "works", "--run", &works[..8], "--url", "hook"],
        &["webhook", "show", &works[..8]],
        &["outages"],
        &["acts"],
        &["acts", "works"],
        &["history", "works"],
    ] {
        for json in [&[][..], &["--json"]] {
            let arguments = [arguments, json].concat();
            // How long ago something was may change in between.
            daemon
                .wait_until(&format!("{arguments:?} to show the same"), || {
                    let (by_root, by_nobody) =
                        (shown(daemon.run_command(&arguments)), as_nobody(&daemon, &arguments));
                    assert_eq!((by_nobody.1, by_nobody.0.is_empty()), (by_root.1, by_root.0.is_empty()));
                    by_nobody == by_root
                })
                .await;
        }
    }
    let unknown = daemon.run_under(&NOBODY, &["show", "wroks"]);
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("did you mean `works`?"), "{unknown:?}");
    daemon.terminate();
    daemon.wait_for_exit().await;
    for command in ["list", "history"] {
        let denied = daemon.run_under(&NOBODY, &[command]);
        assert_eq!(denied.status.code(), Some(3), "{denied:?}");
        assert!(String::from_utf8_lossy(&denied.stderr).contains("permission denied; run this as root"));
    }
}
