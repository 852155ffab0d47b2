//! The daemon's log on stderr: as text, as JSON, or as entries of the journal.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing_subscriber::EnvFilter;

use super::journal::{Journal, Priority, field_name};
use super::output::{Coloring, TextStyle, paint, with_margin};
use super::{Failure, Session};
use crate::domain::log::{LoggedRuns, Repeats};
use crate::domain::printable::{in_json, on_lines};
use crate::log_tail;
use crate::present::Tone;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum LogFormat {
    Text,
    Json,
}

/// The modules below the folder of the loops, which the log does not show.
const LOOPS: [&str; 4] = ["courier", "janitor", "maintenance", "runner"];

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
    let is_text = format == LogFormat::Text;
    let journal = is_text.then(|| Journal::of_stderr(&session.environment)).flatten().map(Arc::new);
    session.output.journal = journal.clone();
    let log = Log { format, coloring, journal, runs: Arc::default(), repeats: Arc::default() };
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
    runs: Arc<OnceLock<LoggedRuns>>,
    repeats: Arc<Mutex<Repeats>>,
}

impl Log {
    /// Sets which ends of runs are logged from now on.
    pub(in crate::cli) fn set_runs(&self, runs: LoggedRuns) {
        let _ = self.runs.set(runs);
    }

    fn admits(&self, event: &Event) -> bool {
        let is_wanted = match self.runs.get() {
            _ if event.text("target") != "agentcron::runs" => true,
            Some(LoggedRuns::All) => return true,
            Some(LoggedRuns::Failed) | None => event.priority() == Priority::Warning,
            Some(LoggedRuns::None) => false,
        };
        let is_new = |(failure, at): (String, Timestamp)| {
            self.repeats.lock().unwrap_or_else(PoisonError::into_inner).admits(&failure, at)
        };
        is_wanted && event.repeats().is_none_or(is_new)
    }
}

impl Write for Log {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        let mut event = Event::parse(written)?;
        if self.admits(&event) {
            self.show(&event)?;
            log_tail::keep(event.for_strangers().line(Coloring::Off).trim_end());
        }
        Ok(written.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl Log {
    fn show(&self, event: &Event) -> io::Result<()> {
        match (&self.journal, self.format) {
            (Some(journal), _) => {
                journal.write(event.priority(), &on_lines(&event.message()), &event.journal_fields())
            }
            (None, LogFormat::Json) => io::stderr().write_all(event.json().as_bytes()),
            (None, LogFormat::Text) => io::stderr().write_all(event.line(self.coloring).as_bytes()),
        }
    }
}

/// An event as `tracing` writes it. The field `hourly` is not shown: it marks a failure that may repeat, and tells it,
/// together with the message, from others.
struct Event(Map<String, Value>);

impl Event {
    fn parse(event: &[u8]) -> io::Result<Self> {
        let mut event = Self(serde_json::from_slice(event)?);
        let target = short_target(event.text("target"));
        event.0.insert("target".to_owned(), target.into());
        Ok(event)
    }

    /// Returns it without what a graph failed with, what people noted, and what files have that are mistaken.
    fn for_strangers(&mut self) -> &Self {
        self.0.shift_remove("note");
        match self.text("target") {
            "agentcron::runs" => {
                self.0.shift_remove("error");
            }
            "agentcron::daemon" => {
                let first = self.text("message").lines().next().unwrap_or_default().to_owned();
                self.0.insert("message".to_owned(), first.into());
            }
            _ => {}
        }
        self
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn repeats(&self) -> Option<(String, Timestamp)> {
        let failure = format!("{}\n{}", self.text("message"), self.0.get("hourly")?);
        Some((failure, self.text("timestamp").parse().ok()?))
    }

    fn priority(&self) -> Priority {
        match self.text("level") {
            "ERROR" => Priority::Error,
            "WARN" => Priority::Warning,
            "INFO" => Priority::Info,
            _ => Priority::Debug,
        }
    }

    /// Returns its fields, then those of the request in which it happened.
    fn fields(&self) -> impl Iterator<Item = (&str, String)> {
        const FRAME: [&str; 6] = ["timestamp", "level", "message", "target", "span", "hourly"];
        let own = self.0.iter().filter(|(name, _)| !FRAME.contains(&name.as_str()));
        let of_span = self.0.get("span").and_then(Value::as_object).into_iter().flatten();
        let fields = own.chain(of_span.filter(|(name, _)| *name != "name"));
        fields.map(|(name, value)| {
            (name.as_str(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        })
    }

    /// Returns the message and the fields.
    fn message(&self) -> String {
        let fields = self.fields().map(|(name, value)| format!(" {name}={}", quoted_if_needed(&value)));
        self.text("message").to_owned() + &fields.collect::<String>()
    }

    fn line(&self, coloring: Coloring) -> String {
        let tone = match self.priority() {
            Priority::Error => Tone::Bad,
            Priority::Warning => Tone::Attention,
            Priority::Info => Tone::Good,
            Priority::Debug => Tone::Active,
        };
        let level = paint(coloring, tone.into(), &format!("{:>5}", self.text("level")));
        let time = paint(coloring, TextStyle::Dim, self.text("timestamp"));
        let line = format!("{time} {level} {}: {}", self.text("target"), self.message());
        with_margin(&line, 0, coloring) + "\n"
    }

    fn json(&self) -> String {
        let mut shown = self.0.clone();
        shown.shift_remove("hourly");
        in_json(&Value::from(shown).to_string()) + "\n"
    }

    fn journal_fields(&self) -> Vec<(String, String)> {
        let fields = self.fields().chain([("target", self.text("target").to_owned())]);
        fields.map(|(name, value)| (field_name(name), on_lines(&value))).collect()
    }
}

/// Returns a value on one line, in quotes unless it is one word.
fn quoted_if_needed(value: &str) -> String {
    let is_plain = |char: char| char.is_alphanumeric() || "-_.:/+%@".contains(char);
    if !value.is_empty() && value.chars().all(is_plain) { value.to_owned() } else { format!("{value:?}") }
}

/// Returns the part of the program that an event comes from, such as `agentcron::runner`.
fn short_target(target: &str) -> String {
    let mut parts = target.split("::");
    match (parts.next(), parts.find(|part| *part != "engine")) {
        (Some("agentcron"), Some(part)) => format!("agentcron::{part}"),
        _ => target.to_owned(),
    }
}

/// Returns directives in which the parts are named as the log shows them, with the names that `tracing` knows.
fn long_targets(directives: &str) -> String {
    LOOPS.iter().fold(directives.to_owned(), |directives, name| {
        directives.replace(&format!("agentcron::{name}"), &format!("agentcron::engine::{name}"))
    })
}

#[cfg(test)]
mod tests;
