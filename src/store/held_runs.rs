//! Runs that a daemon holds: what it says about one counts only under the claim that it has.

use super::StoreError;
use super::rows::{RUN_COLUMNS, no_run, parsed_option, run_from_row};
use super::sql::Transaction;
use crate::domain::ids::{DaemonNumber, RunId};
use crate::domain::run::{CancelCause, Run};

/// A run that this daemon holds, for as long as nobody else has claimed it since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HeldRun {
    pub run_id: RunId,
    /// How often the run had been claimed then.
    pub claim: u32,
}

/// The number of the claim under which a run is inserted that is sent at once.
pub(super) const FIRST_CLAIM: u32 = 1;

/// Reads a run that this daemon holds, and why it is to be cancelled, which its state does not say before it is running.
///
/// # Errors
/// [`StoreError::NotHeld`] if somebody else has claimed it since, or if it has ended.
pub(super) fn held_run(
    tx: &Transaction<'_>,
    held: HeldRun,
    by: DaemonNumber,
) -> Result<(Run, Option<CancelCause>), StoreError> {
    let sql = format!("SELECT {RUN_COLUMNS}, held_by, claim FROM runs WHERE run_id = ?1");
    tx.query_opt(&sql, [held.run_id.to_string()], |row| {
        if (row.get::<Option<i64>>("held_by")?, row.get("claim")?) != (Some(by.0), held.claim) {
            return Err(StoreError::NotHeld);
        }
        Ok((run_from_row(row)?, parsed_option(row, "cancelling")?))
    })?
    .ok_or_else(|| no_run(held.run_id))
}

/// Fails if this daemon does not hold the run any more.
///
/// # Errors
/// Those of [`held_run`].
pub(super) fn demand_held(tx: &Transaction<'_>, held: HeldRun, by: DaemonNumber) -> Result<(), StoreError> {
    let is_held = tx.query_value(
        "SELECT EXISTS (SELECT 1 FROM runs WHERE run_id = ?1 AND held_by = ?2 AND claim = ?3)",
        (held.run_id.to_string(), by.0, held.claim),
    )?;
    if is_held { Ok(()) } else { Err(StoreError::NotHeld) }
}
