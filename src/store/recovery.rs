//! Recovers what daemons held that are gone: their runs are due now, for whoever claims them.

use jiff::Timestamp;
use rusqlite::Transaction;

use super::lease::Sharing;
use super::rows::{millis, time};
use super::{Store, StoreError};
use crate::domain::ids::DaemonNumber;
use crate::domain::lease;

impl Store {
    /// Makes every run due now that a daemon held which is gone, and returns how many those are. Runs that it was sending
    /// become unconfirmed.
    pub async fn recover_runs(&self, now: Timestamp) -> Result<usize, StoreError> {
        let (daemon, sharing) = (self.number, self.sharing());
        self.write(move |tx| {
            let recovered = recover(tx, daemon, sharing, now)?;
            // What was about to be looked at has not been looked at since either.
            tx.prepare_cached(
                "UPDATE runs SET recovered_at = ?1 WHERE act_at <= ?1 AND (phase = 'unconfirmed' OR phase = 'running')",
            )?
            .execute([millis(now)])?;
            Ok(recovered)
        })
        .await
    }

    /// Gives back everything that this daemon holds, and returns how many runs those are.
    pub async fn hand_over(&self, now: Timestamp) -> Result<usize, StoreError> {
        let daemon = self.number;
        self.write(move |tx| release(tx, daemon, now)).await
    }
}

/// Ends every claim of the other daemons that are gone, and returns how many runs they held.
pub(super) fn recover(
    tx: &Transaction<'_>,
    daemon: DaemonNumber,
    sharing: Sharing,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let mut statement =
        tx.prepare_cached("SELECT number, seen_at FROM daemons WHERE recovered_at IS NULL AND number <> ?1")?;
    let mut rows = statement.query([daemon.0])?;
    let mut gone = Vec::new();
    while let Some(row) = rows.next()? {
        let is_gone = match sharing {
            // It would hold the lock.
            Sharing::Alone => true,
            Sharing::Shared => lease::gone_at(time(row, "seen_at")?) <= now,
        };
        if is_gone {
            gone.push(DaemonNumber(row.get("number")?));
        }
    }
    let mut recovered = 0;
    for daemon in gone {
        recovered += release(tx, daemon, now)?;
        tx.prepare_cached("UPDATE daemons SET recovered_at = ?2 WHERE number = ?1")?
            .execute((daemon.0, millis(now)))?;
    }
    Ok(recovered)
}

/// Returns when a daemon that shares the store would be gone if it gave no further sign of life; `None` if there is none.
pub(super) fn next_gone(tx: &Transaction<'_>, daemon: DaemonNumber) -> Result<Option<Timestamp>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT seen_at FROM daemons WHERE recovered_at IS NULL AND number <> ?1 ORDER BY seen_at LIMIT 1",
    )?;
    let mut rows = statement.query([daemon.0])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(lease::gone_at(time(row, "seen_at")?)))
}

/// Ends every claim of a daemon.
fn release(tx: &Transaction<'_>, daemon: DaemonNumber, now: Timestamp) -> Result<usize, StoreError> {
    // `RunChange::Unconfirm` of every run that is being sent, written past `RunState::apply`: from `sending` the change is
    // always legal and touches nothing but the phase, so one statement does for all rows what would otherwise load, check and
    // save each of them before the daemon can start.
    let released = tx
        .prepare_cached(
            "UPDATE runs SET phase = iif(phase = 'sending', 'unconfirmed', phase), act_at = ?2, held_by = NULL, \
             recovered_at = iif(phase = 'pending', recovered_at, ?2) WHERE phase <> 'ended' AND held_by = ?1",
        )?
        .execute((daemon.0, millis(now)))?;
    Ok(released)
}
