//! Recovers what daemons that are gone held: all of it is due at once, for whoever claims it.

use jiff::Timestamp;

use super::counts::Tx;
use super::failovers::{Failovers, STARTS_LOST_MAX, WENT_BACK, concerned_until};
use super::lease::{Sharing, Survivor};
use super::rows::{millis, time};
use super::sql::Transaction;
use super::{Store, StoreError, outages, suspended};
use crate::domain::backoff;
use crate::domain::ids::DaemonNumber;
use crate::domain::lease::{self, INTERRUPTED_AFTER};
use crate::domain::reason::ReasonCode;

/// How many runs and webhooks were held by daemons that are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    pub runs: usize,
    pub deliveries: usize,
}

impl Recovered {
    fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.deliveries += other.deliveries;
    }
}

impl Store {
    /// Makes due now whatever a daemon held that is gone, and returns how much that is. Runs that it was sending become
    /// unconfirmed, and its attempts to deliver are recorded as cut off, so that each webhook is sent at least once.
    pub async fn recover(&self, now: Timestamp) -> Result<Recovered, StoreError> {
        let survivor = self.survivor();
        self.write(move |tx| {
            let recovered = recover(tx, survivor, now)?;
            // What was about to be looked at has not been looked at since either.
            let sql = "UPDATE runs SET recovered_at = ?1 WHERE act_at <= ?1 AND (phase = 'unconfirmed' \
                       OR phase = 'running')";
            tx.execute(sql, [millis(now)])?;
            Ok(recovered)
        })
        .await
    }

    /// Recovers what the other daemons held that are gone.
    pub(super) async fn recover_gone(&self, now: Timestamp) -> Result<Recovered, StoreError> {
        let survivor = self.survivor();
        self.write(move |tx| recover(tx, survivor, now)).await
    }

    /// Gives back everything that this daemon holds, and returns how much that is. It has left the store then.
    pub async fn hand_over(&self, now: Timestamp) -> Result<Recovered, StoreError> {
        let daemon = self.number;
        self.write(move |tx| {
            tx.put("UPDATE daemons SET left_at = ?2 WHERE number = ?1", (daemon.0, millis(now)))?;
            ends(tx, daemon, now)?;
            release(tx, daemon, now)
        })
        .await
    }

    /// Gives back the runs that this daemon holds, but for those that it is sending, and returns how many that are.
    pub async fn hand_over_runs(&self, now: Timestamp) -> Result<usize, StoreError> {
        let daemon = self.number;
        self.write(move |tx| release_runs(tx, daemon, "phase <> 'ended' AND phase <> 'sending'", now)).await
    }
}

/// Ends every claim of the other daemons that are gone, and returns how much they held.
fn recover(tx: &Tx<'_>, survivor: Survivor, now: Timestamp) -> Result<Recovered, StoreError> {
    let mut recovered = Recovered::default();
    for other in others(tx, survivor.number)? {
        let is_gone = match survivor.sharing {
            // It would hold the lock.
            Sharing::Alone => true,
            Sharing::Shared => lease::gone_at(other.seen_at, survivor.able_since) <= now,
        };
        if is_gone {
            recovered.add(release(tx, other.number, now)?);
            forget(tx, &other, now)?;
        }
    }
    Ok(recovered)
}

/// Returns when a daemon that shares the store would be gone if it gave no further sign of life; `None` if there is none. On a
/// server they see to it that one that is silent is looked at, so that nobody looks at those that are not.
pub(super) fn next_gone(
    tx: &Transaction<'_>,
    survivor: Survivor,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let others = others(tx, survivor.number)?.into_iter();
    let silent =
        others.filter(|other| !tx.is_far() || backoff::after(other.seen_at, INTERRUPTED_AFTER) <= now);
    Ok(silent.map(|other| lease::gone_at(other.seen_at, survivor.able_since)).min())
}

/// Looks whether the store has gone back to an earlier state since it was swept last, and if so sweeps it: every run that is due
/// may have been sent since, up to [`STARTS_LOST_MAX`] times for each failover, and no daemon holds anything after that. Returns
/// how often it has gone back.
pub(super) fn sweep(tx: &Tx<'_>, daemon: DaemonNumber, now: Timestamp) -> Result<i64, StoreError> {
    let timeline: i64 = tx.query_value("SELECT timeline FROM installation", ())?;
    let swept: i64 = tx.query_value("SELECT coalesce(max(timeline), 0) FROM failovers", ())?;
    if timeline == swept {
        return Ok(timeline);
    }
    for gone in others(tx, daemon)? {
        release(tx, gone.number, now)?;
        forget(tx, &gone, now)?;
    }
    look_for_all(tx, i64::from(STARTS_LOST_MAX) * (timeline - swept), now)?;
    Failovers::record(tx, swept, timeline, now)?;
    Ok(timeline)
}

