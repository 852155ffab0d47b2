//! A cron that is edited, paused or removed is what its file and its state say at that moment: nothing that was not
//! sent yet is sent by a definition that no file has any more.

use std::collections::BTreeSet;
use std::time::Duration;

use agentcron::backend::embedded::{EmbeddedServer, LedgerEntry};
use agentcron::clock::Clock;
use agentcron::config::{self, Environment};
use agentcron::daemon::{self, World};
use agentcron::domain::ids::InstallationId;
use agentcron::store::{Execution, Sharing};
use agentcron::transport::{Transport, TransportError};
use axum::Router;
use axum::http::StatusCode;
use jiff::SignedDuration;
use rusqlite::Connection;
use tokio_util::sync::CancellationToken;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::history::RunRecord;
use super::support::proxy::Proxy;
use super::support::span::{Span, now};

/// A cron before an edit, after it, and the records that there must be once a daemon has seen the edit.
struct Edit {
    what: &'static str,
    before: &'static str,
    /// `None` if its table was deleted.
    after: Option<&'static str>,
    expected: &'static [&'static str],
    /// How many webhooks were made.
    webhooks: i64,
}

const HOURLY: &str =
    "schedule = \"0 * * * *\"\nstart_deadline = \"10h\"\nwebhook = \"http://receiver.example/hook\"";

/// One run of each, that of 09:00, waits for the agent server when the daemon stops at 09:10. The next daemon starts at
/// 11:20.
const EDITS: [Edit; 15] = [
    Edit {
        what: "nothing",
        before: "",
        after: Some(""),
        expected: &[
            "09:00 success x1 started_late",
            "10:00 missed x1 daemon_down",
            "11:00 success x1 started_late",
        ],
        webhooks: 2,
    },
    Edit {
        what: "prompt",
        before: "",
        after: Some("input = { prompt = \"new\" }"),
        expected: &[
            "09:00 success x1 started_late",
            "10:00 missed x1 daemon_down",
            "11:00 success x1 started_late",
        ],
        webhooks: 2,
    },
    Edit {
        what: "webhook",
        before: "",
        after: Some("no webhook"),
        expected: &[
            "09:00 success x1 started_late",
            "10:00 missed x1 daemon_down",
            "11:00 success x1 started_late",
        ],
        webhooks: 0,
    },
    Edit {
        what: "disabled",
        before: "",
        after: Some("enabled = false"),
        expected: &["09:00 skipped x1 disabled", "10:00 skipped x2 disabled"],
        webhooks: 0,
    },
    Edit { what: "enabled", before: "enabled = false", after: Some(""), expected: &[], webhooks: 0 },
    Edit {
        what: "excluded",
        before: "",
        after: Some("exclude = [\"2026-03-02\"]"),
        expected: &["09:00 skipped x1 excluded", "10:00 missed x1 daemon_down", "11:00 skipped x1 excluded"],
        webhooks: 0,
    },
    Edit {
        what: "catchup_none",
        before: "",
        after: Some("catchup = \"none\""),
        expected: &["09:00 missed x1 catchup_none", "10:00 missed x2 daemon_down"],
        webhooks: 0,
    },
    Edit {
        what: "catchup_all",
        before: "catchup = \"none\"",
        after: Some("catchup = \"all\""),
        expected: &[
            "09:00 success x1 started_late",
            "10:00 success x1 started_late",
            "11:00 success x1 started_late",
        ],
        webhooks: 3,
    },
    Edit {
        what: "catchup_window",
        before: "",
        after: Some("catchup_window = \"10m\""),
        expected: &["09:00 missed x1 catchup_window", "10:00 missed x2 daemon_down"],
        webhooks: 0,
    },
    Edit {
        what: "schedule",
        before: "",
        after: Some("schedule = \"30 * * * *\""),
        expected: &[
            "09:00 skipped x1 edited",
            "10:00 skipped x1 edited",
            "10:30 success x1 started_late",
            "11:00 skipped x1 edited",
        ],
        webhooks: 1,
    },
    Edit {
        what: "timezone",
        before: "",
        after: Some("timezone = \"Asia/Kolkata\""),
        expected: &[
            "09:00 skipped x1 edited",
            "10:00 skipped x1 edited",
            "10:30 success x1 started_late",
            "11:00 skipped x1 edited",
        ],
        webhooks: 1,
    },
    Edit {
        what: "start_time",
        before: "",
        after: Some("start_time = \"2026-03-02T11:10:00Z\""),
        expected: &["09:00 skipped x1 edited", "10:00 skipped x2 edited"],
        webhooks: 0,
    },
    Edit {
        what: "end_time",
        before: "",
        after: Some("end_time = \"2026-03-02T10:30:00Z\""),
        expected: &[
            "09:00 success x1 started_late",
            "10:00 success x1 started_late",
            "11:00 skipped x1 edited",
        ],
        webhooks: 2,
    },
    Edit {
        what: "start_deadline",
        before: "",
        after: Some("start_deadline = \"1h\""),
        expected: &[
            "09:00 error x1 daemon_down",
            "10:00 missed x1 daemon_down",
            "11:00 success x1 started_late",
        ],
        webhooks: 2,
    },
    Edit {
        what: "removed",
        before: "",
        after: None,
        expected: &["09:00 skipped x1 removed", "10:00 skipped x2 removed"],
        webhooks: 0,
    },
];

