//! Text of graphs, clients and receivers that tries to pass for ours: no command shows it at the beginning of a line, and
//! none prints what is invisible or moves the cursor.

use serde_json::json;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::growing_list::PATIENCE;
use super::support::history::RunRecord;
use super::support::receiver::{Receiver, Reply};
use super::support::span::Span;

/// Every way to begin a line, and every kind of character that changes what is shown.
pub(super) const HOSTILE: &str = "a\nFORGED\r\nFORGED\rFORGED\u{85}FORGED\u{2028}FORGED\u{2029}FORGED\u{b}FORGED\u{c}\u{8}\u{7f}\
    \u{1b}[2J\u{1b}[31m\u{9b}31m\u{9d}0;x\u{7}\u{202e}\u{2066}\u{200b}\u{200f}\u{feff}\u{61c}\u{ad}\u{e0041}\0z";

pub(super) fn is_unprintable(char: char) -> bool {
    let invisible = "\u{85}\u{2028}\u{2029}\u{202e}\u{2066}\u{200b}\u{200f}\u{feff}\u{61c}\u{ad}\u{e0041}";
    (char.is_control() && char != '\n') || invisible.contains(char)
}

/// Writes this text wherever the database has text from outside.
pub(super) fn poison(daemon: &Daemon, hostile: &str) {
    let database = rusqlite::Connection::open(daemon.database()).unwrap();
    database.busy_timeout(PATIENCE).unwrap();
    let error = json!({ "error": hostile, "message": hostile }).to_string();
    let values = json!({ "messages": [hostile], hostile: hostile }).to_string();
    let url = format!("https://example.com/{hostile}");
    for (statement, text) in [
        ("UPDATE runs SET error = ?1 WHERE error IS NOT NULL", error.as_str()),
        ("UPDATE runs SET outcome_values = ?1", &values),
        ("UPDATE runs SET reason = ?1, reason_code = 'graph_error'", hostile),
        ("UPDATE runs SET cron_name = 'said ' || ?1", hostile),
        ("UPDATE crons SET name = 'said ' || ?1, location = ?1", hostile),
        ("UPDATE crons SET paused_at = 1, pause_cause = 'request', pause_note = ?1", hostile),
        ("UPDATE deliveries SET url = ?1", &url),
        ("UPDATE deliveries SET reason = ?1", hostile),
        ("UPDATE attempts SET detail = ?1, answer = ?1, address = ?1", hostile),
        (
            "INSERT INTO run_events (run_id, at, event, detail) SELECT run_id, 1, 'not_sent', ?1 FROM runs",
            hostile,
        ),
        (
            "INSERT OR REPLACE INTO notices (kind, at, detail, count) VALUES ('configuration', 1, ?1, 1)",
            hostile,
        ),
        ("INSERT OR REPLACE INTO notices (kind, at, detail, count) VALUES ('clock_step', 1, ?1, 1)", hostile),
        ("INSERT OR REPLACE INTO notices (kind, at, detail, count) VALUES ('listen', 1, ?1, 1)", hostile),
        ("INSERT OR REPLACE INTO notices (kind, at, detail, count) VALUES ('store_copy', 1, ?1, 1)", hostile),
    ] {
        if let Err(error) = database.execute(statement, [text]) {
            panic!("{statement}: {error}");
        }
    }
}

#[tokio::test]
async fn text_from_outside_cannot_pass_for_ours_in_any_command() {
    let (server, receiver) = (AgentServerOnPort::start(), Receiver::start());
    receiver.reply_always(Reply::status(503));
    let span = Span::once();
    let configuration = Configuration::new(&server.url())
        .cron(Cron::new("ends", &span).says("hi").webhook(&receiver.url("/hook")))
        .cron(Cron::new("fails", &span).says("boom").webhook(&receiver.url("/hook")));
    let mut daemon = Daemon::start(&configuration);
    daemon
        .wait_for_history("two runs with an attempt each", |runs| {
            let tried = |run: &&RunRecord| run.webhook.as_ref().is_some_and(|webhook| webhook.attempts > 0);
            runs.iter().filter(tried).count() == 2
        })
        .await;
    daemon.terminate();
    assert!(daemon.wait_for_exit().await.success());
    poison(&daemon, HOSTILE);
    let runs = daemon.history();
    let webhooks = daemon.json(&["webhook", "list"]);
    let ids = webhooks.iter().map(|webhook| webhook["delivery_id"].as_str().unwrap());
    let name = format!("said {HOSTILE}").replace('\0', "");
    let mut commands: Vec<Vec<&str>> = vec![
        vec!["list"],
        vec!["status"],
        vec!["history"],
        vec!["history", "--cron", &name],
        vec!["explain", &name],
        vec!["next", &name],
        vec!["trigger", &name],
        vec!["show", &name],
        vec!["webhook", "list"],
        vec!["webhook", "show", &name],
        vec!["webhook", "doctor", &name],
        vec!["webhook", "resume", &name],
        vec!["--config", &name, "check"],
    ];
    commands.extend(runs.iter().map(|run| vec!["show", run.run_id.as_str()]));
    commands.extend(ids.map(|id| vec!["webhook", "show", id]));
    let mut seen = 0;
    for arguments in commands {
        for more in [&[][..], &["--json"], &["--color", "always"]] {
            let arguments = [&arguments[..], more].concat();
            let output = daemon.run_command(&arguments);
            // clap quotes what it does not understand, and nothing of it comes from outside.
            let shown = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            seen += shown.matches("FORGED").count();
            let ours = [
                "\u{1b}[0m",
                "\u{1b}[1m",
                "\u{1b}[2m",
                "\u{1b}[31m",
                "\u{1b}[32m",
                "\u{1b}[33m",
                "\u{1b}[36m",
            ];
            let plain = ours.iter().fold(shown.clone(), |text, color| text.replace(color, ""));
            assert!(!plain.contains(is_unprintable), "{arguments:?}: {plain:?}");
            assert!(!plain.lines().any(|line| line.starts_with("FORGED")), "{arguments:?}: {plain}");
        }
    }
    assert!(seen > 100, "the text is shown, {seen} times");
}

/// The name of a file is text from outside too, for whoever may write into the folder.
#[tokio::test]
async fn the_name_of_a_file_cannot_forge_a_line_of_the_log() {
    let server = AgentServerOnPort::start();
    for arguments in [&["run"][..], &["run", "--log-format", "json"]] {
        let configuration = Configuration::new(&server.url()).top("include = [\"crons.d/*.toml\"]");
        let cron = Cron::bare("main").with("schedule = \"0 0 1 1 *\"");
        let mut daemon = Daemon::prepare(&configuration.cron(cron));
        let folder = daemon.folder().join("crons.d");
        std::fs::create_dir(&folder).unwrap();
        daemon.start_with_arguments(arguments, &[]);
        daemon.wait_for_stderr("ready").await;
        let name = HOSTILE.replace(['/', '\0'], "");
        std::fs::write(folder.join(format!("{name}.toml")), format!("[\"{}\"]\n", "a\\nFORGED")).unwrap();
        daemon.wait_for_stderr("configuration has mistakes").await;
        daemon.wait_until("its mistake", || daemon.stderr().contains("unknown key")).await;
        let log = daemon.stderr();
        assert!(log.contains("FORGED") && !log.contains(is_unprintable), "{log:?}");
        assert!(!log.lines().any(|line| line.starts_with("FORGED")), "{log}");
    }
}
