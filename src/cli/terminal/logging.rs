//! The daemon's log on stderr.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use super::Failure;
use crate::config::Environment;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum LogFormat {
    Text,
    Json,
}

/// Starts the log. `level` is a level or a list of `tracing` directives.
pub(in crate::cli) fn start_log(
    level: &str,
    format: LogFormat,
    environment: &Environment,
) -> Result<(), Failure> {
    // The calendar of maintenance is verbose at `info`. A directive that names it still wins.
    let filter = EnvFilter::try_new(format!("tokio_cron_scheduler=warn,{level}")).map_err(|error| {
        Failure::Usage(format!("--log: got `{level}`: {error}; expected a level such as info or debug"))
    })?;
    // The journal adds its own timestamps, and shows no colours.
    let in_journal = environment.lookup("env.JOURNAL_STREAM").is_ok();
    let color = std::io::stderr().is_terminal() && environment.lookup("env.NO_COLOR").is_err();
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).with_ansi(color);
    match (format, in_journal) {
        (LogFormat::Json, _) => log.json().flatten_event(true).init(),
        (LogFormat::Text, false) => log.init(),
        (LogFormat::Text, true) => log.without_time().init(),
    }
    Ok(())
}
