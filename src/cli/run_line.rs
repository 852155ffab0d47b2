//! A run as one line: the same facts as JSON for programs and as cells for people.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::output::{Output, Style, printable};
use super::session::Session;
use super::times;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::run::{BackendRun, Phase, Run, RunError, RunState, Status};
use crate::store::{DeliveryRow, RunRow};

/// The columns of [`cells`].
pub(super) const COLUMNS: [&str; 9] =
    ["scheduled", "ago", "cron", "status", "late", "took", "webhook", "run", "reason"];
/// The column that is cut if need be.
pub(super) const ELASTIC: &str = "reason";
/// The columns that a narrow terminal does without, in this order.
pub(super) const DISPENSABLE: &[&str] = &["ago", "took", "late", "webhook"];

/// Characters of a run id that tell runs apart in practice; `show` takes them.
const ID_SHOWN: usize = 8;

/// RFC 3339 in UTC, or null.
pub(super) fn time(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| json!(at.to_string()))
}

/// What people want to know of it, in the order of [`COLUMNS`].
pub(super) fn cells(row: &RunRow, session: &Session) -> Vec<String> {
    let output = &session.output;
    let run = &row.run;
    let started_at = backend_run(run).map(|backend_run| backend_run.started_at);
    let late = started_at.map(|started_at| times::took(started_at.duration_since(run.scheduled_for)));
    let took = started_at.zip(ended_at(run)).map(|(from, to)| times::took(to.duration_since(from)));
    let mut id = run.run_id.to_string();
    id.truncate(ID_SHOWN);
    vec![
        times::local(run.scheduled_for, &session.zone),
        times::relative(run.scheduled_for, session.now()),
        printable(run.called()),
        painted_status(row, output),
        late.unwrap_or_default(),
        took.unwrap_or_default(),
        row.webhook.as_ref().map(|webhook| webhook_text(webhook, output)).unwrap_or_default(),
        id,
        why(row),
    ]
}

/// The status in its colour; a record of several missed occurrences says how many.
pub(super) fn painted_status(row: &RunRow, output: &Output) -> String {
    let word = output.paint(style(row), row.status_word());
    if row.occurrences > 1 { format!("{word} ×{}", row.occurrences) } else { word }
}

/// Good, bad, or still going.
pub(super) fn style(row: &RunRow) -> Style {
    match (row.status(), row.run.state.phase()) {
        (Some(Status::Success), _) => Style::Good,
        (Some(Status::Error | Status::Timeout), _) => Style::Bad,
        (Some(Status::Interrupted | Status::Cancelled | Status::Skipped | Status::Missed), _) => Style::Odd,
        (None, Phase::Unconfirmed) => Style::Odd,
        (None, Phase::Pending | Phase::Sending | Phase::Running | Phase::Ended) => Style::BackendRun,
    }
}

fn webhook_text(delivery: &DeliveryRow, output: &Output) -> String {
    let style = match delivery.status {
        DeliveryStatus::Delivered => Style::Plain,
        DeliveryStatus::Failed | DeliveryStatus::Gone | DeliveryStatus::Blocked => Style::Bad,
        DeliveryStatus::Pending
        | DeliveryStatus::Sending
        | DeliveryStatus::Aborted
        | DeliveryStatus::Suppressed => Style::Odd,
    };
    let word = output.paint(style, delivery.status.as_str());
    // The first attempt is the usual; more of them are a story.
    if delivery.attempts > 1 { format!("{word} ×{}", delivery.attempts) } else { word }
}

/// The reason, and what the graph said went wrong.
pub(super) fn why(row: &RunRow) -> String {
    let error = error(&row.run).map(|error| {
        if error.error.is_empty() {
            error.message.clone()
        } else {
            format!("{}: {}", error.error, error.message)
        }
    });
    let reason = row.run.reason.as_ref().and_then(|reason| reason.message.as_deref());
    let said = match (reason, error) {
        (Some(reason), Some(error)) => format!("{error} ({reason})"),
        (Some(reason), None) => reason.to_owned(),
        (None, Some(error)) => error,
        (None, None) => String::new(),
    };
    printable(&said)
}

/// The run as the backend has or had it.
pub(super) fn backend_run(run: &Run) -> Option<&BackendRun> {
    match &run.state {
        RunState::Running(backend_run) => Some(backend_run),
        RunState::Ended { backend_run, .. } => backend_run.as_ref(),
        RunState::Pending { .. } | RunState::Sending { .. } | RunState::Unconfirmed { .. } => None,
    }
}

/// When it was over.
pub(super) fn ended_at(run: &Run) -> Option<Timestamp> {
    match &run.state {
        RunState::Ended { outcome, .. } => Some(outcome.ended_at),
        RunState::Pending { .. }
        | RunState::Sending { .. }
        | RunState::Unconfirmed { .. }
        | RunState::Running(_) => None,
    }
}

/// What went wrong, by the graph's or the backend's words.
pub(super) fn error(run: &Run) -> Option<&RunError> {
    match &run.state {
        RunState::Ended { outcome, .. } => outcome.error.as_ref(),
        RunState::Pending { .. }
        | RunState::Sending { .. }
        | RunState::Unconfirmed { .. }
        | RunState::Running(_) => None,
    }
}
