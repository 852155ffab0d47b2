//! What the log of a night tells by itself, and what the service manager is told.

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::history::RunRecord;
use super::support::receiver::{Receiver, Reply};
use super::support::span::{Span, now};

/// Returns the lines of the log with this text, from their messages on.
fn lines(daemon: &Daemon, text: &str) -> Vec<String> {
    let log = daemon.stderr();
    let found = log.lines().filter_map(|line| Some(line[line.find(": ")? + 2..].to_owned()));
    found.filter(|line| line.contains(text)).collect()
}

fn warnings(daemon: &Daemon) -> Vec<String> {
    let is_loud = |line: &&str| line.contains(" WARN ") || line.contains(" ERROR ");
    daemon.stderr().lines().filter(is_loud).map(str::to_owned).collect()
}

fn of_cron<'r>(runs: &'r [RunRecord], name: &str) -> &'r RunRecord {
    runs.iter().find(|run| run.cron_name == name).unwrap()
}

#[tokio::test]
async fn a_night_is_one_line_for_each_run_that_somebody_may_have_to_look_at() {
    let (server, span) = (AgentServerOnPort::start(), Span::once());
    let crons = [
        Cron::new("fails", &span).says("boom"),
        Cron::new("asks", &span).assistant("asker"),
        Cron::new("works", &span),
        Cron::bare("often").with("schedule = \"* * * * * *\"\ncatchup = \"none\""),
    ];
    let mut daemon = Daemon::start(&Configuration::new(&server.url()).crons(crons));
    let done = |runs: &[RunRecord]| {
        ["fails", "asks", "works"]
            .iter()
            .all(|name| runs.iter().any(|run| run.cron_name == *name && run.is_finished()))
    };
    let runs = daemon.wait_for_history("the three runs", done).await;
    daemon.terminate();
    daemon.wait_for_exit().await;
    let back_at = now() + SignedDuration::from_secs(9);
    daemon.wait_until("some occurrences to pass", || now() > back_at).await;
    daemon.start_again();
    daemon.wait_for_stderr(" occurrences=").await;

    let failed = lines(&daemon, "run failed cron=fails ");
    let run_id = &of_cron(&runs, "fails").run_id;
    let begin = format!("run failed cron=fails run_id={run_id} status=error reason=graph_error took=");
    assert!(
        failed[0].starts_with(&begin) && failed[0].ends_with(" error=\"ValueError: boom\""),
        "{failed:?}"
    );
    let asked = lines(&daemon, "run interrupted cron=asks ");
    assert!(asked[0].contains(" status=interrupted reason=human_input took="), "{asked:?}");
    // A busy machine may miss one more.
    let missed = lines(&daemon, "run missed cron=often ");
    let is_range = |line: &String| {
        line.contains(" reason=daemon_down scheduled_for=2") && line.contains(" occurrences=")
    };
    assert_eq!(missed.iter().filter(|line| is_range(line)).count(), 1, "{missed:?}");
    assert_eq!((failed.len(), asked.len()), (1, 1));
    let others: Vec<_> =
        warnings(&daemon).into_iter().filter(|line| !line.contains("agentcron::runs: run ")).collect();
    assert!(others.is_empty(), "{others:#?}");
    assert!(daemon.stderr().contains(" WARN agentcron::runs: run failed "));
    assert!(lines(&daemon, "run succeeded").is_empty());
}

#[tokio::test]
async fn every_end_is_logged_on_request_as_json_too() {
    let (server, span) = (AgentServerOnPort::start(), Span::once());
    let configuration = Configuration::new(&server.url())
        .crons([Cron::new("works", &span), Cron::new("fails", &span).says("boom")]);
    let mut daemon = Daemon::prepare(&format!("{configuration}\n[log]\nruns = \"all\""));
    daemon.start_with_arguments(&["run", "--log-format", "json"], &[]);
    let runs = daemon.wait_until_finished(2).await;
    daemon.wait_for_stderr("run succeeded").await;
    daemon.wait_for_stderr("run failed").await;
    let ends: Vec<Value> = daemon
        .stderr()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["target"] == "agentcron::runs")
        .collect();
    let works = ends.iter().find(|event| event["cron"] == "works").unwrap();
    assert_eq!(
        (&works["level"], &works["message"], works["run_id"].as_str(), &works["status"], &works["error"]),
        (
            &"INFO".into(),
            &"run succeeded".into(),
            Some(of_cron(&runs, "works").run_id.as_str()),
            &"success".into(),
            &Value::Null
        )
    );
    assert_eq!(ends.len(), 2);

    daemon.terminate();
    daemon.wait_for_exit().await;
    daemon.write_config(&format!("{configuration}\n[log]\nruns = \"none\""));
    daemon.start_with_arguments(&["run", "--log-format", "json"], &[]);
    daemon.wait_until("a trigger", || daemon.run_command(&["trigger", "fails"]).status.success()).await;
    daemon.wait_until_finished(3).await;
    assert_eq!(daemon.stderr().matches("agentcron::runs").count(), 2);
}

