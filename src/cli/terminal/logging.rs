//! The daemon's log on stderr.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use super::Failure;
use super::output::{Coloring, with_margin};
use crate::config::Environment;
use crate::domain::printable::in_json;

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
    let coloring = if color { Coloring::On } else { Coloring::Off };
    let log = tracing_subscriber::fmt()
        .with_writer(move || LogWriter { format, coloring })
        .with_env_filter(filter)
        .with_ansi(color);
    match (format, in_journal) {
        (LogFormat::Json, _) => log.json().flatten_event(true).init(),
        (LogFormat::Text, false) => log.init(),
        (LogFormat::Text, true) => log.without_time().init(),
    }
    Ok(())
}

/// Writes events to stderr so that no text in one can pass for another event. Each event is one call.
struct LogWriter {
    format: LogFormat,
    coloring: Coloring,
}

impl LogWriter {
    fn shown(&self, event: &[u8]) -> String {
        let text = String::from_utf8_lossy(event);
        match self.format {
            LogFormat::Json => in_json(text.trim_end()),
            LogFormat::Text => with_margin(&text, 0, self.coloring),
        }
    }
}

impl Write for LogWriter {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(format!("{}\n", self.shown(event)).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_and_a_margin_and_has_nothing_unprintable() {
        let event = "2026 INFO run failed error=\"a\nFORGED\rb\u{9b}\u{202e}\"\n".as_bytes();
        let text = LogWriter { format: LogFormat::Text, coloring: Coloring::Off }.shown(event);
        assert_eq!(text, "2026 INFO run failed error=\"a\n  | FORGED\\rb\\u{9b}\\u{202e}\"");
        let event = "{\"error\":\"a\\nFORGED\u{9b}\u{202e}\"}\n".as_bytes();
        let json = LogWriter { format: LogFormat::Json, coloring: Coloring::Off }.shown(event);
        assert_eq!(json, "{\"error\":\"a\\nFORGED\\u009b\\u202e\"}");
    }
}
