//! The daemon's log on stderr: as text, as JSON, or as entries of the journal.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing_subscriber::EnvFilter;

use super::journal::{Journal, Priority, field_name};
use super::output::{Coloring, TextStyle, paint, with_margin};
use super::{Failure, Session};
use crate::domain::log::{LoggedRuns, Repeats};
use crate::domain::printable::{in_json, on_lines};
use crate::present::Tone;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum LogFormat {
    Text,
    Json,
}

/// The folder of the loops, which the log does not show: `agentcron::runner`.
const LOOPS: &str = "engine";
const NAMES_OF_LOOPS: [&str; 5] = ["courier", "janitor", "maintenance", "runner", "scheduler"];
/// The target of the ends of runs.
const RUNS: &str = "agentcron::runs";
/// The field of an event that may repeat. Together with the message, it tells one failure from another.
const HOURLY: &str = "hourly";

/// Starts the log. `level` is a level or a list of `tracing` directives.
pub(in crate::cli) fn start_log(
    level: &str,
    format: LogFormat,
    session: &mut Session,
) -> Result<Log, Failure> {
    // The calendar of maintenance is verbose at `info`. A directive that names it still wins.
    let filter = EnvFilter::try_new(format!("tokio_cron_scheduler=warn,{}", long_targets(level)));
    let filter = filter.map_err(|error| {
        Failure::Usage(format!("--log: got `{level}`: {error}; expected a level such as info or debug"))
    })?;
    let color = io::stderr().is_terminal() && session.environment.lookup("env.NO_COLOR").is_err();
    let coloring = if color { Coloring::On } else { Coloring::Off };
    let journal = match format {
        LogFormat::Text => Journal::of_stderr(&session.environment).map(Arc::new),
        LogFormat::Json => None,
    };
    session.output.journal = journal.clone();
    let log = Log { format, coloring, journal, state: Arc::default() };
    let writer = log.clone();
    // Events arrive as JSON, from which each format is made here.
    let events = tracing_subscriber::fmt().json().flatten_event(true).with_span_list(false);
    events.with_env_filter(filter).with_writer(move || writer.clone()).init();
    Ok(log)
}

/// Writes events so that no text in one can pass for another event. Each event is one call.
#[derive(Clone)]
pub(in crate::cli) struct Log {
    format: LogFormat,
    coloring: Coloring,
    journal: Option<Arc<Journal>>,
    state: Arc<Mutex<LogState>>,
}

struct LogState {
    runs: LoggedRuns,
    repeats: Repeats,
}

impl Default for LogState {
    fn default() -> Self {
        Self { runs: LoggedRuns::Failed, repeats: Repeats::default() }
    }
}

impl LogState {
    fn admits(&mut self, event: &Event) -> bool {
        let is_wanted = match self.runs {
            _ if event.target != RUNS => true,
            LoggedRuns::All => true,
            LoggedRuns::Failed => event.level == "WARN",
            LoggedRuns::None => false,
        };
        let is_new = |failure: &String| self.repeats.admits(failure, event.at);
        is_wanted && event.repeats.as_ref().is_none_or(is_new)
    }
}

impl Log {
    /// Sets which ends of runs are logged.
    pub(in crate::cli) fn set_runs(&self, runs: LoggedRuns) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).runs = runs;
    }

    fn write_event(&self, event: Event) -> io::Result<()> {
        if !self.state.lock().unwrap_or_else(PoisonError::into_inner).admits(&event) {
            return Ok(());
        }
        if let Some(journal) = &self.journal {
            return journal.write(event.priority(), &on_lines(&event.text()), &event.journal_fields());
        }
        let line = match self.format {
            LogFormat::Json => event.json(),
            LogFormat::Text => event.line(self.coloring),
        };
        io::stderr().write_all(format!("{line}\n").as_bytes())
    }
}

