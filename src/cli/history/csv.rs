//! Runs as comma-separated values (RFC 4180), for spreadsheets: the main fields of the JSON under the same names, and no values.

use std::io;

use crate::api::wire::{Run, Time};
use crate::cli::terminal::{Session, printable};

const HEADER: [&str; 19] = [
    "run_id",
    "cron_name",
    "trigger",
    "status",
    "reason_code",
    "reason",
    "error",
    "error_message",
    "scheduled_for",
    "retry",
    "due_at",
    "started_at",
    "ended_at",
    "thread_id",
    "backend_run_id",
    "webhook_status",
    "webhook_attempts",
    "occurrences",
    "last_scheduled_for",
];

pub(super) fn print_header(session: &mut Session) -> io::Result<()> {
    session.output.text(&record(&HEADER.map(str::to_owned)))
}

pub(super) fn print(runs: &[Run], session: &mut Session) -> io::Result<()> {
    runs.iter().try_for_each(|run| session.output.text(&record(&cells(run))))
}

/// Returns the cells in the order of [`HEADER`].
fn cells(run: &Run) -> [String; 19] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let time = |at: &Option<Time>| at.map(|Time(at)| at.to_string()).unwrap_or_default();
    let (error, webhook) = (run.error.as_ref(), run.webhook.as_ref());
    [
        run.run_id.clone(),
        text(&run.cron_name),
        run.trigger.0.to_string(),
        run.status.clone(),
        run.reason_code.map(|code| code.0.to_string()).unwrap_or_default(),
        text(&run.reason),
        error.map(|error| error.error.clone()).unwrap_or_default(),
        error.map(|error| error.message.clone()).unwrap_or_default(),
        run.scheduled_for.0.to_string(),
        run.retry.to_string(),
        run.due_at.0.to_string(),
        time(&run.started_at),
        time(&run.ended_at),
        text(&run.thread_id),
        text(&run.backend_run_id),
        webhook.map(|webhook| webhook.status.0.to_string()).unwrap_or_default(),
        webhook.map(|webhook| webhook.attempts.to_string()).unwrap_or_default(),
        run.occurrences.to_string(),
        time(&run.last_scheduled_for),
    ]
}

fn record(cells: &[String]) -> String {
    cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",") + "\r\n"
}

/// Returns a cell with quotes where it needs them. What a spreadsheet would run as a formula gets an apostrophe before it, which
/// makes it a text there: errors and reasons come from outside.
fn quoted(cell: &str) -> String {
    let cell = printable(cell);
    let cell = if cell.starts_with(['=', '+', '-', '@']) { format!("'{cell}") } else { cell };
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_and_never_a_formula() {
        let cases = [
            ("", ""),
            ("plain é", "plain é"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "'=1+1"),
            ("@x,y", "\"'@x,y\""),
            ("-2", "'-2"),
            ("+3", "'+3"),
        ];
        for (cell, expected) in cases {
            assert_eq!(quoted(cell), expected);
        }
        assert!(!quoted("\u{1b}[31m=x\t\r").contains(['\u{1b}', '\t', '\r']));
        assert_eq!(record(&["a".to_owned(), String::new(), "b,".to_owned()]), "a,,\"b,\"\r\n");
    }
}
