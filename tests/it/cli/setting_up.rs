//! Before anything fires: help, init, check, next, the demo, and what stops a daemon from starting.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::{Json, Router};
use expect_test::{Expect, expect};
use serde_json::json;

use super::{QUIET, agentcron, command, completed, demand, quiet, stderr, stdout, table};
use crate::support::configuration::{Configuration, Cron};
use crate::support::daemon::Daemon;
use crate::support::growing_list::PATIENCE;
use crate::support::loopback_server::{LoopbackServer, serve_router};

const VERBS: [&str; 26] = [
    "support",
    "report",
    "stats",
    "backup",
    "restore",
    "migrate",
    "import",
    "run",
    "check",
    "next",
    "list",
    "status",
    "health",
    "daemons",
    "outages",
    "acts",
    "notify",
    "history",
    "show",
    "prune",
    "forget",
    "init",
    "edit",
    "schema",
    "demo",
    "completions",
];

#[test]
fn every_verb_explains_itself_with_examples() {
    let folder = tempfile::tempdir().unwrap();
    let overview = agentcron(folder.path(), &["--help"]);
    demand(&overview, 0);
    for verb in VERBS {
        assert!(stdout(&overview).contains(&format!("\n  {verb}")), "{verb} is not in --help");
        let help = agentcron(folder.path(), &[verb, "--help"]);
        demand(&help, 0);
        let text = stdout(&help);
        assert!(text.contains(&format!("Usage: agentcron {verb}")), "{text}");
        assert!(text.contains("Examples:") && text.contains("--config <FILE>"), "{text}");
    }
    demand(&agentcron(folder.path(), &["--version"]), 0);
    demand(&agentcron(folder.path(), &["no-such-verb"]), 2);
}

#[test]
fn completions_know_the_verbs() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = agentcron(folder.path(), &["completions", shell]);
        demand(&script, 0);
        assert!(stdout(&script).contains("history"), "{shell}");
    }
    let daemon = quiet();
    let offered = |words: &[&str]| completed(&daemon, words);
    assert_eq!(offered(&["history", "--status", ""]).lines().next(), Some("success"));
    assert_eq!(offered(&["webhook", "list", "--status", "p"]).lines().next(), Some("pending"));
    assert_eq!(offered(&["history", "--since", ""]), "");
    assert_eq!(offered(&["explain", ""]), "", "there is no database yet");
}

#[test]
fn a_failure_is_one_object_on_stderr_if_json_is_asked_for() {
    let daemon = Daemon::prepare("[cron.a]\nschedule = \"0 25 * * *\"\nassistant_id = \"agent\"\n");
    let failure = |arguments: &[&str]| {
        let output = agentcron(daemon.folder(), &[&["--json"], arguments].concat());
        demand(&output, 2);
        assert_eq!(stdout(&output), "");
        let lines = stderr(&output);
        let failure: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        (failure["code"].clone(), failure["message"].clone(), failure["hint"].clone(), failure)
    };
    let (code, message, hint, mistakes) = failure(&["check"]);
    assert_eq!((code, message, hint), (json!(2), json!("1 mistake in the configuration"), json!(null)));
    assert_eq!(mistakes["mistakes"][0]["line"], 2);
    assert!(mistakes["mistakes"][0]["message"].as_str().unwrap().contains("hour 25 is out of range"));
    let (code, message, hint, _) = failure(&["histry"]);
    assert_eq!((code, message), (json!(2), json!("unrecognized subcommand 'histry'")));
    assert!(hint.as_str().unwrap().contains("history"), "{hint}");
    let (code, message, hint, _) = failure(&["list", "--config", "nowhere.toml"]);
    assert_eq!((code, message), (json!(2), json!("there is no configuration at nowhere.toml")));
    assert!(hint.as_str().unwrap().contains("agentcron init"), "{hint}");
}

