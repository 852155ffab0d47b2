//! After a real daemon has run for a moment: history, show, list and status agree with what happened.

use std::process::Stdio;

use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{completed, demand, stderr, stdout, table};
use crate::support::agent_server::AgentServerOnPort;
use crate::support::daemon::Daemon;
use crate::support::receiver::Receiver;
use crate::support::span::now;

/// Returns a daemon that ran until `say-hello` had two webhooks delivered and `fail` had failed, and was then stopped.
async fn after_a_moment() -> Daemon {
    let (server, receiver) = (AgentServerOnPort::start(), Receiver::start());
    let mut daemon = Daemon::start(&config(&server.url(), &receiver.url("/hook?token=sesame")));
    receiver.wait_for(2).await;
    daemon
        .wait_until("two delivered webhooks and a failed run", || {
            let runs = daemon.json(&["history"]);
            let delivered = runs.iter().filter(|run| run["webhook"]["status"] == "delivered").count();
            delivered >= 2 && runs.iter().any(|run| run["status"] == "error")
        })
        .await;
    daemon.terminate();
    assert!(daemon.wait_for_exit().await.success());
    daemon
}

pub(super) fn config(backend: &str, webhook: &str) -> String {
    format!(
        r#"
[backend]
url = "{backend}"
[store]
path = "agentcron.db"
[webhooks.url]
disable_loopback = false

[cron.say-hello]
schedule = "* * * * * *"
assistant_id = "agent"
input = {{ messages = [{{ role = "user", content = "hello" }}] }}
webhook = "{webhook}"

[cron.fail]
schedule = "* * * * * *"
assistant_id = "agent"
input = {{ messages = [{{ role = "user", content = "boom" }}] }}
"#
    )
}

const KEYS: [&str; 22] = [
    "run_id",
    "cron_id",
    "cron_name",
    "trigger",
    "status",
    "phase",
    "reason_code",
    "reason",
    "outage",
    "scheduled_for",
    "retry",
    "due_at",
    "waits_for",
    "started_at",
    "ended_at",
    "thread_id",
    "backend_run_id",
    "send_count",
    "error",
    "webhook",
    "occurrences",
    "last_scheduled_for",
];

#[tokio::test]
async fn what_happened_can_be_read_while_the_daemon_is_down() {
    let daemon = after_a_moment().await;
    history_filters(&daemon);
    the_history_is_searched_and_exported(&daemon);
    show_prints_the_whole_timeline(&daemon);
    show_prints_a_cron(&daemon);
    list_and_status_summarise(&daemon);
    what_ended_is_counted(&daemon);
    tables_keep_what_one_came_for(&daemon);
    the_last_instant_is_explained(&daemon);
    names_and_ids_are_completed(&daemon);
    a_closed_pipe_is_no_failure(&daemon);
    no_output_contains_the_token(&daemon);
}

fn history_filters(daemon: &Daemon) {
    let all = daemon.json(&["history"]);
    for run in &all {
        let keys: Vec<&str> = run.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, KEYS);
    }
    let times: Vec<&str> = all.iter().map(|run| run["scheduled_for"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "oldest first: {times:?}");

    let failed = daemon.json(&["history", "--cron", "fail", "--status", "error"]);
    assert!(!failed.is_empty() && failed.iter().all(|run| run["cron_name"] == "fail"));
    assert_eq!(failed[0]["error"]["message"], "boom");
    assert_eq!(failed[0]["webhook"], Value::Null);
    assert_eq!((&failed[0]["reason_code"], &failed[0]["reason"]), (&"graph_error".into(), &Value::Null));
    let by_reason = daemon.json(&["history", "--reason", "graph_error,lost"]);
    assert!(by_reason.iter().all(|run| run["cron_name"] == "fail") && by_reason.len() >= failed.len());
    assert_eq!(daemon.json(&["history", "--reason", "lost"]).len(), 0);
    assert_eq!(daemon.json(&["history", "fail", "--failed"]), failed);
    assert_eq!(daemon.json(&["history", "--trigger", "schedule,catchup"]).len(), all.len());
    assert_eq!(daemon.json(&["history", "--trigger", "manual"]).len(), 0);
    assert_eq!(daemon.json(&["history", "--since", "yesterday", "--until", "now"]).len(), all.len());
    assert_eq!(daemon.json(&["history", "--limit", "2"]), all[all.len() - 2..]);
    assert_eq!(daemon.json(&["history", "--limit", "0"]).len(), 0);
    assert_eq!(daemon.json(&["history", "--since", "1h", "--until", "0s"]).len(), all.len());
    assert_eq!(daemon.json(&["history", "--until", "1h"]).len(), 0);
    let since = all[all.len() / 2]["scheduled_for"].as_str().unwrap();
    let later = daemon.json(&["history", "--since", since]);
    assert!(later.iter().all(|run| run["scheduled_for"].as_str() >= Some(since)) && !later.is_empty());

    let table = daemon.run_command(&["history"]);
    assert!(stdout(&table).contains("ValueError: boom"), "{}", stdout(&table));
    for (arguments, message) in [
        (["--cron", "say-helo"], "did you mean `say-hello`?"),
        (["--status", "good"], "`good` is not one of success"),
        (["--status", "failed"], "a run that failed is `error`"),
        (["--trigger", "cron"], "`cron` is not one of schedule"),
        (["--columns", "name"], "`name` is not one of scheduled, ago, cron"),
        (["--reason", "bad luck"], "`bad luck` is not one of backend_unreachable"),
        (["--since", "soon"], "got `soon`, expected a time"),
    ] {
        let output = daemon.run_command(&[&["history"], &arguments[..]].concat());
        demand(&output, 2);
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    }
}

