//! The only place that prints: results on stdout as lines, tables or JSON, warnings and errors on stderr.
//!
//! Every write reports its error. `println!` would panic when a pipe is closed.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::sync::Arc;

use comfy_table::Table;
use serde::Serialize;
use serde_json::Value;

use super::Failure;
use super::failure::message_json;
use super::global_options::{ColorChoice, GlobalOptions};
use super::journal::{Journal, Priority};
use super::table::{Layout, Room, Rows};
use super::wrap::{color_in, columns, wrapped};
use crate::config::{ConfigError, Environment};
use crate::domain::printable::{in_json, on_lines, on_one_line};
use crate::present::{Tone, counted};

/// Where there is neither a terminal nor $COLUMNS, each row is one line, and no wider than this: people do not read wider
/// lines, and programs use JSON.
const ROOM_UNKNOWN: Room = Room { width: 200, lines: 1 };
/// The width of a terminal that does not report its own.
const WIDTH_DEFAULT: u16 = 80;
/// How many lines a cell may take where people read.
const CELL_LINES: u16 = 2;

/// How a text looks on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum TextStyle {
    Plain,
    Bold,
    Dim,
    Toned(Tone),
}

impl From<Tone> for TextStyle {
    fn from(tone: Tone) -> Self {
        Self::Toned(tone)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coloring {
    On,
    Off,
}

pub(in crate::cli) struct Output {
    out: BufWriter<Stdout>,
    json: bool,
    stdout_coloring: Coloring,
    stderr_coloring: Coloring,
    room: Room,
    /// Where warnings and errors go instead of stderr, once the log does.
    pub(super) journal: Option<Arc<Journal>>,
}

impl Output {
    /// Checks once whether the output is a terminal, how wide it is, and whether colours are wanted.
    pub(super) fn new(options: &GlobalOptions, environment: &Environment) -> Self {
        let terminal = io::stdout().is_terminal();
        // https://no-color.org: set and not empty, whatever its value.
        let unwanted = environment.lookup("env.NO_COLOR").is_ok();
        let default = |is_terminal| if is_terminal && !unwanted { Coloring::On } else { Coloring::Off };
        let chosen = |default| match options.color {
            ColorChoice::Auto => default,
            ColorChoice::Always => Coloring::On,
            ColorChoice::Never => Coloring::Off,
        };
        let columns = environment.lookup("env.COLUMNS").ok();
        let columns =
            columns.and_then(|columns| columns.expose().parse().ok()).filter(|columns| *columns > 0);
        let of_terminal = || Table::new().width().filter(|width| *width > 0).unwrap_or(WIDTH_DEFAULT);
        let width: Option<u16> = if terminal { Some(of_terminal()) } else { columns };
        let room = width.map_or(ROOM_UNKNOWN, |width| Room { width: width.into(), lines: CELL_LINES });
        Self {
            out: BufWriter::new(io::stdout()),
            json: options.json,
            stdout_coloring: if options.json { Coloring::Off } else { chosen(default(terminal)) },
            stderr_coloring: chosen(default(io::stderr().is_terminal())),
            room,
            journal: None,
        }
    }

    pub(in crate::cli) fn is_json(&self) -> bool {
        self.json
    }

    /// Returns how wide a line may be.
    pub(in crate::cli) fn width(&self) -> usize {
        self.room.width
    }

    /// Returns the text in its style, or as it is if colours are off.
    pub(in crate::cli) fn paint(&self, style: impl Into<TextStyle>, text: &str) -> String {
        paint(self.stdout_coloring, style.into(), text)
    }

    /// Prints a line. If the text has more than one, the others stand below its beginning, behind a margin.
    pub(in crate::cli) fn line(&mut self, text: &str) -> io::Result<()> {
        let indent = text.len() - text.trim_start_matches(' ').len();
        writeln!(self.out, "{}", with_margin(text, indent, self.stdout_coloring))
    }

    /// Prints lines of our own, and no newline after them.
    pub(in crate::cli) fn text(&mut self, text: &str) -> io::Result<()> {
        write!(self.out, "{text}")
    }

    /// Prints one object on one line.
    pub(in crate::cli) fn json(&mut self, object: &impl Serialize) -> io::Result<()> {
        writeln!(self.out, "{}", in_json(&serde_json::to_string(object)?))
    }

    /// Prints an empty line and a heading.
    pub(in crate::cli) fn heading(&mut self, text: &str) -> io::Result<()> {
        let heading = self.paint(TextStyle::Bold, text);
        writeln!(self.out)?;
        self.line(&heading)
    }

    /// Prints labels and values in two columns. A value that is longer than a line goes on below its beginning.
    pub(in crate::cli) fn fields(&mut self, fields: &[(&str, String)]) -> io::Result<()> {
        let width = fields.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
        let indent = width + 2;
        for (label, value) in fields {
            let label = self.paint(TextStyle::Dim, &format!("{label:<width$}"));
            let value = with_margin(value, indent, self.stdout_coloring);
            let (first, rest) = value.split_at(value.find('\n').unwrap_or(value.len()));
            let first = self.in_column(first, indent).join(&format!("\n{:indent$}", ""));
            writeln!(self.out, "{label}  {first}{rest}")?;
        }
        Ok(())
    }

    /// Returns a text in lines that fit behind an indent, if it is known how wide a line may be.
    fn in_column(&self, text: &str, indent: usize) -> Vec<String> {
        let room = self.room.width.saturating_sub(indent);
        match self.room == ROOM_UNKNOWN || columns(text) <= room {
            true => vec![text.to_owned()],
            false => wrapped(text, room, 0),
        }
    }

    /// Prints a table that fits the terminal.
    pub(in crate::cli) fn table(&mut self, rows: Rows) -> io::Result<()> {
        self.table_below(&mut None, rows)
    }

    /// Prints a table that continues another one: the first has the header, and the columns stay where they are.
    pub(in crate::cli) fn table_below(&mut self, above: &mut Option<Layout>, rows: Rows) -> io::Result<()> {
        let coloring = self.stdout_coloring;
        for line in rows.arrange(self.room, above, |header| paint(coloring, TextStyle::Bold, header)) {
            self.line(&line)?;
        }
        Ok(())
    }

    pub(in crate::cli) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Prints a warning, which does not stop the command.
    pub(in crate::cli) fn warn(&mut self, text: &str) -> io::Result<()> {
        // What was printed before must come before it on the terminal too.
        self.out.flush()?;
        if let Some(journal) = &self.journal {
            return journal.write_lines(Priority::Warning, &on_lines(text));
        }
        if self.json {
            return print_to_stderr(&message_json(0, text));
        }
        let label = paint(self.stderr_coloring, Tone::Attention.into(), "warning:");
        writeln!(io::stderr(), "{label} {}", with_margin(text, 0, self.stderr_coloring))
    }

    /// Shows how far something is, in the place of what it showed before, if somebody watches.
    pub(in crate::cli) fn progress(&mut self, text: &str) -> io::Result<()> {
        let mut stderr = io::stderr();
        if self.json || !stderr.is_terminal() {
            return Ok(());
        }
        write!(stderr, "\r\x1b[K{}", on_one_line(text))?;
        stderr.flush()
    }

    /// Prints the warnings of a configuration.
    pub(in crate::cli) fn warn_about(&mut self, warnings: &[ConfigError]) -> io::Result<()> {
        warnings.iter().try_for_each(|warning| self.warn(&warning.to_string()))
    }

    /// Prints why the command failed. If even that cannot be written, the exit code remains.
    pub(in crate::cli) fn report(&mut self, failure: &Failure) {
        let _ = self.out.flush();
        // Of these, all has been said.
        if failure.is_closed_pipe() || matches!(failure, Failure::Unwell(_)) {
            return;
        }
        if let Some(journal) = &self.journal {
            let _ = journal.write_lines(Priority::Error, &on_lines(&failure.to_string()));
            return;
        }
        let error = paint(self.stderr_coloring, Tone::Bad.into(), "error:");
        let _ = match failure {
            _ if self.json => print_to_stderr(&failure.to_json()),
            // Each mistake begins with its place, so that editors and people find it.
            Failure::Config(errors) => {
                // They are one line each, apart from their excerpts.
                let mistakes = counted(errors.0.len() as u64, "mistake");
                writeln!(io::stderr(), "{errors}\n{error} {mistakes} in the configuration")
            }
            Failure::Mistakes(errors, consequences) => {
                let mistakes = counted(errors.0.len() as u64, "mistake");
                let consequences = consequences.join("\n  ");
                let what =
                    format!("{mistakes} in the configuration; what follows from it:\n  {consequences}");
                writeln!(io::stderr(), "{errors}\n{error} {what}")
            }
            Failure::Usage(_)
            | Failure::Store(_)
            | Failure::Daemon(_)
            | Failure::Failed(_)
            | Failure::Output(_)
            | Failure::Unwell(_)
            | Failure::StoppedAtOnce => {
                let failure = with_margin(&failure.to_string(), 0, self.stderr_coloring);
                writeln!(io::stderr(), "{error} {failure}")
            }
        };
    }
}

/// Prints one object on one line of stderr.
pub(in crate::cli) fn print_to_stderr(object: &Value) -> io::Result<()> {
    writeln!(io::stderr(), "{}", in_json(&object.to_string()))
}

/// Returns a text that others wrote as it can be shown. Its lines are kept: whatever prints them gives them a margin.
pub(in crate::cli) fn printable(text: &str) -> String {
    on_lines(text)
}

/// Returns the text with a margin before each line but the first, so that no text from outside can pass for a line of
/// ours. Everything unprintable is escaped, except for our own colours.
pub(super) fn with_margin(text: &str, indent: usize, coloring: Coloring) -> String {
    let mut shown = String::with_capacity(text.len());
    for (number, line) in text.lines().enumerate() {
        if number > 0 {
            shown.push_str(&format!("\n{:indent$}  | ", ""));
        }
        let mut rest = line;
        while coloring == Coloring::On
            && let Some((before, color, after)) = color_in(rest)
        {
            shown.push_str(&on_one_line(before));
            shown.push_str(color);
            rest = after;
        }
        shown.push_str(&on_one_line(rest));
    }
    shown
}

pub(super) fn paint(coloring: Coloring, style: TextStyle, text: &str) -> String {
    let code = match style {
        TextStyle::Plain => return text.to_owned(),
        TextStyle::Bold => "1",
        TextStyle::Dim => "2",
        TextStyle::Toned(Tone::Good) => "32",
        TextStyle::Toned(Tone::Bad) => "31",
        TextStyle::Toned(Tone::Attention) => "33",
        TextStyle::Toned(Tone::Active) => "36",
    };
    match coloring {
        Coloring::On if !text.is_empty() => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        Coloring::On | Coloring::Off => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_lines_get_a_margin_and_only_our_colours_stay() {
        let on = |text| with_margin(text, 2, Coloring::On);
        let off = |text| with_margin(text, 2, Coloring::Off);
        assert_eq!(off("a\nFORGED\r\nc\rd"), "a\n    | FORGED\n    | c\\rd");
        assert_eq!(on("\u{1b}[31ma\u{1b}[0m\u{1b}[2Jb"), "\u{1b}[31ma\u{1b}[0m\\u{1b}[2Jb");
        assert_eq!(on("\u{1b}[2\u{1b}[31mb\u{1b}["), "\\u{1b}[2\u{1b}[31mb\\u{1b}[");
        assert_eq!(off("\u{1b}[31ma\u{202e}"), "\\u{1b}[31ma\\u{202e}");
        assert_eq!((off(""), on("")), (String::new(), String::new()));
    }
}
