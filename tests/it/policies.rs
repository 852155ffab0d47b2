//! What people request of a running daemon with the real commands: pauses, skips, extra runs and
//! cancellations; and what crons do by themselves when runs overlap or fail.

use jiff::SignedDuration;
use serde_json::Value;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::receiver::Receiver;
use super::support::span::{Span, now};

/// Makes a cron that fires once a year.
fn rarely(name: &str) -> Cron {
    Cron::bare(name).with("schedule = \"0 0 1 1 *\"")
}

fn every_second(name: &str) -> Cron {
    Cron::bare(name).with("schedule = \"* * * * * *\"")
}

async fn listening(daemon: &Daemon) {
    daemon.wait_until("the socket", || daemon.folder().join("agentcron.sock").exists()).await;
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_default()
}

fn history(daemon: &Daemon) -> Vec<Value> {
    daemon.json(&["history"])
}

async fn wait_for(daemon: &Daemon, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let find = || history(daemon).into_iter().find(|run| holds(run));
    daemon.wait_within(super::support::growing_list::PATIENCE, what, find).await
}

#[tokio::test]
async fn a_pause_is_one_record_and_resume_ends_it() {
    let server = AgentServerOnPort::start();
    let daemon = Daemon::start(&Configuration::new(&server.url()).cron(every_second("often")));
    listening(&daemon).await;
    wait_for(&daemon, "a first success", |run| text(run, "status") == "success").await;
    let paused = daemon.json(&["pause", "often", "--note", "moving house"]);
    assert_eq!(paused[0]["now"]["paused"]["note"], "moving house");
    let is_paused = |run: &Value| {
        text(run, "reason_code") == "paused" && text(run, "reason") == "the cron was paused: moving house"
    };
    wait_for(&daemon, "three skipped", |run| is_paused(run) && run["occurrences"].as_u64() >= Some(3)).await;
    let cron = &daemon.json(&["list"])[0];
    assert_eq!((text(&cron["paused"], "cause"), text(&cron["paused"], "note")), ("request", "moving house"));
    daemon.json(&["resume", "often"]);
    let last = history(&daemon).last().unwrap().clone();
    let after = text(&last, "last_scheduled_for").to_owned();
    wait_for(&daemon, "a success after the pause", |run| {
        text(run, "status") == "success" && text(run, "scheduled_for") > after.as_str()
    })
    .await;
    assert_eq!(history(&daemon).iter().filter(|run| is_paused(run)).count(), 1, "{:#?}", history(&daemon));
}

#[tokio::test]
async fn skip_next_leaves_out_exactly_one() {
    let server = AgentServerOnPort::start();
    let span = Span::soon(1, 4);
    let daemon = Daemon::start(&Configuration::new(&server.url()).cron(Cron::new("few", &span)));
    listening(&daemon).await;
    assert!(daemon.run_command(&["skip-next", "few"]).status.success());
    let runs = daemon.wait_until_finished(4).await;
    let statuses: Vec<_> = runs.iter().map(|run| run.status.as_str()).collect();
    assert_eq!(statuses, ["skipped", "success", "success", "success"]);
    assert_eq!((runs[0].reason_code.as_str(), runs[0].reason.as_str()), ("skip_next", "skipped on request"));
}

#[tokio::test]
async fn a_skipped_occurrence_is_not_listed_as_the_next_one() {
    let server = AgentServerOnPort::start();
    let daemon = Daemon::start(&Configuration::new(&server.url()).cron(rarely("yearly")));
    listening(&daemon).await;
    let list = || String::from_utf8(daemon.run_command(&["list"]).stdout).unwrap();
    assert!(!list().contains("skips"), "{}", list());
    assert!(daemon.run_command(&["skip-next", "yearly"]).status.success());
    assert!(list().contains(", skipped on request"), "{}", list());
    assert_eq!(
        list().matches("-01-01").count(),
        1,
        "only the one after it is listed with its time: {}",
        list()
    );
}

