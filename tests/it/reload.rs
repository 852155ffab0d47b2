//! Changes of the configuration while the daemon runs: signals, editors, symlinks that are replaced, half-written files.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::growing_list::PATIENCE;
use super::support::history::RunRecord;
use super::support::span::Span;

/// Longer than it takes the daemon to check a touched file.
const RELOAD_WAIT: Duration = Duration::from_millis(1500);

fn hang_up(daemon: &Daemon) {
    let process_id = daemon.process_id().unwrap();
    let status = Command::new("sh").args(["-c", &format!("kill -HUP {process_id}")]).status().unwrap();
    assert!(status.success());
}

fn crons(daemon: &Daemon) -> Vec<String> {
    daemon.json(&["list"]).iter().map(|cron| cron["cron_name"].as_str().unwrap().to_owned()).collect()
}

async fn wait_for_crons(daemon: &Daemon, names: &[&str]) {
    daemon.wait_until(&format!("the crons {names:?}"), || crons(daemon) == names).await;
}

fn notice(daemon: &Daemon) -> Option<Value> {
    let status = daemon.json(&["status"]);
    let notices = status[0]["notices"].as_array().unwrap().clone();
    notices.into_iter().find(|notice| notice["kind"] == "configuration")
}

/// Writes a new file and renames it, as editors do.
fn replace(path: &Path, content: &str) {
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(&new, path).unwrap();
}

#[tokio::test]
async fn saved_files_are_reloaded_as_far_as_they_are_understood() {
    let server = AgentServerOnPort::start();
    let (mut daemon, file) = Daemon::with_folder(&server.url());
    daemon.start_again();
    daemon.wait_for_stderr("ready").await;
    wait_for_crons(&daemon, &["first", "main"]).await;
    replace(&file, &format!("{}{}", Cron::yearly("first"), Cron::yearly("second")));
    wait_for_crons(&daemon, &["first", "main", "second"]).await;
    fs::write(file.with_file_name("more.toml"), Cron::yearly("more").to_string()).unwrap();
    wait_for_crons(&daemon, &["first", "main", "more", "second"]).await;

    replace(&file, "[cron.first]\nschedul = \"* * * * *\"\ntimeout = \"soon\"\n");
    daemon.wait_until("the mistake to be reported", || notice(&daemon).is_some()).await;
    let detail = notice(&daemon).unwrap()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("some.toml:2:1") && detail.contains("schedul"), "{detail}");
    let database = rusqlite::Connection::open(daemon.database()).unwrap();
    let count = "SELECT count FROM notices WHERE kind = 'configuration'";
    let count: i64 = database.query_row(count, [], |row| row.get(0)).unwrap();
    let in_files = &daemon.json(&["status"])[0]["configuration"]["mistakes"];
    assert_eq!((in_files, count >= 2), (&json!(count), true), "{detail}");
    assert_eq!(
        crons(&daemon),
        ["first", "main", "more"],
        "a cron that is not understood goes on, and one that is gone does not"
    );
    assert_eq!(daemon.stderr().matches("configuration has mistakes").count(), 1);

    fs::remove_file(&file).unwrap();
    wait_for_crons(&daemon, &["main", "more"]).await;
    assert_eq!(notice(&daemon), None);
    let before = daemon.stderr();
    replace(&file.with_file_name("more.toml"), &Cron::yearly("more").to_string());
    tokio::time::sleep(RELOAD_WAIT).await;
    assert_eq!(daemon.stderr(), before, "saving without a change logs nothing");
}

