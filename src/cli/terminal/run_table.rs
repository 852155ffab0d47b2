//! Runs as rows of a table.

use super::Shrink::{Below, Omit};
use super::{Failure, Output, Rows, Session, Shape, TableOptions, TextStyle, printable};
use crate::domain::delivery::DeliveryStatus;
use crate::present::{ID_CHARS_SHOWN, Tone, runs, times, with_short_ids};
use crate::store::{DeliveryRow, RunRow};

const SHAPE: Shape = Shape {
    columns: &["scheduled", "ago", "cron", "status", "late", "took", "webhook", "run", "reason"],
    usual: &[19, 9, 16, 11, 7, 10, 12, 8, 30],
    shrink: &[Omit("ago"), Omit("late"), Below("reason"), Omit("took"), Below("webhook")],
};

/// Returns a table with one row for each run.
pub(in crate::cli) fn run_table(
    rows: &[RunRow],
    options: &TableOptions,
    session: &Session,
) -> Result<Rows, Failure> {
    let mut table = Rows::new(&SHAPE).with_options(options)?.in_zone("scheduled", &session.zone);
    for row in rows {
        table.push(cells(row, session));
    }
    Ok(table)
}

/// Returns the cells in the order of [`SHAPE`].
fn cells(row: &RunRow, session: &Session) -> Vec<String> {
    let output = &session.output;
    let run = &row.run;
    let mut id = run.run_id.to_string();
    id.truncate(ID_CHARS_SHOWN);
    let (number, why) = (runs::number(run), runs::why(row));
    let reason = [number, why].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
    vec![
        times::local(run.scheduled_for, &session.zone),
        times::relative(run.scheduled_for, session.now()),
        printable(run.called()),
        painted_status(row, output),
        runs::lateness(run).map(times::took).unwrap_or_default(),
        runs::duration(run).map(times::took).unwrap_or_default(),
        row.webhook.as_ref().map(|webhook| webhook_text(webhook, output)).unwrap_or_default(),
        id,
        printable(&with_short_ids(&reason)),
    ]
}

/// Returns the status in its colour. A record of several occurrences says how many.
pub(in crate::cli) fn painted_status(row: &RunRow, output: &Output) -> String {
    let word = output.paint(runs::tone(row), row.status_word());
    if row.occurrences > 1 { format!("{word} ×{}", row.occurrences) } else { word }
}

/// A webhook that was delivered needs no colour here, where the status of the run has one.
fn webhook_text(delivery: &DeliveryRow, output: &Output) -> String {
    let style = match delivery.status {
        DeliveryStatus::Delivered => TextStyle::Plain,
        DeliveryStatus::Failed | DeliveryStatus::Gone | DeliveryStatus::Blocked => Tone::Bad.into(),
        DeliveryStatus::Pending
        | DeliveryStatus::Sending
        | DeliveryStatus::Aborted
        | DeliveryStatus::Suppressed => Tone::Attention.into(),
    };
    let word = output.paint(style, delivery.status.as_str());
    // One attempt is usual; only more are worth mentioning.
    if delivery.attempts > 1 { format!("{word} ×{}", delivery.attempts) } else { word }
}