#[tokio::test]
async fn a_triggered_run_waits_for_the_one_in_progress() {
    let server = AgentServerOnPort::start();
    let daemon = Daemon::start(&Configuration::new(&server.url()).cron(rarely("yearly").says("sleep 2")));
    listening(&daemon).await;
    let first = daemon.json(&["trigger", "yearly"])[0].clone();
    wait_for(&daemon, "it to run", |run| text(run, "status") == "running").await;
    let second = daemon.json(&["trigger", "yearly"])[0].clone();
    assert_eq!(second["waits_for"], first["run_id"]);
    let order = daemon.wait_until_finished(2).await;
    assert!(order[1].started_at >= order[0].ended_at, "{order:#?}");
    let runs = history(&daemon);
    assert!(
        runs.iter().all(|run| text(run, "trigger") == "manual" && text(run, "status") == "success"),
        "{runs:#?}"
    );
}

#[tokio::test]
async fn a_queued_run_starts_however_long_the_one_before_it_takes() {
    let server = AgentServerOnPort::start();
    let cron = Cron::new("behind", &Span::soon(2, 3)).says("sleep 7").with("overlap = \"queue\"");
    let daemon = Daemon::start(&Configuration::new(&server.url()).cron(cron));
    listening(&daemon).await;
    let waits = |run: &Value| text(run, "phase") == "pending" && run["waits_for"].is_string();
    let waiting = wait_for(&daemon, "one that waits", waits).await;
    let said = |arguments: &[&str]| String::from_utf8(daemon.run_command(arguments).stdout).unwrap();
    let for_run = format!("run {}", text(&waiting, "waits_for"));
    let shown = said(&["show", text(&waiting, "run_id")]);
    assert!(shown.contains("waits for") && shown.contains(&for_run), "{shown}");
    let explained = said(&["explain", "behind", "--at", text(&waiting, "scheduled_for")]);
    assert!(explained.contains("waits for") && explained.contains(&for_run), "{explained}");
    let runs = daemon.wait_until_finished(3).await;
    let ends: Vec<_> = runs.iter().map(|run| (run.status.as_str(), run.reason_code.as_str())).collect();
    assert_eq!((ends[0].0, ends[1].0, ends[2]), ("success", "success", ("skipped", "queue_full")));
    assert!(runs[1].started_at >= runs[0].ended_at, "{runs:#?}");
}

#[tokio::test]
async fn the_failure_that_is_one_too_many_pauses_the_cron_and_its_webhook_says_so() {
    let server = AgentServerOnPort::start();
    let receiver = Receiver::start();
    let cron =
        every_second("fails").says("boom").with("pause_after_failures = 2").webhook(&receiver.url("/hook"));
    let daemon = Daemon::start(&Configuration::new(&server.url()).cron(cron));
    let received = receiver.wait_for(2).await;
    let metadata = |index: usize| received[index].json()["metadata"].clone();
    assert_eq!(metadata(0)["agentcron_cron_paused"], Value::Null);
    assert_eq!(metadata(1)["agentcron_cron_paused"], true);
    let reason = "2 runs in a row failed (pause_after_failures = 2)";
    assert_eq!(metadata(1)["agentcron_pause_reason"], reason);
    wait_for(&daemon, "a skipped one", |run| {
        text(run, "reason_code") == "paused"
            && text(run, "reason") == format!("the cron was paused: {reason}")
    })
    .await;
    let paused = &daemon.json(&["list"])[0]["paused"].clone();
    assert_eq!(text(paused, "cause"), "failures");
    daemon.json(&["resume", "fails"]);
    // Failures are counted from 0 again.
    let received = receiver.wait_for(4).await;
    let bodies: Vec<_> = received.iter().map(|request| request.json()["metadata"].clone()).collect();
    let pauses: Vec<_> = bodies.iter().map(|metadata| metadata["agentcron_cron_paused"] == true).collect();
    assert_eq!(pauses[..4], [false, true, false, true]);
}