fn the_history_is_searched_and_exported(daemon: &Daemon) {
    let failed = daemon.json(&["history", "--status", "error"]);
    assert_eq!(daemon.json(&["history", "--grep", "valueerror"]), failed);
    assert_eq!(daemon.json(&["history", "fail", "--grep", "BOOM", "-n", "1"]), failed[failed.len() - 1..]);
    let id = failed[0]["run_id"].as_str().unwrap();
    assert_eq!(daemon.json(&["history", "--grep", id]), failed[..1]);
    assert_eq!(stdout(&daemon.run_command(&["history", "say-hello", "--grep", "boom"])), "no runs\n");
    let csv = daemon.run_command(&["history", "fail", "--status", "error", "--csv"]);
    demand(&csv, 0);
    let lines: Vec<String> = stdout(&csv).split("\r\n").map(str::to_owned).collect();
    assert_eq!((lines.len(), lines[lines.len() - 1].as_str()), (failed.len() + 2, ""));
    assert!(
        lines[0].starts_with("run_id,cron_name,trigger,status,reason_code,reason,error,error_message,"),
        "{lines:?}"
    );
    assert!(
        lines[1].starts_with(&format!("{id},fail,schedule,error,graph_error,,ValueError,boom,")),
        "{lines:?}"
    );
    demand(&daemon.run_command(&["history", "--csv", "--json"]), 2);
    demand(&daemon.run_command(&["history", "--grep", ""]), 2);
}

fn show_prints_the_whole_timeline(daemon: &Daemon) {
    let runs = daemon.json(&["history", "--status", "success"]);
    let run = runs.iter().find(|run| run["webhook"]["status"] == "delivered").unwrap();
    let run_id = run["run_id"].as_str().unwrap();
    let details = &daemon.json(&["show", run_id])[0];
    for key in KEYS {
        assert_eq!(details[key], run[key], "{key}");
    }
    assert_eq!(details["values"]["messages"][1]["content"], "echo: hello");
    let attempt = &details["deliveries"][0]["attempts"][0];
    assert_eq!((&attempt["attempt"], &attempt["code"]), (&Value::from(1), &Value::from(200)));

    let prefix = daemon.run_command(&["show", &run_id[..13]]);
    demand(&prefix, 0);
    for line in ["scheduled (schedule)", "ended: success", "webhook attempt 1: HTTP 200", "echo: hello"] {
        assert!(stdout(&prefix).contains(line), "no {line:?} in:\n{}", stdout(&prefix));
    }
    demand(&daemon.run_command(&["show", &run_id[..3]]), 2);
    let unknown = daemon.run_command(&["show", "00000000-0000"]);
    demand(&unknown, 1);
    assert!(stderr(&unknown).contains("there is no run"), "{}", stderr(&unknown));
}

fn show_prints_a_cron(daemon: &Daemon) {
    let shown = stdout(&daemon.run_command(&["show", "say-hello"]));
    for line in [
        "agentcron.toml:9:",
        "* * * * * *",
        "a new one for each run, deleted after it",
        "hook?…",
        "skip",
        "latest, within",
        "success",
    ] {
        assert!(shown.contains(line), "no {line:?} in:\n{shown}");
    }
    assert!(!shown.contains("sesame"), "{shown}");
    let details = &daemon.json(&["show", "say-hello"])[0];
    assert_eq!((&details["cron_name"], &details["thread_id"]), (&"say-hello".into(), &Value::Null));
    let unknown = daemon.run_command(&["show", "say-helo"]);
    demand(&unknown, 2);
    assert!(stderr(&unknown).contains("did you mean `say-hello`"), "{}", stderr(&unknown));
}

