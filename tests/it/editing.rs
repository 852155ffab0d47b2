//! `agentcron edit`, with a script as the editor: what is saved, what is refused, and what is said.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::Cron;
use super::support::daemon::Daemon;

/// Runs the command with an editor that runs this text in a shell; `$1` is the file.
fn edit(daemon: &Daemon, arguments: &[&str], editor: &str) -> Output {
    let mut command = with_editor(daemon, editor, Command::new(env!("CARGO_BIN_EXE_agentcron")));
    command.arg("edit").args(arguments).arg("--config").arg(daemon.config_path());
    command.stdin(Stdio::null()).output().unwrap()
}

fn with_editor(daemon: &Daemon, editor: &str, mut command: Command) -> Command {
    let script = daemon.folder().join("editor.sh");
    fs::write(&script, format!("set -e\n{editor}\n")).unwrap();
    command.env_remove("AGENTCRON_CONFIG").env_remove("VISUAL").env("NO_COLOR", "1").env("TZ", "UTC");
    command.env("EDITOR", format!("sh {}", script.display())).env("TMPDIR", temporary(daemon));
    command.current_dir(daemon.folder());
    command
}

fn temporary(daemon: &Daemon) -> PathBuf {
    let folder = daemon.folder().join("temporary");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Returns the copies that were kept.
fn kept(daemon: &Daemon) -> Vec<PathBuf> {
    fs::read_dir(temporary(daemon)).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn demand(output: &Output, exit_code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(exit_code), "{stdout}\n{stderr}");
    (stdout, stderr)
}

fn schedule_of(daemon: &Daemon, cron: &str) -> Value {
    daemon.json(&["list", cron])[0]["schedule"].clone()
}

/// Replaces the schedule of the cron, whose file has only that one.
const OTHER_SCHEDULE: &str = "sed -i 's/0 0 1 1/5 0 1 1/' \"$1\"";

#[tokio::test]
async fn an_edit_is_shown_saved_with_its_mode_and_in_force_when_the_command_ends() {
    let server = AgentServerOnPort::start();
    let (mut daemon, file) = Daemon::with_folder(&server.url());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    // What a link leads to is edited, and the link stays.
    let real = daemon.folder().join("real.toml");
    fs::rename(&file, &real).unwrap();
    symlink("../real.toml", &file).unwrap();
    daemon.start_again();
    daemon.wait_for_stderr("ready").await;
    daemon
        .wait_until("the daemon to answer", || daemon.run_command(&["health"]).status.code() != Some(6))
        .await;
    let editor = format!("{OTHER_SCHEDULE}; echo 'context = {{ token = \"hunter2\" }}' >> \"$1\"");
    let (stdout, stderr) = demand(&edit(&daemon, &["first"], &editor), 0);
    let shown = "~ first\n    schedule: \"0 0 1 1 *\" → \"5 0 1 1 *\"\n    context is new\n";
    assert!(stdout.starts_with(shown) && !stdout.contains("hunter2"), "{stdout}");
    assert!(stdout.ends_with("real.toml\nin force: 1 cron changed\n"), "{stdout}");
    assert_eq!(stderr, "");
    assert_eq!(schedule_of(&daemon, "first"), "5 0 1 1 *");
    assert!(file.is_symlink() && fs::read_to_string(&real).unwrap().contains("hunter2"));
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o7777, 0o640);
    assert!(kept(&daemon).is_empty());
    // What only the daemon can know is said by the daemon.
    let editor = "echo 'metadata = { a = \"${{ env.NOT_SET }}\" }' >> \"$1\"";
    let (stdout, stderr) = demand(&edit(&daemon, &["first"], editor), 1);
    assert!(stdout.contains("saved ") && stderr.contains("not all of it is in force"), "{stdout}{stderr}");
    assert!(stderr.contains("metadata: env.NOT_SET is not set"), "{stderr}");
}

#[tokio::test]
async fn a_new_file_settings_and_the_removal_of_crons_come_into_force() {
    let server = AgentServerOnPort::start();
    let (mut daemon, file) = Daemon::with_folder(&server.url());
    daemon.start_again();
    daemon.wait_for_stderr("ready").await;
    daemon
        .wait_until("the daemon to answer", || daemon.run_command(&["health"]).status.code() != Some(6))
        .await;
    let editor = format!("cat > \"$1\" <<'END'\n{}\nEND", Cron::yearly("second"));
    let (stdout, _) = demand(&edit(&daemon, &["crons.d/new.toml"], &editor), 0);
    assert!(
        stdout.starts_with("+ second  0 0 1 1 *\n") && stdout.contains("in force: 1 cron added"),
        "{stdout}"
    );
    assert_eq!(fs::metadata(file.with_file_name("new.toml")).unwrap().permissions().mode() & 0o600, 0o600);
    // The last crons of a file are gone because somebody wants it.
    let (stdout, _) = demand(&edit(&daemon, &["crons.d/some.toml"], ": > \"$1\""), 0);
    assert!(stdout.starts_with("- first\n") && stdout.contains("in force: 1 cron removed"), "{stdout}");
    let editor = "sed -i 's/^\\[backend\\]/shutdown_grace = \"7s\"\\n[backend]/' \"$1\"; echo '[webhooks]' >> \"$1\"; echo 'env_prefix = \"X_\"' >> \"$1\"";
    let (stdout, stderr) = demand(&edit(&daemon, &[], editor), 0);
    assert!(stdout.starts_with("~ shutdown_grace\n~ webhooks.env_prefix\n"), "{stdout}");
    assert!(stdout.ends_with("in force, but for what needs a restart: 2 settings changed\n"), "{stdout}");
    assert!(stderr.contains("these need a restart of the daemon: shutdown_grace"), "{stderr}");
    let names = daemon.json(&["list"]);
    let names: Vec<&str> = names.iter().map(|cron| cron["cron_name"].as_str().unwrap()).collect();
    assert_eq!(names, ["main", "second"]);
    let editor = "sed -i 's/5/5/' \"$1\"";
    assert!(demand(&edit(&daemon, &["second"], editor), 0).0.contains("nothing was changed"));
    let in_json = edit(&daemon, &["second", "--json"], OTHER_SCHEDULE);
    let object: Value = serde_json::from_str(&demand(&in_json, 0).0).unwrap();
    assert_eq!(
        object["crons"],
        json!([{ "cron_name": "second", "change": "changed", "keys": ["schedule"] }])
    );
    assert_eq!(
        object["reloaded"],
        json!({ "in_force": true, "problem": null, "needs_restart": ["shutdown_grace"] })
    );
}