/// Makes unconfirmed every run that is due and has not begun as far as is known: each may have been started under its present
/// number and as many further ones.
pub(super) fn look_for_all(tx: &Transaction<'_>, ahead: i64, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE runs SET phase = 'unconfirmed', starts_ahead = starts_ahead + start_number - 1 + ?2, start_number = 1, \
               sent_at = ?1, act_at = max(due_at, ?1), held_by = NULL, claim = claim + 1, reason_code = ?4, reason = ?5 \
               WHERE phase <> 'ended' AND phase <> 'running' AND due_at <= ?3";
    let code = ReasonCode::StartUnconfirmed.as_str();
    tx.execute(sql, (millis(now), ahead, millis(concerned_until(now)), code, WENT_BACK))?;
    Ok(())
}

/// A daemon that may hold something.
struct Other {
    number: DaemonNumber,
    seen_at: Timestamp,
}

/// Returns the other daemons that may hold something.
fn others(tx: &Transaction<'_>, daemon: DaemonNumber) -> Result<Vec<Other>, StoreError> {
    tx.query(OTHERS, [daemon.0], |row| {
        Ok(Other { number: DaemonNumber(row.get("number")?), seen_at: time(row, "seen_at")? })
    })
}

pub(super) const OTHERS: &str =
    "SELECT number, seen_at FROM daemons WHERE recovered_at IS NULL AND number <> ?1";

/// Takes note that a daemon holds nothing any more.
fn forget(tx: &Transaction<'_>, daemon: &Other, now: Timestamp) -> Result<(), StoreError> {
    tx.execute("UPDATE daemons SET recovered_at = ?2 WHERE number = ?1", (daemon.number.0, millis(now)))?;
    ends(tx, daemon.number, daemon.seen_at)
}

/// Ends what a daemon has said about itself that speaks no more after `at`.
fn ends(tx: &Transaction<'_>, daemon: DaemonNumber, at: Timestamp) -> Result<(), StoreError> {
    outages::end_of(tx, daemon, at)?;
    tx.execute("DELETE FROM notices WHERE daemon = ?1", [daemon.0])?;
    Ok(())
}

/// Ends every claim of a daemon.
fn release(tx: &Tx<'_>, daemon: DaemonNumber, now: Timestamp) -> Result<Recovered, StoreError> {
    let (by, now_millis) = (daemon.0, millis(now));
    let runs = release_runs(tx, daemon, "phase <> 'ended'", now)?;
    tx.execute(
        "INSERT INTO attempts (delivery, attempt, started_at, ended_at, detail) \
         SELECT seq, attempts, sending_since, ?2, 'cut off: the daemon stopped during this attempt' \
         FROM deliveries WHERE status = 'sending' AND held_by = ?1",
        [by, now_millis],
    )?;
    let deliveries = tx.execute(
        "UPDATE deliveries SET status = 'pending', due_at = ?2, sending_since = NULL, held_by = NULL \
         WHERE status = 'sending' AND held_by = ?1",
        [by, now_millis],
    )?;
    if deliveries > 0 {
        suspended::end_all_waiting(tx, now)?;
    }
    tx.execute("UPDATE thread_deletions SET held_by = NULL WHERE held_by = ?1", [by])?;
    Ok(Recovered { runs, deliveries })
}

/// Ends the claims of a daemon on those of its runs that meet a condition, and returns how many that are. All of them are due.
fn release_runs(
    tx: &Tx<'_>,
    daemon: DaemonNumber,
    condition: &str,
    now: Timestamp,
) -> Result<usize, StoreError> {
    // `RunChange::Unconfirm` of every run that is being sent, written past `RunState::apply`: from `sending` the change is
    // always legal and touches nothing but the phase, so one statement does for all rows what would otherwise load, check and
    // save each of them before the daemon can start.
    let sql = format!(
        "UPDATE runs SET phase = iif(phase = 'sending', 'unconfirmed', phase), act_at = ?2, held_by = NULL, \
         recovered_at = iif(phase = 'pending', recovered_at, ?2) WHERE {condition} AND held_by = ?1"
    );
    tx.execute(&sql, [daemon.0, millis(now)])
}

#[cfg(test)]
mod tests;
