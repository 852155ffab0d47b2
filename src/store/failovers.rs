//! The times when the store went back to an earlier state, as a failover does that loses the last commits: what was sent since
//! may be on the agent server although the store knows nothing of it.
//!
//! Nothing in the rows of a store can tell that it went back, so it has a number of its own (`installation.timeline`), which every
//! commit compares. The first daemon that notices sweeps the store (`hot/recovery.rs`): every run that is due may have been sent
//! since, under up to [`STARTS_LOST_MAX`] further numbers each time, and is looked for under each before it is sent again.

use jiff::Timestamp;

use super::StoreError;
use super::rows::time;
use super::sql::Transaction;

/// How many starts of a run may have been lost with the last commits.
pub(super) const STARTS_LOST_MAX: u32 = 3;

/// When each of them was noticed, the latest first.
pub(super) struct Failovers(Vec<Timestamp>);

/// A run that may be on the agent server although the store knew nothing of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsure {
    /// When that was noticed last.
    pub(super) since: Timestamp,
    /// How many starts beyond the first one have to be ruled out.
    pub(super) starts_ahead: u32,
}

impl Failovers {
    pub(super) fn read(tx: &Transaction<'_>) -> Result<Self, StoreError> {
        tx.query("SELECT at FROM failovers ORDER BY at DESC", (), |row| time(row, "at")).map(Self)
    }

    /// Returns whether a new run of an occurrence of this instant is unsure: since before the store went back, perhaps several
    /// times, and each time it may have been started by other numbers.
    pub(super) fn unsure(&self, scheduled_for: Timestamp) -> Option<Unsure> {
        let times = self.0.iter().take_while(|at| scheduled_for <= **at).count();
        let starts_ahead = u32::try_from(times).unwrap_or(u32::MAX).saturating_mul(STARTS_LOST_MAX);
        self.0.first().filter(|_| times > 0).map(|since| Unsure { since: *since, starts_ahead })
    }
}
