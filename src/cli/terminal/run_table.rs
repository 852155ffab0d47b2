//! Runs as rows of a table, and what else several commands print of a run.

use super::Shrink::{Below, Omit};
use super::{Failure, Output, Rows, Session, Shape, TableOptions, TextStyle, printable};
use crate::api::wire::{Act, Run, RunWebhook};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::ids::FIRST_RUN;
use crate::domain::run::{Phase, Status};
use crate::present::{ID_CHARS_SHOWN, Tone, runs, times, with_short_ids};

const SHAPE: Shape = Shape {
    columns: &["scheduled", "ago", "cron", "status", "late", "took", "webhook", "run", "reason"],
    usual: &[19, 9, 16, 11, 7, 10, 12, 8, 30],
    shrink: &[Omit("ago"), Omit("late"), Below("reason"), Omit("took"), Below("webhook")],
};

/// Returns a table for runs without rows.
pub(in crate::cli) fn run_table(options: &TableOptions, session: &Session) -> Result<Rows, Failure> {
    Ok(Rows::new(&SHAPE).with_options(options)?.in_zone("scheduled", &session.zone))
}

/// Returns what somebody did as a row of the table, with its time in the place of the instant.
pub(in crate::cli) fn act_cells(act: &Act, session: &Session) -> Vec<String> {
    let mut id = act.run_id.clone().unwrap_or_default();
    id.truncate(ID_CHARS_SHOWN);
    let (none, output) = (String::new, &session.output);
    vec![
        times::local(act.at.0, &session.zone),
        times::relative(act.at.0, session.now()),
        printable(act.cron_name.as_deref().unwrap_or_default()),
        output.paint(TextStyle::Dim, &format!("({})", act.did())),
        none(),
        none(),
        none(),
        id,
        printable(&with_short_ids(&act.by_whom())),
    ]
}

/// Returns the row of a run.
pub(in crate::cli) fn run_cells(run: &Run, session: &Session) -> Vec<String> {
    let output = &session.output;
    let mut id = run.run_id.clone();
    id.truncate(ID_CHARS_SHOWN);
    let parts = [number(run), run.why()].into_iter().filter(|part| !part.is_empty());
    let reason = parts.collect::<Vec<_>>().join("; ");
    vec![
        times::local(run.scheduled_for.0, &session.zone),
        times::relative(run.scheduled_for.0, session.now()),
        printable(run.called()),
        painted_status(run, output),
        run.lateness().map(times::took).unwrap_or_default(),
        run.duration().map(times::took).unwrap_or_default(),
        run.webhook.as_ref().map(|webhook| webhook_text(webhook, output)).unwrap_or_default(),
        id,
        printable(&with_short_ids(&reason)),
    ]
}

/// Returns the tone of a run: of its outcome, or of its phase while it is in progress.
pub(in crate::cli) fn tone(run: &Run) -> Tone {
    match (run.status.parse::<Status>(), run.phase.0) {
        (Ok(status), _) => runs::status_tone(status),
        (Err(_), Phase::Unconfirmed) => Tone::Attention,
        (Err(_), Phase::Pending | Phase::Sending | Phase::Running | Phase::Ended) => Tone::Active,
    }
}

/// Returns the status in its colour. A record of several occurrences says how many.
pub(in crate::cli) fn painted_status(run: &Run, output: &Output) -> String {
    let word = output.paint(tone(run), &run.status);
    if run.occurrences > 1 { format!("{word} ×{}", run.occurrences) } else { word }
}

/// Returns which run of its occurrence it is, as in `retry 1`; empty for the first one.
pub(in crate::cli) fn number(run: &Run) -> String {
    if run.retry == FIRST_RUN { String::new() } else { format!("retry {}", run.retry) }
}

/// Returns a run of an occurrence with several in one line.
pub(in crate::cli) fn in_short(run: &Run) -> String {
    let number = if run.retry == FIRST_RUN { "first run".to_owned() } else { number(run) };
    let why = run.why();
    let why = if why.is_empty() { why } else { format!(": {why}") };
    printable(&format!("{number}, run {}: {}{why}", run.run_id, run.status))
}

/// A webhook that was delivered needs no colour here, where the status of the run has one.
fn webhook_text(delivery: &RunWebhook, output: &Output) -> String {
    let style = match delivery.status.0 {
        DeliveryStatus::Delivered => TextStyle::Plain,
        DeliveryStatus::Failed | DeliveryStatus::Gone | DeliveryStatus::Blocked => Tone::Bad.into(),
        DeliveryStatus::Pending
        | DeliveryStatus::Sending
        | DeliveryStatus::Aborted
        | DeliveryStatus::Suppressed => Tone::Attention.into(),
    };
    let word = output.paint(style, delivery.status.0.as_str());
    // One attempt is usual; only more are worth mentioning.
    if delivery.attempts > 1 { format!("{word} ×{}", delivery.attempts) } else { word }
}