#[test]
fn mistakes_and_the_changes_of_others_are_not_saved_and_the_text_is_kept() {
    let server = AgentServerOnPort::start();
    let (daemon, file) = Daemon::with_folder(&server.url());
    let before = fs::read(&file).unwrap();
    // The name is taken by a cron of another file: the copy is checked among the others.
    let editor = "sed -i 's/cron.first/cron.main/; s/0 0 1 1/0 25 1 1/' \"$1\"";
    let (_, stderr) = demand(&edit(&daemon, &["first"], editor), 2);
    let place = format!("{}:3:12: schedule:", file.display());
    assert!(stderr.contains(&place) && stderr.contains("the name `main` is already taken"), "{stderr}");
    assert!(stderr.contains("nothing was saved; your text is kept in "), "{stderr}");
    let copy = kept(&daemon)[0].join("some.toml");
    assert!(fs::read_to_string(&copy).unwrap().contains("0 25 1 1"));
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o077, 0);
    assert_eq!(fs::read(&file).unwrap(), before);

    let editor = format!("{OTHER_SCHEDULE}; echo '# of somebody else' >> {}", file.display());
    let (_, stderr) = demand(&edit(&daemon, &["first"], &editor), 1);
    assert!(stderr.contains("was changed by somebody else meanwhile; your text is kept in "), "{stderr}");
    assert!(fs::read_to_string(&file).unwrap().ends_with("# of somebody else\n"));

    for (what, editor, exit_code, expected) in [
        (&["first"][..], "exit 3", 1, "failed (exit status: 3): nothing was changed"),
        (&["frist"], "true", 2, "there is no cron `frist`; did you mean `first`?"),
        (&["/etc/hostname"], "true", 2, "/etc/hostname is not a file of "),
        (&["crons.d/new.conf"], "true", 2, "crons.d/new.conf is not a file of "),
    ] {
        let (_, stderr) = demand(&edit(&daemon, what, editor), exit_code);
        assert!(stderr.contains(expected), "{stderr}");
    }
}

#[test]
fn without_a_daemon_it_is_saved_and_older_mistakes_elsewhere_do_not_prevent_it() {
    let server = AgentServerOnPort::start();
    let (daemon, file) = Daemon::with_folder(&server.url());
    fs::write(file.with_file_name("other.toml"), "[cron.bad]\nschedule = 5\n").unwrap();
    let (stdout, stderr) = demand(&edit(&daemon, &["first"], OTHER_SCHEDULE), 0);
    assert!(
        stdout.contains("saved ") && stderr.contains("not known to be in force: no daemon responds"),
        "{stdout}{stderr}"
    );
    assert!(fs::read_to_string(&file).unwrap().contains("5 0 1 1"));
    // A cron with a mistake is found, too.
    let editor = "sed -i 's/5/\"0 0 1 1 *\"\\nassistant_id = \"agent\"/' \"$1\"";
    let (stdout, _) = demand(&edit(&daemon, &["bad"], editor), 0);
    assert!(stdout.starts_with("+ bad  0 0 1 1 *\n"), "{stdout}");
}

#[test]
fn on_a_terminal_somebody_is_asked_and_may_mend_a_mistake() {
    let server = AgentServerOnPort::start();
    let (daemon, file) = Daemon::with_folder(&server.url());
    // The first time it writes a mistake, and then another schedule.
    let editor = "if grep -q '0 25' \"$1\"; then sed -i 's/0 25/5 0/' \"$1\"; else sed -i 's/0 0 1/0 25 1/' \"$1\"; fi";
    let on_terminal = |answers: &str| {
        let command = format!(
            "{} edit first --config {}",
            env!("CARGO_BIN_EXE_agentcron"),
            daemon.config_path().display()
        );
        let mut script = with_editor(&daemon, editor, Command::new("script"));
        script.args(["-qec", &command, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = script.spawn().unwrap();
        running.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
        String::from_utf8(running.wait_with_output().unwrap().stdout).unwrap()
    };
    let shown = on_terminal("n\n");
    assert!(shown.contains("hour 25 is out of range") && shown.contains("nothing was saved"), "{shown}");
    assert!(fs::read_to_string(&file).unwrap().contains("0 0 1 1"));
    let shown = on_terminal("\nn\n");
    assert!(
        shown.contains("~ first") && shown.contains("nothing was saved; your text is kept in "),
        "{shown}"
    );
    let shown = on_terminal("e\ny\n");
    assert!(shown.contains("saved "), "{shown}");
    assert!(fs::read_to_string(&file).unwrap().contains("5 0 1 1"));
}

#[test]
fn without_a_terminal_and_without_an_editor_it_says_what_to_set() {
    let server = AgentServerOnPort::start();
    let (daemon, _) = Daemon::with_folder(&server.url());
    let (_, stderr) = demand(&daemon.run_command(&["edit"]), 2);
    assert!(stderr.contains("there is no terminal; set $EDITOR"), "{stderr}");
}
