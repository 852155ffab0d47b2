//! The command line as users and scripts see it: what it prints, and its exit codes.

mod following;
mod past;
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