/// Returns the table of a cron. The keys of an edit replace those that it has anyway.
fn table(name: &str, edit: &str, prompt: &str) -> String {
    let mut lines = vec![format!("[cron.{name}]\nassistant_id = \"agent\"")];
    let key = |line: &str| line.split(' ').next().unwrap().to_owned();
    let replaced: BTreeSet<String> = edit.lines().map(key).collect();
    let webhook = edit == "no webhook";
    for line in HOURLY.lines().chain([format!("input = {{ prompt = \"{prompt}\" }}").as_str()]) {
        let is_left_out = replaced.contains(&key(line)) || (webhook && line.starts_with("webhook"));
        if !is_left_out {
            lines.push(line.to_owned());
        }
    }
    lines.extend((!webhook).then(|| edit.to_owned()));
    lines.join("\n")
}

#[test]
fn an_edit_while_no_daemon_runs_decides_about_everything_that_was_not_sent() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::simulated("2026-03-02T08:30:00Z".parse().unwrap());
    let server = {
        let clock = clock.clone();
        EmbeddedServer::new(move || clock.now())
    };
    // Each prompt names its definition: those of before must never arrive.
    let before: String = EDITS.iter().map(|edit| table(edit.what, edit.before, "old") + "\n").collect();
    let after: String = EDITS
        .iter()
        .filter_map(|edit| {
            Some(table(edit.what, edit.after?, if edit.what == "nothing" { "old" } else { "new" }) + "\n")
        })
        .collect();
    let away = Transport::function(|_| {
        Box::pin(async { Err(TransportError::NotSent("connection refused".to_owned())) })
    });
    let there = Transport::router(server.router());
    runtime.block_on(async {
        live(&folder, &clock, &before, away, Duration::from_secs(40 * 60)).await;
        tokio::time::sleep(Duration::from_secs(130 * 60)).await;
        live(&folder, &clock, &after, there, Duration::from_secs(5 * 60)).await;
    });
    for entry in server.ledger() {
        let name = entry.metadata["cron_name"].as_str().unwrap();
        let prompt = if name == "nothing" { "old" } else { "new" };
        assert_eq!(entry.input["prompt"], prompt, "{name} ran with the prompt of before");
    }
    let database = Connection::open(folder.path().join("agentcron.db")).unwrap();
    for Edit { what, expected, webhooks, .. } in &EDITS {
        assert_eq!(records(&database, what), *expected, "{what}");
        let sql = "SELECT count(*) FROM deliveries JOIN runs USING (run_id) WHERE cron_name = ?1";
        let made: i64 = database.query_row(sql, [what], |row| row.get(0)).unwrap();
        assert_eq!(made, *webhooks, "{what}");
    }
    assert_eq!(sent_by_another_definition(&database), 0, "the record shows the definition that was sent");
}

