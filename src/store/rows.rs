//! Converts rows to domain types and back. A row that cannot be read back is an error, never a default.

use std::str::FromStr;

use jiff::Timestamp;
use serde_json::Value;

use super::StoreError;
use super::sql::{Column, Row, Transaction, ValueRef, bad, named_params};
use crate::domain::ids::{RunId, ThreadId};
use crate::domain::reason::Reason;
use crate::domain::run::{BackendRun, CronVersion, Outcome, Phase, Run, RunError, RunState};

/// Names the columns that [`run_from_row`] reads by their places, since to look for the names of so many takes longer than to
/// read them. A statement selects them before all others.
macro_rules! run_columns {
    ($first:ident $(, $name:ident)* $(,)?) => {
        pub(super) const RUN_COLUMNS: &str = concat!(stringify!($first) $(, ", ", stringify!($name))*);

        #[expect(non_camel_case_types, reason = "each is the name of a column")]
        #[derive(Clone, Copy, Debug)]
        enum RunColumn { $first $(, $name)* }

        impl Column for RunColumn {
            fn place(self) -> Option<usize> {
                Some(self as usize)
            }

            fn name(self) -> &'static str {
                match self {
                    RunColumn::$first => stringify!($first),
                    $(RunColumn::$name => stringify!($name)),*
                }
            }
        }
    };
}

run_columns!(
    run_id,
    cron_id,
    cron_name,
    definition_id,
    trigger,
    scheduled_for,
    retry,
    first_started_at,
    due_at,
    start_before,
    phase,
    start_number,
    starts_ahead,
    send_count,
    not_found_count,
    sent_at,
    thread_id,
    backend_run_id,
    started_at,
    cancelling,
    status,
    reason_code,
    reason,
    error,
    outcome_values,
    outcome_interrupts,
    ended_at,
    learnt_at,
);

/// Converts an instant into milliseconds since 1970, as stored.
pub(super) fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// Returns an instant as it is read back after it was stored.
pub(super) fn whole_millis(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(millis(at)).unwrap_or(at)
}

