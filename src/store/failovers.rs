//! The times when the store went back to an earlier state, as a failover does that loses the last commits: what was sent since
//! may be on the agent server although the store knows nothing of it.
//!
//! Nothing in the rows of a store can tell that it went back, so it has a number of its own (`installation.timeline`), which every
//! commit compares. The first daemon that notices sweeps the store (`recovery.rs`): every run that is due may have been sent
//! since, each time under as many as [`STARTS_LOST_MAX`] further numbers, and is looked for under each before it is sent again. So
//! is an occurrence that is planned again. Which occurrences that concerns is judged with a margin, since clocks differ.

use jiff::Timestamp;

use super::StoreError;
use super::rows::{millis, time};
use super::sql::Transaction;
use crate::domain::backoff;
use crate::domain::lease::{LEASE, LOST_WITHIN};

/// How many starts of a run may have been lost with the last commits.
pub(super) const STARTS_LOST_MAX: u32 = 3;

/// Recorded for a run that is looked for although nothing is known of a start.
pub(super) const WENT_BACK: &str =
    "the store has gone back to an earlier state, and it may have been started before that";

/// The times that they concern, the latest first.
pub(super) struct Failovers(Vec<(Timestamp, Timestamp)>);

/// A run that may be on the agent server although the store knew nothing of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsure {
    /// Since when it is looked for.
    pub(super) since: Timestamp,
    /// How many starts beyond the first one have to be ruled out.
    pub(super) starts_ahead: u32,
}

/// Selects what [`Failovers::read`] reads.
pub(super) const FAILOVERS: &str = "SELECT since, at FROM failovers ORDER BY at DESC";

impl Failovers {
    pub(super) fn read(tx: &Transaction<'_>) -> Result<Self, StoreError> {
        tx.query(FAILOVERS, (), |row| Ok((time(row, "since")?, time(row, "at")?))).map(Self)
    }

    /// Records those that nobody has noticed before, from the one after `swept` to the one of this `timeline`.
    pub(super) fn record(
        tx: &Transaction<'_>,
        swept: i64,
        timeline: i64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for timeline in swept + 1..=timeline {
            let until = concerned_until(now);
            let since = until.checked_sub(LOST_WITHIN + LEASE).unwrap_or(until);
            insert(tx, timeline, since, until)?;
        }
        Ok(())
    }

    /// Returns whether a run of an occurrence of this instant, which is inserted now, is unsure: it may have been started before
    /// the store went back, and if that was several times, each time under other numbers.
    pub(super) fn unsure(&self, scheduled_for: Timestamp, now: Timestamp) -> Option<Unsure> {
        let times = self.0.iter().take_while(|(_, until)| scheduled_for <= *until).count();
        let starts_ahead = u32::try_from(times).unwrap_or(u32::MAX).saturating_mul(STARTS_LOST_MAX);
        (times > 0).then_some(Unsure { since: now, starts_ahead })
    }

    /// Returns the times of which occurrences may have been started although the store knows nothing of them, however they would
    /// be judged now.
    pub(super) fn unsure_spans(&self) -> Vec<(Timestamp, Timestamp)> {
        self.0.iter().copied().filter(|(since, until)| since < until).collect()
    }
}

/// Takes note of another history of the server, if it has one: it may have gone back to an earlier state.
pub(super) fn note_history(tx: &Transaction<'_>) -> Result<(), StoreError> {
    let Some(history) = tx.history()? else { return Ok(()) };
    let known: Option<String> = tx.query_value("SELECT server_history FROM installation", ())?;
    if known.as_ref() != Some(&history) {
        let sql = "UPDATE installation SET server_history = ?1, timeline = timeline + ?2";
        tx.execute(sql, (history, i64::from(known.is_some())))?;
    }
    Ok(())
}

/// Records one, and of which times occurrences may have been started although the store knows nothing of them.
pub(super) fn insert(
    tx: &Transaction<'_>,
    timeline: i64,
    since: Timestamp,
    until: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO failovers (timeline, since, at) VALUES (?1, ?2, ?3)";
    tx.execute(sql, (timeline, millis(since), millis(until)))?;
    Ok(())
}

/// Returns up to when occurrences may have been started if the store is found to have gone back now: the clock of whoever started
/// them may be ahead of ours.
pub(super) fn concerned_until(now: Timestamp) -> Timestamp {
    backoff::after(now, LEASE)
}