/// Returns how many runs have started of which the record shows another definition than their cron has.
fn sent_by_another_definition(database: &Connection) -> i64 {
    let sql = "SELECT count(*) FROM runs JOIN crons USING (cron_id) \
               WHERE started_at IS NOT NULL AND runs.definition_id <> crons.definition_id";
    database.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Runs a daemon for a while.
async fn live(folder: &tempfile::TempDir, clock: &Clock, crons: &str, backend: Transport, length: Duration) {
    let file = folder.path().join("agentcron.toml");
    let database = folder.path().join("agentcron.db");
    let head = format!("[backend]\nurl = \"http://backend.example\"\n[store]\npath = {database:?}\n");
    std::fs::write(&file, head + crons).unwrap();
    let environment = Environment::of_map([]);
    let world = World {
        config: config::load(&file, &environment).unwrap(),
        environment,
        clock: clock.clone(),
        backend,
        receivers: Transport::router(Router::new().fallback(async || StatusCode::OK)),
        execution: Execution::Inline,
        sharing: Sharing::Alone,
        host: String::new(),
        new_installation: InstallationId::default(),
        socket: None,
        listen: None,
        relay: None,
        reload: None,
        manager: None,
        watchdog: None,
    };
    let stop = CancellationToken::new();
    let later = async {
        tokio::time::sleep(length).await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(daemon::serve(world, || {}, stop.clone()), later);
    ended.unwrap();
}

/// Returns `HH:MM status xCOUNT reason_code` of each record of a cron, the oldest first.
fn records(database: &Connection, cron: &str) -> Vec<String> {
    let sql = "SELECT strftime('%H:%M', scheduled_for / 1000, 'unixepoch') || ' ' || coalesce(status, phase) || ' x' \
               || occurrences || coalesce(' ' || reason_code, '') FROM runs WHERE cron_name = ?1 ORDER BY scheduled_for";
    let mut statement = database.prepare(sql).unwrap();
    statement.query_map([cron], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn what_waits_for_the_agent_server_follows_an_edit_a_pause_and_a_removal() {
    let server = AgentServerOnPort::start();
    let mut proxy = Proxy::start(server.address());
    proxy.go_down();
    let span = Span::once();
    let cron = |name: &str| Cron::new(name, &span).says("old").with("start_deadline = \"1h\"");
    let asked = |name: &str| Cron::bare(name).with("schedule = \"0 0 1 1 *\"").says("old");
    let today = [0, 24].map(|hours| (now() + SignedDuration::from_hours(hours)).to_string()[..10].to_owned());
    let names = ["prompt", "paused", "disabled", "excluded", "moved", "removed"];
    let mut crons: Vec<Cron> = names.iter().map(|name| cron(name)).collect();
    crons.extend([asked("asked"), asked("asked_off")]);
    let mut daemon = Daemon::start(&Configuration::new(&proxy.url()).crons(crons));
    let all_wait =
        |runs: &[RunRecord]| runs.len() == names.len() && runs.iter().all(|run| run.phase == "pending");
    daemon.wait_for_history("all to wait", all_wait).await;
    for name in ["asked", "asked_off"] {
        daemon.json(&["trigger", name]);
    }
    let pause = daemon.run_command(&["pause", "paused"]);
    let text = String::from_utf8_lossy(&pause.stdout).into_owned();
    assert!(text.contains("1 run that waited to be sent is skipped"), "{text}");
    assert_eq!(daemon.json(&["pause", "asked"])[0]["skipped"], 0, "somebody asked for its run");
    daemon.write_config(&Configuration::new(&proxy.url()).crons([
        cron("prompt").says("new"),
        cron("paused").says("new"),
        cron("disabled").says("new").with("enabled = false"),
        cron("excluded").says("new").with(&format!("exclude = [\"{}\", \"{}\"]", today[0], today[1])),
        Cron::bare("moved").with("schedule = \"0 0 1 1 *\"").says("new"),
        asked("asked").says("new"),
        asked("asked_off").says("new").with("enabled = false"),
    ]));
    daemon.wait_for_stderr("removed=1").await;
    daemon.json(&["resume", "paused"]);
    proxy.come_up();
    let runs = daemon.wait_for_history("all to end", |runs| runs.iter().all(RunRecord::is_finished)).await;
    daemon.assert_alive();
    let of = |name: &str| {
        let run = runs.iter().find(|run| run.cron_name == name).unwrap();
        (run.status.clone(), run.reason_code.clone())
    };
    for (name, status, code) in [
        ("paused", "skipped", "paused"),
        ("disabled", "skipped", "disabled"),
        ("excluded", "skipped", "excluded"),
        ("moved", "skipped", "edited"),
        ("removed", "skipped", "removed"),
    ] {
        assert_eq!(of(name), (status.to_owned(), code.to_owned()), "{name}");
    }
    let ran = |entry: &LedgerEntry| {
        let text = entry.input["messages"][0]["content"].as_str().unwrap().to_owned();
        (entry.metadata["cron_name"].as_str().unwrap().to_owned(), text)
    };
    let ran: BTreeSet<_> = server.ledger().iter().map(ran).collect();
    let expected = ["asked", "asked_off", "prompt"].map(|name| (name.to_owned(), "new".to_owned()));
    assert_eq!(ran, BTreeSet::from(expected), "{runs:#?}");
    let database = Connection::open(daemon.database()).unwrap();
    assert_eq!(sent_by_another_definition(&database), 0, "the record shows the definition that was sent");
}

#[tokio::test]
async fn a_time_without_the_cron_is_explained_as_such() {
    let server = AgentServerOnPort::start();
    let every_second = |name: &str| Cron::bare(name).with("schedule = \"* * * * * *\"");
    let with = |crons: Vec<Cron>| Configuration::new(&server.url()).cron(every_second("stays")).crons(crons);
    let both = with(vec![every_second("off"), every_second("gone")]);
    let daemon = Daemon::start(&both);
    daemon.wait_for_history("runs", |runs| !runs.is_empty()).await;
    daemon.write_config(&with(vec![every_second("off").with("enabled = false")]));
    daemon.wait_for_stderr("removed=1").await;
    let since = now();
    daemon.wait_until("three seconds to pass", || now() > since + SignedDuration::from_secs(3)).await;
    daemon.write_config(&both);
    daemon.wait_for_stderr("added=1").await;
    let inside = jiff::Timestamp::from_second(since.as_second() + 2).unwrap().to_string();
    for (name, verdict, detail) in [
        ("off", "disabled", "the cron was disabled from "),
        ("gone", "removed", "the cron was not in any file from "),
    ] {
        let explained = &daemon.json(&["explain", name, "--at", &inside])[0];
        assert_eq!(explained["verdict"], verdict, "{explained}");
        assert!(explained["detail"].as_str().unwrap().starts_with(detail), "{explained}");
    }
}
