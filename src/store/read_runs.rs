//! Runs as they are read before they are changed, with who holds them.

use super::StoreError;
use super::rows::{RUN_COLUMNS, parsed_option, run_from_row};
use super::sql::{Row, Transaction, array};
use crate::domain::ids::{DaemonNumber, RunId};
use crate::domain::run::{CancelCause, Run};

/// A run as it was read, with who holds it.
pub(super) struct ReadRun {
    pub(super) run: Run,
    /// Why it is to be cancelled, which its state does not say before it is running.
    pub(super) cancelling: Option<CancelCause>,
    /// Whether the plan of its cron waits until somebody has looked at it.
    pub(super) is_awaited: bool,
    held_by: Option<i64>,
    claim: u32,
}

const AWAITED: &str = "recovered_at IS NOT NULL AND exclusive = 1 AS is_awaited";

impl ReadRun {
    /// Whether this daemon holds it under this claim.
    pub(super) fn is_held(&self, by: DaemonNumber, claim: u32) -> bool {
        (self.held_by, self.claim) == (Some(by.0), claim)
    }

    fn of(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            run: run_from_row(row)?,
            cancelling: parsed_option(row, "cancelling")?,
            is_awaited: row.get("is_awaited")?,
            held_by: row.get("held_by")?,
            claim: row.get("claim")?,
        })
    }
}

/// Reads a run, if there is one.
pub(super) fn read_run(tx: &Transaction<'_>, run_id: RunId) -> Result<Option<ReadRun>, StoreError> {
    let sql = format!("SELECT {RUN_COLUMNS}, held_by, claim, {AWAITED} FROM runs WHERE run_id = ?1");
    tx.query_opt(&sql, [run_id.to_string()], ReadRun::of)
}

/// Reads the runs that the next changes are about, all at once: where a store is on a server, each by itself would be a way there
/// and back.
pub(super) fn read_ahead(tx: &Transaction<'_>, runs: &[RunId]) -> Result<Vec<(RunId, ReadRun)>, StoreError> {
    let sql = format!("SELECT {RUN_COLUMNS}, held_by, claim, {AWAITED} FROM runs WHERE run_id = ANY(?1)");
    tx.query(&sql, [array(runs)], |row| {
        let read = ReadRun::of(row)?;
        Ok((read.run.run_id, read))
    })
}
