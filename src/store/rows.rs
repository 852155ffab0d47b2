//! Converts rows to domain types and back. A row that cannot be read back is an error, never a default.

use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Row, Transaction, named_params};
use serde_json::Value;

use super::StoreError;
use crate::domain::ids::{RunId, ThreadId};
use crate::domain::reason::Reason;
use crate::domain::run::{BackendRun, CancelCause, CronVersion, Outcome, Phase, Run, RunError, RunState};

/// The columns that [`run_from_row`] reads by name.
pub(super) const RUN_COLUMNS: &str = "run_id, cron_id, cron_name, definition_id, trigger, scheduled_for, retry, \
     first_started_at, due_at, start_before, phase, start_number, send_count, not_found_count, sent_at, thread_id, \
     backend_run_id, started_at, cancelling, status, reason_code, reason, error, outcome_values, outcome_interrupts, ended_at, \
     learnt_at";

/// Converts an instant into milliseconds since 1970, as stored.
pub(super) fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// Parses a text column.
pub(super) fn parsed<T: FromStr>(row: &Row<'_>, column: &str) -> Result<T, StoreError>
where
    T::Err: std::fmt::Display,
{
    // Parsed without a copy: a claim reads a dozen of these for every run of a burst.
    match row.get_ref(column)?.as_str() {
        Ok(text) => text.parse().map_err(|error: T::Err| bad(column, &error.to_string())),
        Err(error) => Err(bad(column, &error.to_string())),
    }
}

/// Parses a text column that may be NULL.
pub(super) fn parsed_option<T: FromStr>(row: &Row<'_>, column: &str) -> Result<Option<T>, StoreError>
where
    T::Err: std::fmt::Display,
{
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        _ => parsed(row, column).map(Some),
    }
}

/// Converts milliseconds, as stored in `column`, into an instant.
pub(super) fn timestamp(millis: i64, column: &str) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(millis).map_err(|error| bad(column, &error.to_string()))
}

/// Reads a time column.
pub(super) fn time(row: &Row<'_>, column: &str) -> Result<Timestamp, StoreError> {
    timestamp(row.get(column)?, column)
}

/// Reads a time column that may be NULL.
pub(super) fn time_option(row: &Row<'_>, column: &str) -> Result<Option<Timestamp>, StoreError> {
    let at: Option<i64> = row.get(column)?;
    at.map(|at| timestamp(at, column)).transpose()
}

/// Parses a JSON column that may be NULL.
pub(super) fn json_option(row: &Row<'_>, column: &str) -> Result<Option<Value>, StoreError> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| serde_json::from_str(&text).map_err(|error| bad(column, &error.to_string()))).transpose()
}

/// Returns `{"error", "message"}`, the form in which the agent server writes an error.
pub(super) fn error_json(error: &RunError) -> Value {
    serde_json::json!({ "error": error.error, "message": error.message })
}

fn bad(column: &str, problem: &str) -> StoreError {
    StoreError::BadRow(format!("the store holds a bad `{column}`: {problem}"))
}

fn needed<T>(value: Option<T>, column: &str) -> Result<T, StoreError> {
    value.ok_or_else(|| bad(column, "it is missing"))
}

/// Returns the run in this row.
pub(super) fn run_from_row(row: &Row<'_>) -> Result<Run, StoreError> {
    Ok(Run {
        run_id: parsed(row, "run_id")?,
        cron: cron_from_row(row)?,
        trigger: parsed(row, "trigger")?,
        scheduled_for: time(row, "scheduled_for")?,
        retry: row.get("retry")?,
        first_started_at: time_option(row, "first_started_at")?,
        due_at: time(row, "due_at")?,
        start_before: time(row, "start_before")?,
        send_count: row.get("send_count")?,
        not_found_count: row.get("not_found_count")?,
        reason: reason_from_row(row)?,
        state: state_from_row(row)?,
    })
}