fn says_that_the_daemon_is_down(daemon: &Daemon) {
    let status = daemon.run_command(&["status"]);
    demand(&status, 6);
    let first = stdout(&status).lines().next().unwrap().to_owned();
    assert!(first.starts_with("daemon (since ") && first.contains("not running: it was stopped"), "{first}");
    let failing = "cron fail (since ";
    assert!(stdout(&status).contains(failing) && stdout(&status).contains("ValueError: boom"), "{status:?}");
    for arguments in [&["health"][..], &["health", "--alive"]] {
        let health = daemon.run_command(arguments);
        demand(&health, 6);
        assert_eq!(stdout(&health), "");
    }
    let health = &daemon.json(&["health"])[0];
    let attention = daemon.json(&["status"])[0]["attention"].clone();
    assert_eq!((&health["code"], &health["attention"]), (&6.into(), &attention));
    assert_eq!(stdout(&daemon.run_command(&["daemons"])), "no daemon\n");
    let last = daemon.json(&["outages"]).pop().unwrap();
    assert_eq!(
        (&last["what"], &last["until"], &last["why"]),
        (&"daemon".into(), &Value::Null, &"it was stopped".into())
    );
    assert!(stdout(&daemon.run_command(&["outages"])).contains("it was stopped"));
}

fn list_and_status_summarise(daemon: &Daemon) {
    let crons = daemon.json(&["list"]);
    assert_eq!(crons.len(), 2);
    let recent = |cron: &Value| (cron["recent"]["runs"].as_u64(), cron["recent"]["ok"].as_u64());
    assert!(recent(&crons[0]) > (Some(0), Some(0)) && recent(&crons[0]).1 == Some(0), "{}", crons[0]);
    assert!(recent(&crons[1]).1 > Some(0) && !crons[1]["recent"]["p95_ms"].is_null(), "{}", crons[1]);
    let failing = &daemon.json(&["show", "fail"])[0]["failures"];
    assert_eq!(
        (failing.as_array().map(Vec::len), &failing[0]["count"]),
        (Some(1), &crons[0]["recent"]["runs"])
    );
    assert_eq!((&crons[0]["cron_name"], &crons[0]["last"]["status"]), (&"fail".into(), &"error".into()));
    assert_eq!(crons[1]["schedule"], "* * * * * *");
    let status = &daemon.json(&["status"])[0];
    assert_eq!(status["daemon"]["running"], false);
    assert_eq!(status["configuration"]["state"], "same");
    assert!(status["ended_24h"]["success"].as_u64() >= Some(2), "{status}");
    assert!(status["deliveries_24h"]["delivered"].as_u64() >= Some(2), "{status}");
    // Their next times change with every second.
    assert_eq!(daemon.json(&["list", "say-hello"])[0]["last"], crons[1]["last"]);
    assert_eq!(daemon.json(&["list", "--failing"])[0]["last"], crons[0]["last"]);
    assert!(daemon.json(&["list", "--state", "paused"]).is_empty());
    says_that_the_daemon_is_down(daemon);
    demand(&daemon.run_command(&["list", "say-helo"]), 2);
    let list = daemon.run_command(&["list"]);
    assert!(stdout(&list).contains("ValueError: boom"), "{}", stdout(&list));
}

fn what_ended_is_counted(daemon: &Daemon) {
    let runs = daemon.json(&["history"]);
    let ended =
        |cron: &str| runs.iter().filter(|run| run["cron_name"] == cron && run["phase"] == "ended").count();
    let report = &daemon.json(&["report"])[0];
    let names: Vec<_> = report["crons"].as_array().unwrap().iter().map(|cron| &cron["cron_name"]).collect();
    assert_eq!(names, ["fail", "say-hello"], "what fails comes first");
    let (fails, works) = (&report["crons"][0], &report["crons"][1]);
    assert_eq!((&fails["ok_percent"], &works["ok_percent"]), (&0.0.into(), &100.0.into()));
    assert_eq!(fails["runs"], Value::from(ended("fail")), "{report}");
    assert!(!fails["failing_since"].is_null() && !works["p95_ms"].is_null());
    assert_eq!(fails["reasons"][0]["reason_code"], "graph_error");
    assert_eq!(report["attention"], daemon.json(&["status"])[0]["attention"]);
    assert!(report["receivers"][0]["webhooks"]["delivered"].as_u64() >= Some(2), "{report}");
    let later = &daemon.json(&["report", "--since", "0s"])[0];
    assert_eq!(later["total"], report["total"], "counts are by the hour");

    let text = stdout(&daemon.run_command(&["report"]));
    assert!(text.contains("failing since") && text.contains("counted by hour"), "{text}");
    let page = stdout(&daemon.run_command(&["report", "--html"]));
    assert!(
        page.starts_with("<!DOCTYPE html>") && page.contains("say-hello") && !page.contains("sesame"),
        "{page}"
    );
    assert!(!page.contains("src=") && !page.contains("href="), "it needs nothing else");

    let stats = &daemon.json(&["stats", "fail"])[0];
    assert_eq!((&stats["total"], &stats["days"][0]["runs"]), (&json_of(fails, stats), &fails["runs"]));
    demand(&daemon.run_command(&["stats", "say-hello", "--since", "1y"]), 0);
    let unknown = daemon.run_command(&["stats", "say-helo"]);
    demand(&unknown, 2);
    assert!(stderr(&unknown).contains("did you mean `say-hello`"), "{}", stderr(&unknown));
}