/// Parses a text column.
pub(super) fn parsed<T: FromStr>(row: &Row<'_>, column: impl Column) -> Result<T, StoreError>
where
    T::Err: std::fmt::Display,
{
    // Parsed without a copy: a claim reads a dozen of these for every run of a burst.
    match row.value(column)?.as_str() {
        Ok(text) => text.parse().map_err(|error: T::Err| bad(column.name(), &error.to_string())),
        Err(error) => Err(bad(column.name(), &error.to_string())),
    }
}

/// Parses a text column that may be NULL.
pub(super) fn parsed_option<T: FromStr>(row: &Row<'_>, column: impl Column) -> Result<Option<T>, StoreError>
where
    T::Err: std::fmt::Display,
{
    match row.value(column)? {
        ValueRef::Null => Ok(None),
        _ => parsed(row, column).map(Some),
    }
}

/// Converts milliseconds, as stored in `column`, into an instant.
pub(super) fn timestamp(millis: i64, column: &str) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(millis).map_err(|error| bad(column, &error.to_string()))
}

/// Reads a time column.
pub(super) fn time(row: &Row<'_>, column: impl Column) -> Result<Timestamp, StoreError> {
    timestamp(row.get(column)?, column.name())
}

/// Reads a time column that may be NULL.
pub(super) fn time_option(row: &Row<'_>, column: impl Column) -> Result<Option<Timestamp>, StoreError> {
    let at: Option<i64> = row.get(column)?;
    at.map(|at| timestamp(at, column.name())).transpose()
}

/// Parses a JSON column that may be NULL.
pub(super) fn json_option(row: &Row<'_>, column: impl Column) -> Result<Option<Value>, StoreError> {
    let text = match row.value(column)? {
        ValueRef::Null => return Ok(None),
        text => text.as_str().map_err(|error| bad(column.name(), &error.to_string()))?,
    };
    serde_json::from_str(text).map(Some).map_err(|error| bad(column.name(), &error.to_string()))
}

/// Returns `{"error", "message"}`, the form in which the agent server writes an error.
pub(super) fn error_json(error: &RunError) -> Value {
    serde_json::json!({ "error": error.error, "message": error.message })
}

fn needed<T>(value: Option<T>, column: &str) -> Result<T, StoreError> {
    value.ok_or_else(|| bad(column, "it is missing"))
}

/// Returns the run in this row, which begins with [`RUN_COLUMNS`].
pub(super) fn run_from_row(row: &Row<'_>) -> Result<Run, StoreError> {
    use RunColumn as C;
    Ok(Run {
        run_id: parsed(row, C::run_id)?,
        cron: cron_from_row(row)?,
        trigger: parsed(row, C::trigger)?,
        scheduled_for: time(row, C::scheduled_for)?,
        retry: row.get(C::retry)?,
        first_started_at: time_option(row, C::first_started_at)?,
        due_at: time(row, C::due_at)?,
        start_before: time(row, C::start_before)?,
        send_count: row.get(C::send_count)?,
        not_found_count: row.get(C::not_found_count)?,
        reason: reason_in(row, C::reason_code, C::reason)?,
        state: state_from_row(row)?,
    })
}

/// Reads `reason_code` and `reason`. Without a code there is no reason.
pub(super) fn reason_from_row<Code: FromStr>(row: &Row<'_>) -> Result<Option<Reason<Code>>, StoreError>
where
    Code::Err: std::fmt::Display,
{
    reason_in(row, "reason_code", "reason")
}

fn reason_in<Code: FromStr>(
    row: &Row<'_>,
    code: impl Column,
    message: impl Column,
) -> Result<Option<Reason<Code>>, StoreError>
where
    Code::Err: std::fmt::Display,
{
    let Some(code) = parsed_option(row, code)? else { return Ok(None) };
    Ok(Some(Reason { code, message: row.get(message)? }))
}

fn cron_from_row(row: &Row<'_>) -> Result<Option<CronVersion>, StoreError> {
    use RunColumn as C;
    let Some(cron_id) = parsed_option(row, C::cron_id)? else { return Ok(None) };
    let (name, definition_id) = (row.get(C::cron_name)?, parsed(row, C::definition_id)?);
    Ok(Some(CronVersion { cron_id, name, definition_id }))
}

fn state_from_row(row: &Row<'_>) -> Result<RunState, StoreError> {
    use RunColumn as C;
    let start_number: u32 = row.get(C::start_number)?;
    let sent_at = || needed(time_option(row, C::sent_at)?, "sent_at");
    Ok(match parsed::<Phase>(row, C::phase)? {
        Phase::Pending => RunState::Pending { start_number },
        Phase::Sending => RunState::Sending { start_number, sent_at: sent_at()? },
        Phase::Unconfirmed => {
            let ahead = row.get(C::starts_ahead)?;
            RunState::Unconfirmed { start_number, sent_at: sent_at()?, ahead }
        }
        Phase::Running => RunState::Running(needed(backend_run_from_row(row)?, "backend_run_id")?),
        Phase::Ended => {
            RunState::Ended { backend_run: backend_run_from_row(row)?, outcome: outcome_from_row(row)? }
        }
    })
}

fn backend_run_from_row(row: &Row<'_>) -> Result<Option<BackendRun>, StoreError> {
    use RunColumn as C;
    let Some(backend_run_id) = parsed_option(row, C::backend_run_id)? else { return Ok(None) };
    Ok(Some(BackendRun {
        start_number: row.get(C::start_number)?,
        thread_id: needed(parsed_option::<ThreadId>(row, C::thread_id)?, "thread_id")?,
        backend_run_id,
        started_at: needed(time_option(row, C::started_at)?, "started_at")?,
        cancelling: parsed_option(row, C::cancelling)?,
    }))
}

fn outcome_from_row(row: &Row<'_>) -> Result<Outcome, StoreError> {
    use RunColumn as C;
    let error = json_option(row, C::error)?.map(|error| RunError {
        error: error["error"].as_str().unwrap_or_default().to_owned(),
        message: error["message"].as_str().unwrap_or_default().to_owned(),
    });
    let ended_at = needed(time_option(row, C::ended_at)?, "ended_at")?;
    Ok(Outcome {
        status: needed(parsed_option(row, C::status)?, "status")?,
        reason: reason_in(row, C::reason_code, C::reason)?,
        error,
        values: json_option(row, C::outcome_values)?,
        interrupts: json_option(row, C::outcome_interrupts)?,
        ended_at,
        learnt_at: time_option(row, C::learnt_at)?.unwrap_or(ended_at),
    })
}

/// Reads one run.
///
/// # Errors
/// [`StoreError::NotFound`] if there is none, [`StoreError::BadRow`] if it cannot be read back.
pub(super) fn run(tx: &Transaction<'_>, run_id: RunId) -> Result<Run, StoreError> {
    tx.query_opt(
        &format!("SELECT {RUN_COLUMNS} FROM runs WHERE run_id = :run_id"),
        named_params! { ":run_id": run_id.to_string() },
        run_from_row,
    )?
    .ok_or_else(|| no_run(run_id))
}

/// Writes the columns of a run that can change. `act_at` is when a runner acts on it next, which ends the claim, or `None` if it
/// stays held.
/// What only the end of a run changes is written only then, because SQLite looks at every index of every column that a
/// statement writes.
pub(super) fn save_run(tx: &Transaction<'_>, run: &Run, act_at: Option<Timestamp>) -> Result<(), StoreError> {
    let (start_number, ahead, sent_at, backend_run) = match &run.state {
        RunState::Pending { start_number } => (*start_number, 0, None, None),
        RunState::Sending { start_number, sent_at } => (*start_number, 0, Some(*sent_at), None),
        RunState::Unconfirmed { start_number, sent_at, ahead } => {
            (*start_number, *ahead, Some(*sent_at), None)
        }
        RunState::Running(backend_run) => (backend_run.start_number, 0, None, Some(backend_run)),
        RunState::Ended { outcome, .. } => {
            let texts = OutcomeTexts::of(outcome);
            return save_end(tx, run.run_id, outcome, &texts);
        }
    };
    let sql = "UPDATE runs SET phase = :phase, start_number = :start_number, starts_ahead = :ahead, send_count = :send_count, \
               not_found_count = :not_found_count, act_at = :act_at, \
               held_by = iif(CAST(:act_at AS BIGINT) IS NULL, held_by, NULL), \
               sent_at = iif(:phase = 'pending', NULL, coalesce(:sent_at, sent_at)), thread_id = :thread_id, \
               backend_run_id = :backend_run_id, started_at = :started_at, \
               cancelling = coalesce(:cancelling, cancelling), reason_code = :reason_code, reason = :reason \
               WHERE run_id = :run_id";
    tx.gather(run.run_id, sql, named_params! {
            ":run_id": run.run_id.to_string(),
            ":phase": run.state.phase().as_str(),
            ":start_number": start_number,
            ":ahead": ahead,
            ":send_count": run.send_count,
            ":not_found_count": run.not_found_count,
            ":act_at": act_at.map(millis),
            ":sent_at": sent_at.map(millis),
            ":thread_id": backend_run.map(|backend_run| backend_run.thread_id.to_string()),
            ":backend_run_id": backend_run.map(|backend_run| backend_run.backend_run_id.to_string()),
            ":started_at": backend_run.map(|backend_run| millis(backend_run.started_at)),
            ":cancelling": backend_run.and_then(|backend_run| backend_run.cancelling).map(|cause| cause.as_str()),
            ":reason_code": run.reason.as_ref().map(|reason| reason.code.as_str()),
            ":reason": run.reason.as_ref().and_then(|reason| reason.message.as_ref()),
        })
}

/// What a graph returned and asked, as text.
pub(super) struct OutcomeTexts {
    values: Option<String>,
    interrupts: Option<String>,
}

impl OutcomeTexts {
    fn of(outcome: &Outcome) -> Self {
        let text = |value: &Option<Value>| value.as_ref().map(Value::to_string);
        Self { values: text(&outcome.values), interrupts: text(&outcome.interrupts) }
    }

    /// Takes what they stand for out of the outcome.
    pub(super) fn take_from(outcome: &mut Outcome) -> Self {
        let texts = Self::of(outcome);
        (outcome.values, outcome.interrupts) = (None, None);
        texts
    }
}

/// Writes the end of a run, with these texts. The message about its start stays if its end comes with a code only.
pub(super) fn save_end(
    tx: &Transaction<'_>,
    run_id: RunId,
    outcome: &Outcome,
    texts: &OutcomeTexts,
) -> Result<(), StoreError> {
    let reason = outcome.reason.as_ref();
    let sql = "UPDATE runs SET phase = 'ended', act_at = NULL, held_by = NULL, status = :status, \
               reason_code = coalesce(:reason_code, reason_code), reason = coalesce(:reason, reason), error = :error, \
               outcome_values = :outcome_values, outcome_interrupts = :outcome_interrupts, \
               started_at = min(started_at, :ended_at), ended_at = :ended_at, learnt_at = :learnt_at WHERE run_id = :run_id";
    tx.gather(
        run_id,
        sql,
        named_params! {
            ":run_id": run_id.to_string(),
            ":status": outcome.status.as_str(),
            ":reason_code": reason.map(|reason| reason.code.as_str()),
            ":reason": reason.and_then(|reason| reason.message.as_ref()),
            ":error": outcome.error.as_ref().map(|error| error_json(error).to_string()),
            ":outcome_values": texts.values,
            ":outcome_interrupts": texts.interrupts,
            ":ended_at": millis(outcome.ended_at),
            ":learnt_at": millis(outcome.learnt_at),
        },
    )
}

pub(super) fn no_run(run_id: RunId) -> StoreError {
    StoreError::NotFound(format!("there is no run {run_id}"))
}