impl Write for Log {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.write_event(Event::parse(event)?)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

struct Event {
    timestamp: String,
    at: Timestamp,
    level: String,
    target: String,
    message: String,
    /// What tells it from other failures, if it may repeat.
    repeats: Option<String>,
    /// Its own fields, then those of the request in which it happened.
    fields: Vec<(String, String)>,
    json: Map<String, Value>,
}

impl Event {
    fn parse(event: &[u8]) -> io::Result<Self> {
        let mut json: Map<String, Value> = serde_json::from_slice(event)?;
        let hourly = json.shift_remove(HOURLY);
        let text = |name: &str| json.get(name).map(plain_text).unwrap_or_default();
        let (timestamp, level, message) = (text("timestamp"), text("level"), text("message"));
        let target = short_target(&text("target"));
        let of_span = json.get("span").and_then(Value::as_object).into_iter().flatten();
        let of_span = of_span.filter(|(name, _)| *name != "name");
        let is_own = |name: &str| !["timestamp", "level", "message", "target", "span"].contains(&name);
        let own = json.iter().filter(|(name, _)| is_own(name));
        let fields = own.chain(of_span).map(|(name, value)| (name.clone(), plain_text(value))).collect();
        json.insert("target".to_owned(), target.clone().into());
        Ok(Self {
            at: timestamp.parse().unwrap_or(Timestamp::UNIX_EPOCH),
            repeats: hourly.map(|which| format!("{message}\n{}", plain_text(&which))),
            timestamp,
            level,
            target,
            message,
            fields,
            json,
        })
    }

    fn priority(&self) -> Priority {
        match self.level.as_str() {
            "ERROR" => Priority::Error,
            "WARN" => Priority::Warning,
            "INFO" => Priority::Info,
            _ => Priority::Debug,
        }
    }

    /// Returns the message and the fields.
    fn text(&self) -> String {
        let fields = self.fields.iter().map(|(name, value)| format!(" {name}={}", quoted_if_needed(value)));
        self.message.clone() + &fields.collect::<String>()
    }

    fn line(&self, coloring: Coloring) -> String {
        let tone = match self.priority() {
            Priority::Error => Tone::Bad,
            Priority::Warning => Tone::Attention,
            Priority::Info => Tone::Good,
            Priority::Debug => Tone::Active,
        };
        let dim = |text: &str| paint(coloring, TextStyle::Dim, text);
        let level = paint(coloring, tone.into(), &format!("{:>5}", self.level));
        let begin = format!("{} {level} {}", dim(&self.timestamp), dim(&format!("{}:", self.target)));
        with_margin(&format!("{begin} {}", self.text()), 0, coloring)
    }

    fn json(&self) -> String {
        in_json(&Value::from(self.json.clone()).to_string())
    }

    fn journal_fields(&self) -> Vec<(String, String)> {
        let fields = self.fields.iter().map(|(name, value)| (field_name(name), on_lines(value)));
        fields.chain([(field_name("target"), self.target.clone())]).collect()
    }
}

fn plain_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Returns a value on one line, in quotes unless it is one word.
fn quoted_if_needed(value: &str) -> String {
    let is_plain = |char: char| char.is_alphanumeric() || "-_.:/+%@".contains(char);
    if !value.is_empty() && value.chars().all(is_plain) { value.to_owned() } else { format!("{value:?}") }
}

/// Returns the part of the program that an event comes from, such as `agentcron::runner`.
fn short_target(target: &str) -> String {
    let mut parts = target.split("::");
    match (parts.next(), parts.find(|part| *part != LOOPS)) {
        (Some("agentcron"), Some(part)) => format!("agentcron::{part}"),
        _ => target.to_owned(),
    }
}

/// Returns directives in which the parts are named as the log shows them, with the names that `tracing` knows.
fn long_targets(directives: &str) -> String {
    NAMES_OF_LOOPS.iter().fold(directives.to_owned(), |directives, name| {
        directives.replace(&format!("agentcron::{name}"), &format!("agentcron::{LOOPS}::{name}"))
    })
}

#[cfg(test)]
mod tests;