/// What is no file must be reported like any mistake; it must neither be waited for nor end reloading.
#[tokio::test]
async fn a_pipe_among_the_files_is_a_mistake_and_stops_nothing() {
    let server = AgentServerOnPort::start();
    let (mut daemon, file) = Daemon::with_folder(&server.url());
    daemon.start_again();
    daemon.wait_for_stderr("ready").await;
    wait_for_crons(&daemon, &["first", "main"]).await;
    let pipe = file.with_file_name("x.toml");
    let make_pipe = || assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    make_pipe();
    daemon.wait_until("the pipe to be reported", || notice(&daemon).is_some()).await;
    let detail = notice(&daemon).unwrap()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("x.toml: it is a pipe, expected a regular file"), "{detail}");
    let check = daemon.run_command(&["check"]);
    let shown = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(check.status.code() == Some(2) && shown.contains("x.toml: it is a pipe"), "{shown}");
    // Changes of the other files are still noticed, and their mistakes are reported with it.
    fs::write(&file, "[cron.first]\nschedul = 1\n").unwrap();
    let has_both = |notice: Value| notice["detail"].as_str().is_some_and(|text| text.contains("schedul"));
    daemon.wait_until("the other mistake", || notice(&daemon).is_some_and(has_both)).await;
    fs::write(&file, format!("{}{}", Cron::yearly("first"), Cron::yearly("second"))).unwrap();
    fs::remove_file(&pipe).unwrap();
    wait_for_crons(&daemon, &["first", "main", "second"]).await;
    assert_eq!(notice(&daemon), None);
    make_pipe();
    daemon.wait_until("the pipe to be reported again", || notice(&daemon).is_some()).await;
    daemon.terminate();
    // Nothing is in flight, so no part of the grace of 20 s is needed.
    let ended = daemon.exit_within(Duration::from_secs(10)).await;
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
}

#[tokio::test]
async fn after_a_hundred_signals_the_last_content_is_in_force() {
    let server = AgentServerOnPort::start();
    let (mut daemon, file) = Daemon::with_folder(&server.url());
    daemon.start_again();
    daemon.wait_for_stderr("ready").await;
    wait_for_crons(&daemon, &["first", "main"]).await;
    for number in 0..100 {
        fs::write(&file, Cron::yearly(&format!("number-{number}")).to_string()).unwrap();
        hang_up(&daemon);
    }
    wait_for_crons(&daemon, &["main", "number-99"]).await;
    daemon.assert_alive();
}

#[tokio::test]
async fn changed_settings_need_a_restart_and_an_empty_configuration_needs_a_signal() {
    let server = AgentServerOnPort::start();
    let configuration = Configuration::new(&server.url());
    let daemon = Daemon::start(&configuration.clone().cron(Cron::yearly("main")));
    daemon.wait_for_stderr("ready").await;
    wait_for_crons(&daemon, &["main"]).await;
    let other = configuration.clone().backend("request_timeout = \"7s\"").top("shutdown_grace = \"3s\"");
    daemon.write_config(&other.cron(Cron::yearly("main")).cron(Cron::yearly("new")));
    wait_for_crons(&daemon, &["main", "new"]).await;
    let settings = "settings=\"backend.request_timeout, shutdown_grace\"";
    daemon.wait_for_stderr(&format!("settings not reloaded; they need a restart {settings}")).await;
    let waits = "changed in the files, and not in force: backend.request_timeout, shutdown_grace";
    let status_says_so = || {
        String::from_utf8_lossy(&daemon.run_command(&["status"]).stdout).replace('\n', " ").contains(waits)
    };
    daemon.wait_until("the status to say so", status_says_so).await;
    daemon.write_config(&configuration);
    daemon.wait_for_stderr("no cron is left in the configuration; if that is intended, send SIGHUP").await;
    assert_eq!(crons(&daemon), ["main", "new"]);
    daemon.wait_until("a notice", || notice(&daemon).is_some()).await;
    let check = || String::from_utf8_lossy(&daemon.run_command(&["check"]).stderr).into_owned();
    assert!(check().contains("the running daemon has not reloaded"), "{}", check());
    hang_up(&daemon);
    wait_for_crons(&daemon, &[]).await;
    daemon.wait_until("no notice", || notice(&daemon).is_none() && !status_says_so()).await;
    assert!(!check().contains("has not reloaded"), "{}", check());
}

#[tokio::test]
async fn a_half_written_file_changes_nothing() {
    let server = AgentServerOnPort::start();
    let (mut daemon, file) = Daemon::with_folder(&server.url());
    daemon.start_again();
    daemon.wait_for_stderr("ready").await;
    wait_for_crons(&daemon, &["first", "main"]).await;
    let whole = format!("{}{}", Cron::yearly("first"), Cron::yearly("second"));
    // It ends in the middle of a word.
    let half = &whole[..whole.len() / 2 + 9];
    fs::write(&file, half).unwrap();
    hang_up(&daemon);
    daemon.wait_until("the half to be refused", || notice(&daemon).is_some()).await;
    assert_eq!(crons(&daemon), ["first", "main"]);
    fs::write(&file, &whole).unwrap();
    wait_for_crons(&daemon, &["first", "main", "second"]).await;
    assert_eq!(notice(&daemon), None);
}

