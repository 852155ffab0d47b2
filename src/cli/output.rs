//! The one place that prints: lines, JSON and tables on stdout, complaints on stderr.
//!
//! Everything is written with errors, never with `println!`, which panics when a pipe is closed.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use comfy_table::Table;
use serde::Serialize;

use super::arguments::{Global, When};
use super::failure::Failure;
use super::table::{Layout, Rows};
use crate::config::{ConfigError, Environment};

/// Nobody reads wider lines, and programs ask for JSON.
const WIDTH_MAX: usize = 200;
/// Terminals that do not tell their width.
const WIDTH_DEFAULT: u16 = 80;

/// How something looks on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Bold,
    Dim,
    Good,
    Bad,
    Odd,
    BackendRun,
}

/// Where results go.
pub(super) struct Output {
    out: BufWriter<Stdout>,
    json: bool,
    color: bool,
    color_of_complaints: bool,
    width: u16,
    terminal: bool,
}

impl Output {
    /// Looks at the terminal once.
    pub(super) fn new(global: &Global, environment: &Environment) -> Self {
        let terminal = io::stdout().is_terminal();
        // https://no-color.org: set and not empty, whatever its value.
        let wanted = environment.lookup("env.NO_COLOR").is_err();
        let color = |terminal: bool| match global.color {
            When::Auto => terminal && wanted,
            When::Always => true,
            When::Never => false,
        };
        Self {
            out: BufWriter::new(io::stdout()),
            json: global.json,
            color: color(terminal) && !global.json,
            color_of_complaints: color(io::stderr().is_terminal()),
            width: Table::new().width().filter(|width| *width > 0).unwrap_or(WIDTH_DEFAULT),
            terminal,
        }
    }

    /// Whether JSON is asked for.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// The text in its look, if colours are wanted.
    pub(super) fn paint(&self, style: Style, text: &str) -> String {
        paint(self.color, style, text)
    }

    /// One line.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// A text as it is.
    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        write!(self.out, "{text}")
    }

    /// One object on one line.
    pub(super) fn json(&mut self, object: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, object)?;
        writeln!(self.out)
    }

    /// A table that fits.
    pub(super) fn table(&mut self, rows: Rows) -> io::Result<()> {
        self.table_under(&mut None, rows)
    }

    /// A table that goes on under another one: the first has the header, and the columns stay where they are.
    pub(super) fn table_under(&mut self, above: &mut Option<Layout>, rows: Rows) -> io::Result<()> {
        let width = if self.terminal { usize::from(self.width) } else { WIDTH_MAX };
        for line in rows.arrange(width, above, |header| paint(self.color, Style::Bold, header)) {
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }

    /// Makes everything visible that was written so far.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Something odd that does not stop the command.
    pub(super) fn warn(&mut self, text: &str) -> io::Result<()> {
        // What was said before stands before it on the terminal too.
        self.out.flush()?;
        writeln!(io::stderr(), "{} {text}", paint(self.color_of_complaints, Style::Odd, "warning:"))
    }

    /// Odd places of the configuration.
    pub(super) fn warn_about(&mut self, warnings: &[ConfigError]) -> io::Result<()> {
        warnings.iter().try_for_each(|warning| self.warn(&warning.to_string()))
    }

    /// Says why the command failed. If not even that can be said, the exit code says it.
    pub(super) fn complain(&mut self, failure: &Failure) {
        let _ = self.out.flush();
        if !failure.is_worth_a_word() {
            return;
        }
        let error = paint(self.color_of_complaints, Style::Bad, "error:");
        let _ = match failure {
            // Mistakes begin with their place, so that editors and people find it.
            Failure::Config(errors) => {
                let mistakes = several(errors.0.len() as u64, "mistake");
                writeln!(io::stderr(), "{errors}\n{error} {mistakes} in the configuration")
            }
            Failure::Usage(_)
            | Failure::Store(_)
            | Failure::Daemon(_)
            | Failure::Failed(_)
            | Failure::Output(_)
            | Failure::LeftAtOnce => writeln!(io::stderr(), "{error} {failure}"),
        };
    }
}

/// `1 webhook`, `12 webhooks`.
pub(super) fn several(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// What others said, without the power over the terminal that control characters have; lines stay lines.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() && char != '\n' {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    shown
}

fn paint(color: bool, style: Style, text: &str) -> String {
    let code = match style {
        Style::Plain => return text.to_owned(),
        Style::Bold => "1",
        Style::Dim => "2",
        Style::Good => "32",
        Style::Bad => "31",
        Style::Odd => "33",
        Style::BackendRun => "36",
    };
    if color && !text.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}
