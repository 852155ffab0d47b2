//! Runs as they are read before they are changed, with who holds them.

use std::collections::HashMap;

use super::StoreError;
use super::rows::{RUN_COLUMNS, parsed_option, run_from_row};
use super::sql::{Row, Transaction};
use crate::domain::ids::{CronId, DaemonNumber, RunId};
use crate::domain::run::{CancelCause, Run};

/// What was locked and read before changes.
#[derive(Default)]
pub(super) struct ReadAhead {
    pub(super) runs: HashMap<RunId, ReadRun>,
    pub(super) crons: HashMap<CronId, CronAhead>,
}

/// What the end of a run needs to know of its cron.
#[derive(Clone, Copy, Debug)]
pub(super) struct CronAhead {
    /// Whether its last runs have not failed.
    pub(super) is_well: bool,
    /// Whether a run waits for the end of another one.
    pub(super) has_waiting: bool,
}

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

    pub(super) fn of(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            run: run_from_row(row)?,
            cancelling: parsed_option(row, "cancelling")?,
            is_awaited: row.get("is_awaited")?,
            held_by: row.get("held_by")?,
            claim: row.get("claim")?,
        })
    }
}

/// Returns the beginning of a statement that reads runs as [`ReadRun::of`] takes them.
pub(super) fn select() -> String {
    format!("SELECT {RUN_COLUMNS}, held_by, claim, {AWAITED} FROM runs")
}

/// Reads a run, if there is one.
pub(super) fn read_run(tx: &Transaction<'_>, run_id: RunId) -> Result<Option<ReadRun>, StoreError> {
    let sql = format!("{} WHERE run_id = ?1", select());
    tx.query_opt(&sql, [run_id.to_string()], ReadRun::of)
}