/// Returns the counts of a cron in a report as those in its statistics are written.
fn json_of(report: &Value, stats: &Value) -> Value {
    let keys = stats["total"].as_object().unwrap().keys();
    Value::Object(keys.map(|key| (key.clone(), report[key].clone())).collect())
}

fn tables_keep_what_one_came_for(daemon: &Daemon) {
    let check = |width, arguments: &[&str], expected: Expect| {
        expected.assert_eq(&table(daemon, width, arguments));
    };
    let failed = ["history", "fail", "--status", "error", "-n", "1"];
    check(
        "80",
        &failed,
        expect![[r#"
            SCHEDULED (UTC) CRON STATUS WEBHOOK RUN
            0-0-0 0:0:0 fail error ID
                ValueError: boom"#]],
    );
    check(
        "120",
        &failed,
        expect![[r#"
            SCHEDULED (UTC) CRON STATUS TOOK WEBHOOK RUN REASON
            0-0-0 0:0:0 fail error 0 s ID ValueError: boom"#]],
    );
    let webhooks = ["webhook", "list", "--status", "delivered", "--since", "yesterday", "-n", "1"];
    check(
        "80",
        &webhooks,
        expect![[r#"
            WEBHOOK RECORDED (UTC) CRON STATUS ATTEMPTS NEXT
            ID 0-0-0 0:0:0 say-hello delivered 0
                http://0.0.0.0:0/hook?…"#]],
    );
    check(
        "120",
        &webhooks,
        expect![[r#"
            WEBHOOK RECORDED (UTC) CRON STATUS ATTEMPTS NEXT TO
            ID 0-0-0 0:0:0 say-hello delivered 0 http://0.0.0.0:0/hook?…"#]],
    );
    check(
        "80",
        &["history", "fail", "--status", "error", "-n", "1", "--columns", "cron,run"],
        expect![[r#"
        CRON RUN
        fail ID"#]],
    );
}

fn the_last_instant_is_explained(daemon: &Daemon) {
    let explained = &daemon.json(&["explain", "fail"])[0];
    let at: Timestamp = explained["at"].as_str().unwrap().parse().unwrap();
    assert!(now().duration_since(at).abs() < SignedDuration::from_mins(1), "{explained}");
    let in_japan = super::command(daemon.folder(), &["explain", "fail"])
        .arg("--config")
        .arg(daemon.config_path())
        .env("TZ", "Asia/Tokyo")
        .output()
        .unwrap();
    let text = stdout(&in_japan);
    assert!(text.lines().next().unwrap().contains(" JST (") && text.contains(" UTC)"), "{text}");
}

fn names_and_ids_are_completed(daemon: &Daemon) {
    let offered = |words: &[&str]| completed(daemon, words);
    assert_eq!(offered(&["explain", ""]), "fail\nsay-hello\n");
    assert_eq!(offered(&["webhook", "list", "--cron", "s"]), "fail\nsay-hello\n");
    let run_id = daemon.json(&["history"]).last().unwrap()["run_id"].as_str().unwrap()[..8].to_owned();
    assert!(offered(&["show", ""]).lines().any(|line| line == run_id), "{run_id}");
}

fn a_closed_pipe_is_no_failure(daemon: &Daemon) {
    for arguments in [&["history"][..], &["history", "--json"], &["list"], &["check"]] {
        let config = daemon.config_path();
        let mut command = super::command(daemon.folder(), arguments);
        let command = command.arg("--config").arg(config).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        demand(&output, 0);
        let warning = "warning: the daemon is not running: nothing fires until it is started\n";
        let expected = if arguments == ["list"] { warning } else { "" };
        assert_eq!(stderr(&output), expected, "{arguments:?}");
    }
}

fn no_output_contains_the_token(daemon: &Daemon) {
    let run_id = daemon.json(&["history", "--cron", "say-hello"])[0]["run_id"].as_str().unwrap().to_owned();
    for arguments in
        [&["history", "--json"][..], &["show", &run_id], &["show", "--json", &run_id], &["list", "--json"]]
    {
        let output = daemon.run_command(arguments);
        demand(&output, 0);
        assert!(!stdout(&output).contains("sesame"), "{arguments:?}:\n{}", stdout(&output));
    }
}
