//! The command line as users and scripts see it: what it prints, and its exit codes.

mod following;
mod past;
mod renaming;
mod setting_up;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::support::daemon::Daemon;

/// Runs the binary in a folder, without the developer's own settings.
fn agentcron(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentcron"));
    command.env_remove("AGENTCRON_CONFIG").env_remove("AGENTCRON_LOG").env("NO_COLOR", "1").env("TZ", "UTC");
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn demand(output: &Output, exit_code: i32) {
    assert_eq!(output.status.code(), Some(exit_code), "{}\n{}", stdout(output), stderr(output));
}

/// Returns what is offered at the end of a command line.
fn completed(daemon: &Daemon, words: &[&str]) -> String {
    let mut command = command(daemon.folder(), &[&["complete", "--"], words].concat());
    let output = command.env("AGENTCRON_CONFIG", daemon.config_path()).output().unwrap();
    demand(&output, 0);
    stdout(&output)
}

/// Returns a table at this width, with each number as `0`, each id as `ID` and one space between two cells.
fn table(daemon: &Daemon, width: &str, arguments: &[&str]) -> String {
    let mut command = command(daemon.folder(), arguments);
    let output = command.arg("--config").arg(daemon.config_path()).env("COLUMNS", width).output().unwrap();
    demand(&output, 0);
    let is_id = |word: &str| word.len() == 8 && word.chars().all(|char| char.is_ascii_hexdigit());
    let word = |word: &str| match word {
        "ms" => "s".to_owned(),
        id if is_id(id) => "ID".to_owned(),
        number if number.parse::<f64>().is_ok() => "0".to_owned(),
        _ => {
            let mut zeros: Vec<char> =
                word.chars().map(|char| if char.is_ascii_digit() { '0' } else { char }).collect();
            zeros.dedup_by(|next, before| *next == '0' && *before == '0');
            zeros.into_iter().collect()
        }
    };
    let line = |line: &str| {
        assert!(line.chars().count() <= width.parse().unwrap(), "wider than {width}: {line}");
        let indent = line.len() - line.trim_start().len();
        let words: Vec<String> = line.split_whitespace().map(word).collect();
        format!("{:indent$}{}", "", words.join(" "))
    };
    stdout(&output).lines().map(line).collect::<Vec<_>>().join("\n")
}

/// A configuration whose crons never fire while a test runs.
const QUIET: &str = r#"
[backend]
url = "http://127.0.0.1:9"

[store]
path = "agentcron.db"

[cron.new-year]
schedule = "0 0 1 1 * 0 2090-2099"
timezone = "Europe/Berlin"
assistant_id = "agent"

[cron.old-year]
schedule = "30 23 31 dec * 0 2090-2099"
assistant_id = "agent"
thread = "years"
enabled = false
"#;

fn quiet() -> Daemon {
    Daemon::prepare(QUIET)
}
