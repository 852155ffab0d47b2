//! Runs that a daemon holds: what it says about one counts only under the claim that it has.

use super::StoreError;
use super::counts::Tx;
use super::read_runs::{ReadRun, read_run};
use super::rows::no_run;
use super::sql::Transaction;
use crate::domain::ids::{DaemonNumber, RunId};

/// A run that this daemon holds, for as long as nobody else has claimed it since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HeldRun {
    pub run_id: RunId,
    /// How often the run had been claimed then.
    pub claim: u32,
}

/// The number of the claim under which a run is inserted that is sent at once.
pub(super) const FIRST_CLAIM: u32 = 1;

/// Reads a run that this daemon holds, and why it is to be cancelled.
///
/// # Errors
/// [`StoreError::NotHeld`] if somebody else has claimed it since, or if it has ended.
pub(super) fn held_run(tx: &Transaction<'_>, held: HeldRun, by: DaemonNumber) -> Result<ReadRun, StoreError> {
    let read = read_run(tx, held.run_id)?;
    demand(read.ok_or_else(|| no_run(held.run_id))?, held, by)
}

/// Does the same for a change about this run, which may have been read ahead (`read_runs.rs`).
pub(super) fn run_to_change(tx: &Tx<'_>, held: HeldRun, by: DaemonNumber) -> Result<ReadRun, StoreError> {
    match tx.take_read_ahead(held.run_id) {
        Some(read) => demand(read, held, by),
        None => held_run(tx, held, by),
    }
}

fn demand(read: ReadRun, held: HeldRun, by: DaemonNumber) -> Result<ReadRun, StoreError> {
    match read.is_held(by, held.claim) {
        true => Ok(read),
        false => Err(StoreError::NotHeld),
    }
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