#[test]
fn what_init_writes_passes_check_and_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let first = agentcron(folder.path(), &["init", "mine"]);
    demand(&first, 0);
    assert!(stdout(&first).contains("agentcron check --config mine/agentcron.toml"), "{}", stdout(&first));
    let check = agentcron(folder.path(), &["check", "mine/agentcron.toml"]);
    demand(&check, 0);
    assert!(stdout(&check).contains("no mistakes in mine/agentcron.toml: 1 cron"), "{}", stdout(&check));
    assert_eq!(stderr(&check), "");
    let again = agentcron(folder.path(), &["init", "mine"]);
    demand(&again, 1);
    assert!(stderr(&again).contains("exists already; nothing was written"), "{}", stderr(&again));
    let in_folder = |name: &str| std::fs::read_to_string(folder.path().join("mine").join(name)).unwrap();
    let schema = agentcron(folder.path(), &["schema"]);
    demand(&schema, 0);
    assert_eq!(in_folder("agentcron.schema.json"), stdout(&schema));
    for (name, names) in
        [("agentcron.toml", "./agentcron.schema.json"), ("crons.d/hello.toml", "../agentcron.schema.json")]
    {
        assert!(in_folder(name).starts_with(&format!("#:schema {names}\n")), "{name}");
    }
}

#[test]
fn init_waits_for_no_server_that_does_not_answer_and_says_what_it_found() {
    let folder = tempfile::tempdir().unwrap();
    // It accepts connections and never answers, or does not listen.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let first = agentcron(folder.path(), &["init", "a", "--url", &url]);
    demand(&first, 0);
    let said = stdout(&first);
    assert!(said.contains("did not answer within 2 s") || said.contains("no answer within 2s"), "{said}");
    drop(silent);
    let second = agentcron(folder.path(), &["init", "b", "--url", &url]);
    demand(&second, 0);
    let said = stdout(&second);
    assert!(said.starts_with(&format!("no assistants were found at {url} (")), "{said}");
    assert!(
        said.contains("set backend.url in b/agentcron.toml and assistant_id in b/crons.d/hello.toml"),
        "{said}"
    );
    let written = std::fs::read_to_string(folder.path().join("b/agentcron.toml")).unwrap();
    assert!(written.contains(&format!("url = \"{url}\"")), "{written}");
    demand(&agentcron(folder.path(), &["check", "b/agentcron.toml"]), 0);
    demand(&agentcron(folder.path(), &["init", "c", "--url", "http://user:password@127.0.0.1:1"]), 2);
    assert!(!folder.path().join("c").exists());
}

#[test]
fn a_variable_that_is_set_but_empty_counts_as_not_set() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path(), &["run"]);
    let output = command.env("AGENTCRON_CONFIG", "").env("AGENTCRON_LOG", "").output().unwrap();
    demand(&output, 2);
    assert!(stderr(&output).contains("at /etc/agentcron/agentcron.toml; name it"), "{}", stderr(&output));
}

