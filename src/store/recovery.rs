//! Recovers what daemons held that are gone: their runs are due now, for whoever claims them.

use jiff::Timestamp;
use rusqlite::Transaction;

use super::rows::millis;
use super::{Store, StoreError};
use crate::domain::ids::DaemonNumber;

impl Store {
    /// Makes every run due now that a daemon held which is gone, and returns how many those are. Runs that it was sending
    /// become unconfirmed.
    pub async fn recover_runs(&self, now: Timestamp) -> Result<usize, StoreError> {
        let daemon = self.number;
        self.write(move |tx| {
            let gone: Vec<DaemonNumber> = tx
                .prepare_cached("SELECT number FROM daemons WHERE recovered_at IS NULL AND number <> ?1")?
                .query_map([daemon.0], |row| row.get(0).map(DaemonNumber))?
                .collect::<Result<_, _>>()?;
            let mut recovered = 0;
            for daemon in gone {
                recovered += release(tx, daemon, now)?;
            }
            // What was about to be looked at has not been looked at since either.
            tx.prepare_cached(
                "UPDATE runs SET recovered_at = ?1 WHERE act_at <= ?1 AND (phase = 'unconfirmed' OR phase = 'running')",
            )?
            .execute([millis(now)])?;
            Ok(recovered)
        })
        .await
    }

    /// Gives back everything that this daemon holds, as if it were gone, and returns how many runs those are.
    pub async fn hand_over(&self, now: Timestamp) -> Result<usize, StoreError> {
        let daemon = self.number;
        self.write(move |tx| release(tx, daemon, now)).await
    }
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
    tx.prepare_cached("UPDATE daemons SET recovered_at = ?2 WHERE number = ?1")?.execute((daemon.0, millis(now)))?;
    Ok(released)
}