/// Reads `reason_code` and `reason`. Without a code there is no reason.
pub(super) fn reason_from_row<Code: FromStr>(row: &Row<'_>) -> Result<Option<Reason<Code>>, StoreError>
where
    Code::Err: std::fmt::Display,
{
    let Some(code) = parsed_option(row, "reason_code")? else { return Ok(None) };
    Ok(Some(Reason { code, message: row.get("reason")? }))
}

fn cron_from_row(row: &Row<'_>) -> Result<Option<CronVersion>, StoreError> {
    let Some(cron_id) = parsed_option(row, "cron_id")? else { return Ok(None) };
    let (name, definition_id) = (row.get("cron_name")?, parsed(row, "definition_id")?);
    Ok(Some(CronVersion { cron_id, name, definition_id }))
}

fn state_from_row(row: &Row<'_>) -> Result<RunState, StoreError> {
    let start_number: u32 = row.get("start_number")?;
    let sent_at = || needed(time_option(row, "sent_at")?, "sent_at");
    Ok(match parsed::<Phase>(row, "phase")? {
        Phase::Pending => RunState::Pending { start_number },
        Phase::Sending => RunState::Sending { start_number, sent_at: sent_at()? },
        Phase::Unconfirmed => RunState::Unconfirmed { start_number, sent_at: sent_at()? },
        Phase::Running => RunState::Running(needed(backend_run_from_row(row)?, "backend_run_id")?),
        Phase::Ended => {
            RunState::Ended { backend_run: backend_run_from_row(row)?, outcome: outcome_from_row(row)? }
        }
    })
}

fn backend_run_from_row(row: &Row<'_>) -> Result<Option<BackendRun>, StoreError> {
    let Some(backend_run_id) = parsed_option(row, "backend_run_id")? else { return Ok(None) };
    Ok(Some(BackendRun {
        start_number: row.get("start_number")?,
        thread_id: needed(parsed_option::<ThreadId>(row, "thread_id")?, "thread_id")?,
        backend_run_id,
        started_at: needed(time_option(row, "started_at")?, "started_at")?,
        cancelling: parsed_option(row, "cancelling")?,
    }))
}

fn outcome_from_row(row: &Row<'_>) -> Result<Outcome, StoreError> {
    let error = json_option(row, "error")?.map(|error| RunError {
        error: error["error"].as_str().unwrap_or_default().to_owned(),
        message: error["message"].as_str().unwrap_or_default().to_owned(),
    });
    let ended_at = needed(time_option(row, "ended_at")?, "ended_at")?;
    Ok(Outcome {
        status: needed(parsed_option(row, "status")?, "status")?,
        reason: reason_from_row(row)?,
        error,
        values: json_option(row, "outcome_values")?,
        interrupts: json_option(row, "outcome_interrupts")?,
        ended_at,
        learnt_at: time_option(row, "learnt_at")?.unwrap_or(ended_at),
    })
}

/// Reads one run.
///
/// # Errors
/// [`StoreError::NotFound`] if there is none, [`StoreError::BadRow`] if it cannot be read back.
pub(super) fn run(tx: &Transaction<'_>, run_id: RunId) -> Result<Run, StoreError> {
    Ok(run_and_cancelling(tx, run_id)?.0)
}

/// Reads one run, and why it is to be cancelled, which its state does not say before it is running.
pub(super) fn run_and_cancelling(
    tx: &Transaction<'_>,
    run_id: RunId,
) -> Result<(Run, Option<CancelCause>), StoreError> {
    let mut statement =
        tx.prepare_cached(&format!("SELECT {RUN_COLUMNS} FROM runs WHERE run_id = :run_id"))?;
    let mut rows = statement.query(named_params! { ":run_id": run_id.to_string() })?;
    match rows.next()? {
        Some(row) => Ok((run_from_row(row)?, parsed_option(row, "cancelling")?)),
        None => Err(no_run(run_id)),
    }
}

/// Writes the columns of a run that can change. `act_at` is when the runner acts on it next, or `None` while
/// it is claimed.
pub(super) fn save_run(tx: &Transaction<'_>, run: &Run, act_at: Option<Timestamp>) -> Result<(), StoreError> {
    let columns = StateColumns::of(&run.state);
    let outcome = columns.outcome;
    let cancelling = columns.backend_run.and_then(|backend_run| backend_run.cancelling);
    let reason = outcome.and_then(|outcome| outcome.reason.as_ref()).or(run.reason.as_ref());
    // The message about its start stays if its end comes with a code only.
    let message = reason.and_then(|reason| reason.message.as_ref());
    let message = message.or_else(|| run.reason.as_ref()?.message.as_ref());
    let changed = tx
        .prepare_cached(
            "UPDATE runs SET phase = :phase, start_number = coalesce(:start_number, start_number), \
             send_count = :send_count, not_found_count = :not_found_count, act_at = :act_at, \
             sent_at = coalesce(:sent_at, sent_at), thread_id = :thread_id, \
             backend_run_id = :backend_run_id, started_at = :started_at, \
             cancelling = coalesce(:cancelling, cancelling), status = :status, reason_code = :reason_code, \
             reason = :reason, error = :error, outcome_values = :outcome_values, \
             outcome_interrupts = :outcome_interrupts, ended_at = :ended_at, learnt_at = :learnt_at \
             WHERE run_id = :run_id",
        )?
        .execute(named_params! {
            ":run_id": run.run_id.to_string(),
            ":phase": run.state.phase().as_str(),
            ":start_number": columns.start_number,
            ":send_count": run.send_count,
            ":not_found_count": run.not_found_count,
            ":act_at": act_at.map(millis),
            ":sent_at": columns.sent_at.map(millis),
            ":thread_id": columns.backend_run.map(|backend_run| backend_run.thread_id.to_string()),
            ":backend_run_id": columns.backend_run.map(|backend_run| backend_run.backend_run_id.to_string()),
            ":started_at": columns.backend_run.map(|backend_run| millis(backend_run.started_at)),
            ":cancelling": cancelling.map(|cause| cause.as_str()),
            ":status": outcome.map(|outcome| outcome.status.as_str()),
            ":reason_code": reason.map(|reason| reason.code.as_str()),
            ":reason": message,
            ":error": outcome.and_then(|outcome| outcome.error.as_ref()).map(|e| error_json(e).to_string()),
            ":outcome_values": outcome.and_then(|outcome| outcome.values.as_ref()).map(Value::to_string),
            ":outcome_interrupts": outcome.and_then(|outcome| outcome.interrupts.as_ref()).map(Value::to_string),
            ":ended_at": outcome.map(|outcome| millis(outcome.ended_at)),
            ":learnt_at": outcome.map(|outcome| millis(outcome.learnt_at)),
        })?;
    if changed == 1 { Ok(()) } else { Err(no_run(run.run_id)) }
}

fn no_run(run_id: RunId) -> StoreError {
    StoreError::NotFound(format!("there is no run {run_id}"))
}

/// A state as columns.
struct StateColumns<'a> {
    start_number: Option<u32>,
    sent_at: Option<Timestamp>,
    backend_run: Option<&'a BackendRun>,
    outcome: Option<&'a Outcome>,
}

impl<'a> StateColumns<'a> {
    fn of(state: &'a RunState) -> Self {
        let none = Self { start_number: None, sent_at: None, backend_run: None, outcome: None };
        match state {
            RunState::Pending { start_number } => Self { start_number: Some(*start_number), ..none },
            RunState::Sending { start_number, sent_at } | RunState::Unconfirmed { start_number, sent_at } => {
                Self { start_number: Some(*start_number), sent_at: Some(*sent_at), ..none }
            }
            RunState::Running(backend_run) => {
                Self { start_number: Some(backend_run.start_number), backend_run: Some(backend_run), ..none }
            }
            RunState::Ended { backend_run, outcome } => Self {
                start_number: backend_run.as_ref().map(|backend_run| backend_run.start_number),
                backend_run: backend_run.as_ref(),
                outcome: Some(outcome),
                ..none
            },
        }
    }
}
