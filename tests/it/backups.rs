//! Backups of a real daemon: made while it works, put back after it was lost, and nothing is done twice.

use std::os::unix::fs::PermissionsExt;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::final_checks::starts_by_run;
use super::support::history::RunRecord;
use super::support::receiver::Receiver;
use super::support::span::Span;

fn succeed(daemon: &Daemon, arguments: &[&str]) -> String {
    let output = daemon.run_command(arguments);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn of<'r>(runs: &'r [RunRecord], cron: &'r str) -> impl Iterator<Item = &'r RunRecord> {
    runs.iter().filter(move |run| run.cron_name == cron)
}

/// Some runs end before the backup and one afterwards; one is in progress all the time, and one is due meanwhile. Then the
/// database is lost.
#[tokio::test]
async fn what_a_restored_backup_does_not_know_is_not_done_again() {
    let server = AgentServerOnPort::start();
    let receiver = Receiver::start();
    let before = Span::soon(1, 2);
    let span = Span::soon(2, 8);
    // Its threads stay, so the agent server knows what has run.
    let often =
        Cron::new("often", &span).says("hello").runs_every_occurrence().with("on_run_completed = \"keep\"");
    let configuration = Configuration::new(&server.url())
        .cron(Cron::new("early", &before).says("hello").webhook(&receiver.url("/hook")))
        .cron(often)
        .cron(Cron::new("long", &before).says("sleep 20").with("overlap = \"allow\""));
    let mut daemon = Daemon::start(&configuration);
    let ended = |runs: &[RunRecord], cron: &str| of(runs, cron).filter(|run| run.status == "success").count();
    daemon
        .wait_for_history("runs before the backup", |runs| {
            ended(runs, "early") == 2 && ended(runs, "often") >= 1
        })
        .await;
    succeed(&daemon, &["backup", "backup.db"]);
    let backup = daemon.folder().join("backup.db");
    assert_eq!(std::fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
    let in_backup = ended(&daemon.history(), "often");
    daemon.wait_for_history("runs after it", |runs| ended(runs, "often") > in_backup + 1).await;
    let refused = daemon.run_command(&["restore", "backup.db"]);
    assert_eq!(refused.status.code(), Some(4), "a daemon has the database");
    daemon.kill9();
    let database = daemon.database();
    std::fs::write(&database, vec![0x5a; 100_000]).unwrap();

    let said = succeed(&daemon, &["restore", "backup.db"]);
    assert!(said.contains("recorded as missed (restored)") && said.contains("before-"), "{said}");
    daemon.start_again();
    let is_over =
        |runs: &[RunRecord]| ended(runs, "long") == 2 && runs.iter().all(|run| run.phase == "ended");
    daemon
        .wait_for_history("everything to be over", |runs| {
            is_over(runs) && of(runs, "often").map(|run| run.occurrences).sum::<i64>() == 8
        })
        .await;
    let runs = daemon.history();
    let missed: Vec<&RunRecord> = of(&runs, "often").filter(|run| run.reason_code == "restored").collect();
    assert!(!missed.is_empty() && missed.iter().all(|run| run.status == "missed"), "{runs:#?}");
    let twice: Vec<_> = starts_by_run(&server.ledger()).into_iter().filter(|(_, count)| *count > 1).collect();
    assert!(twice.is_empty(), "started twice: {twice:?}");
    let outages = daemon.json(&["outages"]);
    assert!(outages.iter().any(|outage| outage["what"] == "record"), "{outages:?}");
    assert!(succeed(&daemon, &["check"]).contains("no mistakes"));

    // Of what is missed, the agent server still has the threads: it is found there, and not started again.
    let started = starts_by_run(&server.ledger()).len();
    succeed(&daemon, &["backfill", "often", "--from", "1h"]);
    daemon
        .wait_for_history("the backfilled runs", |runs| of(runs, "often").all(|run| run.status == "success"))
        .await;
    let starts = starts_by_run(&server.ledger());
    assert!(starts.values().all(|count| *count == 1), "{starts:?}");
    assert!(starts.len() >= started);
}

#[tokio::test]
async fn the_daemon_makes_backups_by_itself_keeps_some_and_says_if_it_cannot() {
    let server = AgentServerOnPort::start();
    let every_second =
        |folder: &str| format!("[store.backup]\nschedule = \"* * * * * *\"\ndir = \"{folder}\"\nkeep = 2");
    let configuration = |folder: &str| {
        let cron = Cron::new("hello", &Span::soon(1, 1));
        format!("{}\n{}\n", Configuration::new(&server.url()).cron(cron), every_second(folder))
    };
    let mut daemon = Daemon::start(&configuration("{folder}/backups"));
    let folder = daemon.folder().join("backups");
    let names = || {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.retain(|name| name.ends_with(".db"));
        names.sort();
        names
    };
    daemon.wait_until("a backup", || !names().is_empty()).await;
    let first = names()[0].clone();
    daemon.wait_until("the first to be deleted", || !names().is_empty() && !names().contains(&first)).await;
    assert!(names().len() <= 3, "{:?}", names());
    daemon
        .wait_until("the status to say so", || !daemon.json(&["status"])[0]["backed_up_at"].is_null())
        .await;
    daemon.terminate();
    assert!(daemon.wait_for_exit().await.success());
    let last = folder.join(names().pop().unwrap());
    std::fs::remove_file(daemon.database()).unwrap();
    succeed(&daemon, &["restore", last.to_str().unwrap()]);
    succeed(&daemon, &["history"]);

    std::fs::write(daemon.folder().join("not-a-folder"), "").unwrap();
    daemon.write_config(&configuration("{folder}/not-a-folder"));
    daemon.start_again();
    let attention = || daemon.json(&["status"])[0]["attention"].clone();
    let is_told = || attention().as_array().unwrap().iter().any(|one| one["what"] == "backup");
    daemon.wait_until("the status to say that it failed", is_told).await;
}