#[tokio::test]
async fn what_goes_on_failing_is_logged_once_and_what_is_repaired_says_so() {
    let (server, receiver, span) = (AgentServerOnPort::start(), Receiver::start(), Span::soon(1, 6));
    receiver.reply_always(Reply::status(500));
    let cron = Cron::new("often", &span).webhook(&receiver.url("/hook")).with("overlap = \"allow\"");
    let configuration = Configuration::new(&server.url()).cron(cron);
    let daemon = Daemon::start(&configuration);
    daemon.wait_for_stderr("ready").await;
    let wrong = format!("{configuration}\n[log]\nruns = \"errors\"\nwhich = 1");
    daemon.write_config(&wrong);
    daemon.wait_for_stderr("configuration has mistakes").await;
    daemon.write_config(&configuration);
    daemon.wait_for_stderr("configuration repaired and reloaded crons=1 added=0 changed=0 removed=0").await;
    assert_eq!(lines(&daemon, "configuration has mistakes").len(), 1);
    let log = daemon.stderr();
    assert!(
        log.contains("  | ")
            && log.contains("unknown key `which`")
            && log.contains("is not one of failed, all, none"),
        "{log}"
    );

    daemon.wait_until("more attempts than one", || receiver.received().len() > 4).await;
    assert_eq!(lines(&daemon, "webhook delivery failed").len(), 1, "{}", daemon.stderr());
}

#[tokio::test]
async fn where_the_journal_reads_stderr_lines_have_their_priority() {
    if Path::new("/run/systemd/journal/socket").exists() {
        return; // The entries go there; tests/system sees them.
    }
    let server = AgentServerOnPort::start();
    let mut daemon = Daemon::prepare(
        &Configuration::new(&server.url()).cron(Cron::new("fails", &Span::once()).says("boom")),
    );
    let stderr = std::fs::File::create(daemon.folder().join("stderr.log")).unwrap().metadata().unwrap();
    daemon.start_with(&[("JOURNAL_STREAM", &format!("{}:{}", stderr.dev(), stderr.ino()))]);
    daemon.wait_for_stderr("\n<4>run failed cron=fails ").await;
    assert!(daemon.stderr().starts_with("<6>daemon ready crons=1 "), "{}", daemon.stderr());
    daemon.kill9();
    // It says nothing of where the database is, and none is at the default place.
    daemon.write_config("[backend]\nurl = 7\n[stroe]\n");
    let nowhere = daemon.folder().join("nowhere");
    let journal = format!("{}:{}", stderr.dev(), stderr.ino());
    daemon.start_with(&[("JOURNAL_STREAM", &journal), ("STATE_DIRECTORY", nowhere.to_str().unwrap())]);
    assert_eq!(daemon.wait_for_exit().await.code(), Some(2));
    assert_eq!(daemon.stderr().matches("\n<3>").count(), 2, "{}", daemon.stderr());
}

#[tokio::test]
async fn the_service_manager_is_told_what_comes_and_what_fails() {
    let server = AgentServerOnPort::start();
    let mut daemon = Daemon::prepare(&Configuration::new(&server.url()).crons([
        Cron::new("fails", &Span::once()).says("boom"),
        Cron::bare("new-year").with("schedule = \"0 0 1 1 *\""),
    ]));
    let path = daemon.folder().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_nonblocking(true).unwrap();
    daemon.start_with(&[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    let told = daemon.wait_within(Duration::from_secs(60), "the status", || {
        let mut message = [0; 4096];
        let length = manager.recv(&mut message).ok()?;
        let message = String::from_utf8_lossy(&message[..length]).into_owned();
        message.contains("failing: fails").then_some(message)
    });
    let told = told.await;
    let begin = "STATUS=2 crons, next new-year ";
    assert!(told.starts_with(begin) && told.trim_end().ends_with("-01-01 00:00, failing: fails"), "{told}");
}
