//! Runs that a daemon holds: what it says about one counts only under the claim that it has.

use std::collections::HashMap;

use super::counts::Tx;
use super::read_runs::{CronAhead, ReadAhead, ReadRun, read_run, select};
use super::rows::{no_run, parsed};
use super::sql::{Transaction, array};
use super::write_queue::HeldChange;
use super::{StoreError, suspended, waits_for};
use crate::domain::ids::{CronId, DaemonNumber, RunId};

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

/// Does the same for a change about this run, which has been locked and may have been read ahead ([`read_ahead`]).
pub(super) fn run_to_change(tx: &Tx<'_>, held: HeldRun, by: DaemonNumber) -> Result<ReadRun, StoreError> {
    match tx.take_read_ahead(held.run_id) {
        Some(read) => demand(read, held, by),
        None => held_run(tx, held, by),
    }
}

/// Locks and reads the runs that the next changes are about, all at once, and before that the crons that these may change. Whoever
/// locks several does so in the order of their ids, so that no two wait for each other. Only where the engine is far.
pub(super) fn read_ahead(tx: &Tx<'_>, changes: &[HeldChange]) -> Result<ReadAhead, StoreError> {
    let with_cron: Vec<RunId> =
        changes.iter().filter(|change| change.with_cron).map(|change| change.run_id).collect();
    let crons = if with_cron.is_empty() { HashMap::new() } else { lock_crons(tx, &with_cron)? };
    let runs: Vec<RunId> = changes.iter().map(|change| change.run_id).collect();
    let sql = format!("{} WHERE run_id = ANY(?1) ORDER BY run_id /*: FOR NO KEY UPDATE */", select());
    let runs = tx.query(&sql, [array(&runs)], |row| {
        let read = ReadRun::of(row)?;
        Ok((read.run.run_id, read))
    })?;
    Ok(ReadAhead { runs: runs.into_iter().collect(), crons })
}

/// Locks the crons of these runs, after whoever has them, and reads what the ends of runs need of each.
fn lock_crons(tx: &Tx<'_>, runs: &[RunId]) -> Result<HashMap<CronId, CronAhead>, StoreError> {
    // Which cron a run has never changes.
    let sql = "SELECT DISTINCT cron_id FROM runs WHERE run_id = ANY(?1) AND cron_id IS NOT NULL";
    let crons: Vec<CronId> = tx.query(sql, [array(runs)], |row| parsed(row, "cron_id"))?;
    let sql = "SELECT cron_id, failures = 0 AS is_well FROM crons WHERE cron_id = ANY(?1) ORDER BY cron_id \
               /*: FOR NO KEY UPDATE */";
    let read = tx.query(sql, [array(&crons)], |row| Ok((parsed(row, "cron_id")?, row.get("is_well")?)))?;
    let ahead = |(cron_id, is_well)| (cron_id, CronAhead { is_well, has_waiting: false });
    let mut ahead: HashMap<CronId, CronAhead> = read.into_iter().map(ahead).collect();
    for cron_id in waits_for::with_waiting(tx, &crons)? {
        if let Some(cron) = ahead.get_mut(&cron_id) {
            cron.has_waiting = true;
        }
    }
    suspended::is_any(tx)?;
    Ok(ahead)
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