#[test]
fn check_shows_what_will_fire_and_when() {
    let daemon = quiet();
    let output = daemon.run_command(&["check"]);
    demand(&output, 0);
    let expected = expect![[r#"
        new-year  FOLDER/agentcron.toml:8:7
          0 0 1 1 * 0 2090-2099  Europe/Berlin
          At 00:00 on day 1 of the month in January in 2090 to 2099; runs agent on a new thread each time
            Sat 2089-12-31 23:00:00 UTC (Sun 00:00:00 CET)
            Sun 2090-12-31 23:00:00 UTC (Mon 00:00:00 CET)
            Mon 2091-12-31 23:00:00 UTC (Tue 00:00:00 CET)

        old-year  FOLDER/agentcron.toml:13:7
          30 23 31 dec * 0 2090-2099  UTC
          At 23:30 on day 31 of the month in December in 2090 to 2099; runs agent on the thread `years`
          disabled: it does not fire (enabled = false)

        no mistakes in FOLDER/agentcron.toml: 2 crons, agent server http://127.0.0.1:9/, store FOLDER/agentcron.db"#]];
    expected.assert_eq(&without_now(&stdout(&output), &daemon));
    let crons = daemon.json(&["check"]);
    assert_eq!(crons[0]["cron_name"], "new-year");
    assert_eq!(crons[0]["next"][0], "2089-12-31T23:00:00Z");
    assert_eq!(crons[1]["next"].as_array().map(Vec::len), Some(0));
}

/// Removes how far away an instant is, which depends on the day of the test.
fn without_now(text: &str, daemon: &Daemon) -> String {
    let text = text.replace(daemon.folder().to_str().unwrap(), "FOLDER");
    text.lines().map(|line| line.split("  in ").next().unwrap()).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_mistake_is_reported_at_once() {
    let daemon = Daemon::prepare(
        "[backend]\nurl = \"ftp://nowhere\"\n[cron.a]\nschedule = \"61 * * * *\"\nassistant_id = \"agent\"\n\
         [cron.b]\nschedul = \"* * * * *\"\nassistant_id = \"agent\"\n[store]\npath = \"agentcron.db\"\n",
    );
    for verb in ["check", "next", "list"] {
        let output = daemon.run_command(&[verb]);
        demand(&output, 2);
        let message = stderr(&output);
        for place in ["agentcron.toml:2:", "agentcron.toml:4:", "agentcron.toml:7:"] {
            assert!(message.contains(place), "{verb} does not name {place}:\n{message}");
        }
        assert!(
            message.contains("error: ") && message.contains(" mistakes in the configuration"),
            "{message}"
        );
    }
}

#[test]
fn a_missing_configuration_says_how_to_get_one() {
    let folder = tempfile::tempdir().unwrap();
    for verb in ["run", "check", "history"] {
        let output = agentcron(folder.path(), &[verb, "--config", "nowhere.toml"]);
        demand(&output, 2);
        assert!(stderr(&output).contains("agentcron init"), "{}", stderr(&output));
    }
}

fn check_next(arguments: &[&str], expected: Expect) {
    let folder = tempfile::tempdir().unwrap();
    let output = agentcron(folder.path(), &[&["next", "--json"], arguments].concat());
    demand(&output, 0);
    expected.assert_eq(&stdout(&output));
}

#[test]
fn next_needs_neither_configuration_nor_daemon_for_a_schedule() {
    check_next(
        &[
            "--schedule",
            "0 9 * * mon-fri",
            "--timezone",
            "Europe/Berlin",
            "--from",
            "2026-06-05T08:00Z",
            "-n",
            "2",
        ],
        expect![[r#"
            {"at":"2026-06-08T07:00:00Z","local":"2026-06-08T09:00:00+02:00","note":null}
            {"at":"2026-06-09T07:00:00Z","local":"2026-06-09T09:00:00+02:00","note":null}
        "#]],
    );
}

#[test]
fn next_reads_a_local_time_in_the_zone_asked_about() {
    let from = ["--from", "2026-10-05 08:00", "-n", "1"];
    let sydney = ["--schedule", "0 9 * * *", "--timezone", "Australia/Sydney"];
    check_next(
        &[&sydney[..], &from].concat(),
        expect![[r#"
            {"at":"2026-10-04T22:00:00Z","local":"2026-10-05T09:00:00+11:00","note":null}
        "#]],
    );
    let daemon = quiet();
    let from = ["--from", "2090-01-01 00:00", "-n", "1"];
    // Midnight in Berlin is an hour before midnight in the tests' own zone, which is UTC.
    let of_cron =
        daemon.json(&[&["next", "new-year"][..], &["--from", "2089-12-31 23:59", "-n", "1"]].concat());
    assert_eq!(of_cron[0]["local"], "2090-01-01T00:00:00+01:00");
    let of_all = daemon.json(&[&["next"][..], &from].concat());
    assert_eq!(of_all[0]["local"], "2091-01-01T00:00:00+01:00");
}

#[test]
fn next_notes_what_a_clock_change_does() {
    check_next(
        &[
            "--schedule",
            "30 2 * * *",
            "--timezone",
            "Europe/Berlin",
            "--from",
            "2026-03-28T02:00Z",
            "-n",
            "2",
        ],
        expect![[r#"
            {"at":"2026-03-29T01:00:00Z","local":"2026-03-29T03:00:00+02:00","note":"02:30:00 does not exist that day (clock change); this is the first instant after the gap"}
            {"at":"2026-03-30T00:30:00Z","local":"2026-03-30T02:30:00+02:00","note":null}
        "#]],
    );
}

#[test]
fn next_of_the_configuration_is_in_the_order_of_time() {
    let daemon = quiet();
    let all = daemon.json(&["next", "-n", "3"]);
    assert_eq!(all.len(), 3);
    assert_eq!(all[0]["cron_name"], "new-year");
    assert_eq!(all[0]["local"], "2090-01-01T00:00:00+01:00");
    let none = daemon.run_command(&["next", "old-year"]);
    demand(&none, 0);
    assert_eq!(stdout(&none), "nothing scheduled before 2100, where calendars end\n");
    let unknown = daemon.run_command(&["next", "newyear"]);
    demand(&unknown, 2);
    assert!(stderr(&unknown).contains("did you mean `new-year`?"), "{}", stderr(&unknown));
}

#[test]
fn a_bad_schedule_is_shown_where_it_is_bad() {
    let folder = tempfile::tempdir().unwrap();
    let output = agentcron(folder.path(), &["next", "--schedule", "0 25 * * *"]);
    demand(&output, 2);
    assert!(stderr(&output).contains("  | 0 25 * * *\n  |   ^^\n"), "{}", stderr(&output));
    let zone = agentcron(folder.path(), &["next", "--schedule", "0 2 * * *", "--timezone", "Berlin"]);
    demand(&zone, 2);
    assert!(stderr(&zone).contains("--timezone: unknown time zone Berlin"), "{}", stderr(&zone));
}

#[test]
fn the_demo_fires_delivers_and_summarises() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = super::command(folder.path(), &["demo", "--runs", "3"]);
    let output = command.env("TMPDIR", folder.path()).output().unwrap();
    demand(&output, 0);
    let text = stdout(&output);
    for word in ["fired", "success", "webhook   delivered in", "\"echo: ", "runs completed"] {
        assert!(text.contains(word), "no {word:?} in:\n{text}");
    }
    // The commands that it recommends work.
    let program = env!("CARGO_BIN_EXE_agentcron");
    let history = text.lines().find_map(|line| line.trim_start().strip_prefix(program)).unwrap();
    let arguments: Vec<&str> = history.split_whitespace().collect();
    assert_eq!(arguments[0], "history");
    let history = agentcron(folder.path(), &arguments);
    demand(&history, 0);
    assert!(stdout(&history).matches("delivered").count() >= 3, "{}", stdout(&history));
}

#[tokio::test]
async fn a_second_daemon_learns_who_has_the_database() {
    let mut daemon = quiet();
    daemon.start_again();
    daemon.wait_for_stderr("ready").await;
    let second = daemon.run_command(&["run"]);
    demand(&second, 4);
    let pid = format!("pid {}", daemon.process_id().unwrap());
    assert!(stderr(&second).contains(&pid), "{}", stderr(&second));
    assert_eq!(daemon.json(&["status"])[0]["daemon"]["running"], true);
    daemon.terminate();
    assert!(daemon.wait_for_exit().await.success());
    assert_eq!(daemon.json(&["status"])[0]["daemon"]["running"], false);
}

#[tokio::test]
async fn the_socket_is_open_to_the_group_that_the_configuration_names() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let own = std::fs::metadata("/proc/self").unwrap().gid();
    for (group, mode) in [(own.to_string(), 0o660), ("no-such-group-here".to_owned(), 0o600)] {
        let http = format!("[http]\nsocket_group = \"{group}\"\nlisten = \"off\"\n[store]");
        let config = QUIET.replace("[store]", &http);
        let mut daemon = Daemon::prepare(&config);
        daemon.start_again();
        daemon.wait_for_stderr("daemon ready").await;
        let socket = std::fs::metadata(daemon.folder().join("agentcron.sock")).unwrap();
        assert_eq!((socket.permissions().mode() & 0o777, socket.gid()), (mode, own), "{group}");
        let status = stdout(&daemon.run_command(&["status"]));
        let is_told = status.contains("cannot use the socket: there is no group no-such-group-here");
        assert_eq!(is_told, mode == 0o600, "{status}");
    }
}

#[test]
fn there_is_a_manual_page_for_every_verb_and_for_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let written = agentcron(folder.path(), &["man", "."]);
    demand(&written, 0);
    let page = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect(name);
    assert!(page("agentcron.1").contains("In the morning:"));
    for verb in VERBS {
        assert!(page(&format!("agentcron-{verb}.1")).contains("Examples:"), "{verb}");
    }
    assert!(
        page("agentcron-webhook-hold.1").contains("hold")
            && page("agentcron.toml.5").contains("socket_group")
    );
    demand(&agentcron(folder.path(), &["man", "nowhere"]), 1);
}

#[tokio::test]
async fn the_service_manager_is_notified_of_start_and_stop() {
    let mut daemon = quiet();
    let socket = daemon.folder().join("notify.sock");
    let notified = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    notified.set_read_timeout(Some(PATIENCE)).unwrap();
    let receive = || {
        let mut message = [0; 256];
        let length = notified.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    // The status line may come at any time.
    let next_message =
        || std::iter::repeat_with(receive).find(|message| !message.starts_with("STATUS=")).unwrap();
    daemon.start_with(&[("NOTIFY_SOCKET", socket.to_str().unwrap())]);
    assert_eq!(next_message(), "READY=1\n");
    daemon.signal("HUP");
    let message = next_message();
    let when = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&message);
    assert!(when.trim_end().parse::<u64>().is_ok_and(|when| when > 0), "{message}");
    assert_eq!(next_message(), "READY=1\n");
    daemon.terminate();
    assert_eq!(next_message(), "STOPPING=1\n");
    assert!(daemon.wait_for_exit().await.success());
}

#[tokio::test]
async fn a_ca_file_without_certificates_is_a_mistake_of_the_configuration() {
    for (key, text) in [
        ("backend", "ca_file = \"ca.pem\"\n[store]"),
        ("webhooks", "[webhooks]\nca_file = \"ca.pem\"\n[store]"),
    ] {
        let mut daemon = Daemon::prepare(&QUIET.replace("[store]", text));
        daemon.start_again();
        daemon.wait_for_stderr(&format!("{key}.ca_file: cannot read")).await;
        std::fs::write(daemon.folder().join("ca.pem"), "no certificate").unwrap();
        daemon.wait_for_stderr("contains no PEM certificate").await;
        daemon.assert_alive();
    }
}

#[test]
fn reading_without_a_database_says_that_there_is_none() {
    let daemon = quiet();
    for arguments in [&["history"][..], &["show", "1234abcd"]] {
        let output = daemon.run_command(arguments);
        demand(&output, 3);
        assert!(stderr(&output).contains("there is no database yet"), "{}", stderr(&output));
    }
    let list = daemon.run_command(&["list"]);
    demand(&list, 0);
    assert!(stdout(&list).contains("new-year") && stderr(&list).contains("has not run yet"));
    assert_eq!(daemon.json(&["status"])[0]["store"]["exists"], false);
}

#[test]
fn a_broken_database_is_the_stores_exit_code() {
    let daemon = quiet();
    std::fs::write(
        daemon.folder().join("agentcron.db"),
        "no database at all, but long enough to be examined",
    )
    .unwrap();
    for verb in ["history", "list", "run"] {
        let output = daemon.run_command(&[verb]);
        demand(&output, 3);
        assert!(stderr(&output).contains("agentcron.db"), "{}", stderr(&output));
    }
}

#[test]
fn the_configuration_of_the_current_folder_is_used_unless_another_is_named() {
    let folder = tempfile::tempdir().unwrap();
    demand(&agentcron(folder.path(), &["init"]), 0);
    let found = agentcron(folder.path(), &["check"]);
    demand(&found, 0);
    assert!(stdout(&found).contains("no mistakes in ./agentcron.toml: 1 cron"), "{}", stdout(&found));
    let status = stdout(&agentcron(folder.path(), &["status"]));
    assert!(status.contains("./agentcron.toml") && status.contains("./agentcron.db"), "{status}");
    std::fs::write(folder.path().join("other.toml"), QUIET).unwrap();
    let mut named = command(folder.path(), &["check"]);
    let named = named.env("AGENTCRON_CONFIG", "other.toml").output().unwrap();
    assert!(stdout(&named).contains("no mistakes in other.toml: 2 crons"), "{}", stdout(&named));
}

#[test]
fn a_narrow_list_keeps_the_next_time_and_puts_the_schedule_below() {
    let check = |width, expected: Expect| expected.assert_eq(&table(&quiet(), width, &["list"]));
    check(
        "80",
        expect![[r#"
            CRON NEXT (UTC) DUE LAST OUTCOME
            new-year 0-0-0 0:0:0 in 0 years never
                0 0 0 0 * 0 0-0 Europe/Berlin
            old-year disabled never
                0 0 0 dec * 0 0-0 UTC"#]],
    );
    check(
        "120",
        expect![[r#"
            CRON SCHEDULE TIMEZONE NEXT (UTC) DUE LAST OUTCOME OK
            new-year 0 0 0 0 * 0 0-0 Europe/Berlin 0-0-0 0:0:0 in 0 years never
            old-year 0 0 0 dec * 0 0-0 UTC disabled never"#]],
    );
    check(
        "140",
        expect![[r#"
            CRON SCHEDULE TIMEZONE NEXT (UTC) DUE LAST OUTCOME OK P0 P0
            new-year 0 0 0 0 * 0 0-0 Europe/Berlin 0-0-0 0:0:0 in 0 years never
            old-year 0 0 0 dec * 0 0-0 UTC disabled never"#]],
    );
}

/// A configuration with a secret of each kind.
const SECRETS: &str = r#"
webhooks.signing_secrets = ["${{ credential.webhook_secret }}"]

[backend]
url = "http://127.0.0.1:9"
api_key = "${{ credential.langgraph_api_key }}"

[store]
path = "agentcron.db"

[http]
listen = "off"

[cron.new-year]
schedule = "0 0 1 1 * 0 2090-2099"
assistant_id = "agent"
input = { token = "${{ env.TOKEN_OF_THE_DAEMON }}" }
"#;

#[tokio::test]
async fn secrets_that_only_the_daemon_has_are_warnings_for_commands() {
    let mut daemon = Daemon::prepare(SECRETS);
    let credentials = daemon.folder().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    for (name, text) in
        [("langgraph_api_key", "hunter2"), ("webhook_secret", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3")]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(credentials.join(name), text).unwrap();
        std::fs::set_permissions(credentials.join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let directory = credentials.to_str().unwrap();
    daemon.start_with(&[("CREDENTIALS_DIRECTORY", directory), ("TOKEN_OF_THE_DAEMON", "hunter2")]);
    daemon.wait_for_stderr("ready").await;
    // A shell has none of it.
    let config = daemon.config_path();
    let in_shell = |arguments: &[&str]| {
        let arguments = [arguments, &["--config", config.to_str().unwrap()]].concat();
        agentcron(daemon.folder(), &arguments)
    };
    let check = in_shell(&["check"]);
    demand(&check, 0);
    for name in ["credential.langgraph_api_key", "credential.webhook_secret", "env.TOKEN_OF_THE_DAEMON"] {
        assert!(stderr(&check).contains(name), "{}", stderr(&check));
    }
    assert_eq!(stderr(&check).matches("the daemon may have it").count(), 3, "{}", stderr(&check));
    let status = in_shell(&["status"]);
    demand(&status, 5);
    assert!(stdout(&status).contains("(in use)"), "{}", stdout(&status));
    let next = in_shell(&["next"]);
    demand(&next, 0);
    assert_eq!(stderr(&next), "");
    // The address is refused, which takes no secret to tell.
    let doctor = in_shell(&["webhook", "doctor", "https://192.0.2.1/"]);
    demand(&doctor, 1);
    assert!(stderr(&doctor).contains("webhooks to this URL are refused"), "{}", stderr(&doctor));
    // What would be sent needs them. A daemon starts without them, and finds that another has the database.
    demand(&in_shell(&["check", "--online"]), 2);
    demand(&in_shell(&["webhook", "test", "http://127.0.0.1:9/"]), 2);
    demand(&in_shell(&["run"]), 4);
}

/// Other values than secrets may be the daemon's alone as well: what needs them is not judged.
#[test]
fn what_only_the_daemon_has_a_value_for_is_not_checked_and_the_rest_is() {
    let config = "backend.url = \"${{ env.URL_OF_THE_DAEMON }}\"\n\
                  [cron.a]\nschedule = \"${{ env.TIME_OF_THE_DAEMON }}\"\nassistant_id = \"agent\"\n\
                  [cron.b]\nschedule = \"0 9 * * *\"\nassistant_id = \"agent\"\n";
    let daemon = Daemon::prepare(config);
    let check = agentcron(daemon.folder(), &["check"]);
    demand(&check, 0);
    assert_eq!(stderr(&check).matches("the daemon may have it").count(), 2, "{}", stderr(&check));
    assert!(
        stdout(&check).contains("1 cron, others not checked here, agent server not checked here"),
        "{}",
        stdout(&check)
    );
    // A mistake is one all the same, and so is a value that is missing where it is used.
    daemon.write_config(&config.replace("0 9", "0 25"));
    demand(&agentcron(daemon.folder(), &["check"]), 2);
    daemon.write_config(&config.replace("\"agent\"", "\"${{ credential.x }}\""));
    demand(&agentcron(daemon.folder(), &["check"]), 2);
}

/// An agent server that lets in whoever has the key `good`, and that has one assistant.
fn strict_agent_server() -> LoopbackServer {
    let detail = |status: StatusCode, detail: &str| (status, Json(json!({ "detail": detail })));
    let answer = move |request: Request| async move {
        if request.headers().get("x-api-key").is_none_or(|key| key != "good") {
            return detail(StatusCode::FORBIDDEN, "Invalid key");
        }
        match request.uri().path() {
            "/assistants/search" => (StatusCode::OK, Json(json!([]))),
            "/assistants/fe096781-5601-53d2-b2f6-0d3403f7e9ca" => (StatusCode::OK, Json(json!({}))),
            path if path.starts_with("/assistants/") => detail(StatusCode::NOT_FOUND, "Assistant not found"),
            _ => detail(StatusCode::NOT_FOUND, "Thread not found"),
        }
    };
    let router = Router::new().fallback(answer);
    LoopbackServer::start(0, |listener| serve_router(listener, router))
}

#[test]
fn check_asks_the_agent_server_if_it_is_told_to() {
    let server = strict_agent_server();
    let with_key = |key: &str| {
        let configuration = Configuration::new(&format!("http://{}", server.address()));
        configuration.backend(&format!("api_key = \"{key}\""))
    };
    let yearly = |name: &str, assistant: &'static str| {
        Cron::bare(name).assistant(assistant).with("schedule = \"0 0 1 1 *\"")
    };
    let fine = with_key("good").cron(yearly("fine", "agent"));
    let daemon = Daemon::prepare(&fine);
    let check = daemon.run_command(&["check", "--online"]);
    demand(&check, 0);
    assert!(stdout(&check).contains("no problems at the agent server"), "{}", stdout(&check));

    daemon.write_config(&fine.clone().cron(yearly("bad", "agnet")).cron(yearly("worse", "agnet")));
    demand(&daemon.run_command(&["check"]), 0);
    let check = daemon.run_command(&["check", "--online"]);
    demand(&check, 2);
    for name in ["bad", "worse"] {
        let line = format!(":7: {name}: the agent server has no assistant `agnet`");
        assert!(stdout(&check).contains(&line), "{line}: {}", stdout(&check));
    }
    assert!(!stdout(&check).contains("fine: "), "{}", stdout(&check));

    daemon.write_config(&with_key("bad").cron(yearly("fine", "agent")));
    let check = daemon.run_command(&["check", "--online"]);
    demand(&check, 2);
    for what in ["assistant `agent`", "thread"] {
        let line =
            format!("fine: {what}: the agent server refuses us (403): Invalid key; see backend.api_key");
        assert!(stdout(&check).contains(&line), "{line}: {}", stdout(&check));
    }

    daemon.write_config(&Configuration::new("http://127.0.0.1:9").cron(yearly("fine", "agent")));
    let check = daemon.run_command(&["check", "--online"]);
    demand(&check, 1);
    let message = "the agent server at http://127.0.0.1:9/ could not be asked";
    assert!(stderr(&check).contains(message), "{}", stderr(&check));
}