#[tokio::test]
async fn a_symlink_is_followed_when_kubernetes_replaces_it() {
    let server = AgentServerOnPort::start();
    let daemon_config = |name: &str| Configuration::new(&server.url()).cron(Cron::yearly(name)).to_string();
    let mut daemon = Daemon::prepare("");
    let folder = daemon.folder().to_owned();
    let version = |number: usize| {
        let version = folder.join(format!("..version-{number}"));
        fs::create_dir(&version).unwrap();
        let text = daemon_config(&format!("version-{number}")).replace("{folder}", folder.to_str().unwrap());
        fs::write(version.join("agentcron.toml"), text).unwrap();
        std::os::unix::fs::symlink(&version, folder.join("..data-new")).unwrap();
        fs::rename(folder.join("..data-new"), folder.join("..data")).unwrap();
        if number > 0 {
            fs::remove_dir_all(folder.join(format!("..version-{}", number - 1))).unwrap();
        }
    };
    version(0);
    fs::remove_file(daemon.config_path()).unwrap();
    std::os::unix::fs::symlink("..data/agentcron.toml", daemon.config_path()).unwrap();
    daemon.start_again();
    daemon.wait_for_stderr("ready").await;
    wait_for_crons(&daemon, &["version-0"]).await;
    let descriptors = || {
        let process_id = daemon.process_id().unwrap();
        fs::read_dir(format!("/proc/{process_id}/fd")).unwrap().count()
    };
    version(1);
    wait_for_crons(&daemon, &["version-1"]).await;
    let before = descriptors();
    for number in 2..=60 {
        version(number);
    }
    wait_for_crons(&daemon, &["version-60"]).await;
    assert!(descriptors() <= before + 2, "{before} -> {}", descriptors());
}

#[tokio::test]
async fn a_removed_cron_stops_but_its_run_is_followed_and_its_history_stays() {
    let server = AgentServerOnPort::start();
    let configuration = Configuration::new(&server.url()).cron(Cron::yearly("stays"));
    let removed = Cron::new("removed", &Span::soon(1, 30)).says("sleep 4");
    let daemon = Daemon::start(&configuration.clone().cron(removed));
    let is_running = |runs: &[RunRecord]| runs.iter().any(|run| run.phase == "running");
    daemon.wait_for_history("a running run", is_running).await;
    daemon.write_config(&configuration);
    wait_for_crons(&daemon, &["stays"]).await;
    let find = || {
        let runs = daemon.json(&["history", "--cron", "removed"]);
        runs.into_iter().find(|run| run["status"] == "success")
    };
    daemon.wait_within(PATIENCE, "the run's end", find).await;
    let count = daemon.history().len();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(daemon.history().len(), count, "a removed cron starts no runs");
}

#[tokio::test]
async fn an_edit_near_an_occurrence_neither_repeats_nor_drops_it() {
    let server = AgentServerOnPort::start();
    let configuration = |says: &str| {
        let cron = Cron::bare("edited").says(says);
        let cron = cron.with("schedule = \"* * * * * *\"\noverlap = \"allow\"\ncatchup = \"all\"");
        Configuration::new(&server.url()).cron(cron)
    };
    let daemon = Daemon::start(&configuration("0"));
    daemon.wait_for_history("a first run", |runs| !runs.is_empty()).await;
    for number in 1..=12 {
        daemon.write_config(&configuration(&number.to_string()));
        hang_up(&daemon);
        tokio::time::sleep(Duration::from_millis(437)).await;
    }
    daemon
        .wait_until("the last edit", || daemon.stderr().matches("configuration reloaded").count() >= 3)
        .await;
    let runs = daemon.history();
    let instants: Vec<i64> = runs.iter().map(|run| run.scheduled_for.as_second()).collect();
    let expected: Vec<i64> = (instants[0]..=instants[instants.len() - 1]).collect();
    assert_eq!(instants, expected, "each second has one run");
}