#[tokio::test]
async fn a_backfill_runs_past_instants_once() {
    let server = AgentServerOnPort::start();
    let cron = Cron::bare("hourly").with("schedule = \"0 * * * *\"\noverlap = \"allow\"");
    let daemon = Daemon::start(&Configuration::new(&server.url()).cron(cron));
    listening(&daemon).await;
    let to = now();
    let from = to - SignedDuration::from_hours(3);
    let (from, to) = (from.to_string(), to.to_string());
    let clipped = ["backfill", "hourly", "--from", &from, "--to", &to];
    assert_eq!(daemon.json(&clipped)[0]["runs"], 0, "the cron did not exist then");
    let told = String::from_utf8(daemon.run_command(&clipped).stdout).unwrap();
    assert!(told.contains("did not know hourly yet"), "{told}");
    let order = [&clipped[..], &["--before-beginning"]].concat();
    let dry = daemon.json(&[&order[..], &["--dry-run"]].concat());
    assert_eq!((dry[0]["runs"].as_u64(), history(&daemon).len()), (Some(3), 0));
    let refused = daemon.run_command(&[&order[..], &["--limit", "2"]].concat());
    assert_eq!(refused.status.code(), Some(1), "{}", String::from_utf8_lossy(&refused.stderr));
    assert_eq!(daemon.json(&order)[0]["runs"], 3);
    daemon.wait_until_finished(3).await;
    assert_eq!(daemon.json(&order)[0]["runs"], 0);
    let runs = history(&daemon);
    assert!(
        runs.iter().all(|run| text(run, "trigger") == "backfill" && text(run, "status") == "success"),
        "{runs:#?}"
    );
    assert_eq!(server.ledger().len(), 3);
}

#[tokio::test]
async fn a_run_is_cancelled_wherever_it_is() {
    let server = AgentServerOnPort::start();
    let receiver = Receiver::start();
    let cron = rarely("yearly").says("sleep 60").webhook(&receiver.url("/hook"));
    let daemon = Daemon::start(&Configuration::new(&server.url()).cron(cron));
    listening(&daemon).await;
    let backend_run = text(&daemon.json(&["trigger", "yearly"])[0], "run_id").to_owned();
    wait_for(&daemon, "it to run", |run| text(run, "status") == "running").await;
    let waiting = text(&daemon.json(&["trigger", "yearly"])[0], "run_id").to_owned();
    daemon.json(&["cancel", &waiting]);
    wait_for(&daemon, "the end of the waiting run", |run| {
        text(run, "run_id") == waiting && text(run, "status") == "cancelled"
    })
    .await;
    assert_eq!(history(&daemon).iter().filter(|run| text(run, "phase") == "running").count(), 1);
    daemon.json(&["cancel", &backend_run]);
    let runs = daemon.wait_until_finished(2).await;
    assert!(runs.iter().all(|run| run.status == "cancelled"), "{runs:#?}");
    assert_eq!(
        (runs[0].reason_code.as_str(), runs[0].reason.as_str()),
        ("cancel_request", "cancelled on request")
    );
    assert_eq!(server.ledger().len(), 1);
    assert_eq!(receiver.wait_for(2).await.len(), 2);
    let over = daemon.run_command(&["cancel", &backend_run]);
    let message = String::from_utf8_lossy(&over.stderr);
    assert!(over.status.code() == Some(1) && message.contains("it is over already (cancelled)"), "{message}");
}

#[tokio::test]
async fn overlap_cancel_ends_the_run_in_progress_for_the_next() {
    let server = AgentServerOnPort::start();
    let cron = Cron::new("impatient", &Span::soon(5, 2)).says("sleep 8").with("overlap = \"cancel\"");
    let daemon = Daemon::start(&Configuration::new(&server.url()).cron(cron));
    let runs = daemon.wait_until_finished(2).await;
    let ends: Vec<_> = runs.iter().map(|run| (run.status.as_str(), run.reason.as_str())).collect();
    let reason = "cancelled for the next occurrence (overlap = \"cancel\")";
    assert_eq!((runs[0].reason_code.as_str(), ends[0]), ("cancel_overlap", ("cancelled", reason)));
    assert_eq!(ends[1].0, "success", "{runs:#?}");
    assert!(runs[1].started_at.unwrap() >= runs[0].ended_at.unwrap());
}

#[tokio::test]
async fn without_a_daemon_and_for_an_unknown_cron_the_commands_say_what_to_do() {
    let server = AgentServerOnPort::start();
    let mut daemon = Daemon::prepare(&Configuration::new(&server.url()).cron(rarely("yearly")));
    let alone = daemon.run_command(&["trigger", "yearly"]);
    let message = String::from_utf8_lossy(&alone.stderr).into_owned();
    assert!(alone.status.code() == Some(1) && message.contains("is it running?"), "{message}");
    daemon.start_again();
    listening(&daemon).await;
    let unknown = daemon.run_command(&["pause", "yaerly"]);
    let message = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(unknown.status.code() == Some(2) && message.contains("did you mean `yearly`?"), "{message}");
    daemon.terminate();
    assert!(daemon.wait_for_exit().await.success());
    assert!(!daemon.folder().join("agentcron.sock").exists());
}
