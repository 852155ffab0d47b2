//! Puts a backup in the place of the database. What happened since the backup was made is not known any more: it is recorded as
//! missed, or looked for on the agent server, and never simply done again.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::backup::{BackupProgress, back_up};
use super::daemons::former;
use super::lock::DaemonLock;
use super::recovery::look_for_all;
use super::rollups::{self, Record};
use super::rows::millis;
use super::sql::{Connection, Transaction};
use super::swap::{self, beside, real_path};
use super::{StoreError, failovers, open, outages};
use crate::domain::backoff;
use crate::domain::bounds::{ABSENCE_DOUBTED, CLOCK_DOUBTED_FOR};
use crate::domain::ids::InstallationId;
use crate::domain::outage::{Away, Outage};
use crate::domain::reason::{DeliveryReasonCode, ReasonCode};
use crate::domain::words::words;
use crate::store::failovers::STARTS_LOST_MAX;

words!(
    /// What becomes of what was due since the backup was made.
    RestoreAs {
        /// It is recorded as missed.
        Missed = "missed",
        /// It is decided by `catchup`, and looked for on the agent server before it is started.
        CatchUp = "catchup",
        /// Nothing goes on: the store gets an id of its own, and keeps the history of the other.
        New = "new",
    }
);

/// A backup that was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredStore {
    /// The last sign of life in the backup; `None` if it has never been a daemon's.
    pub backup_at: Option<Timestamp>,
    /// Where the database is now that was there before.
    pub moved_to: Option<PathBuf>,
    /// How many runs and webhooks were in progress when the backup was made.
    pub runs: usize,
    pub deliveries: usize,
}

/// Puts the backup in the place of the database at `path`, which is moved aside. `new` is the id that it gets with
/// [`RestoreAs::New`].
///
/// # Errors
/// [`StoreError::Taken`] if a daemon runs; [`StoreError::Unusable`] if the backup is damaged, of another program or of a newer
/// version. The database is in its place then, unchanged. If the last step fails, the next who opens the store goes on with it.
pub fn restore(
    backup: &Path,
    path: &Path,
    restore_as: RestoreAs,
    new: InstallationId,
    now: Timestamp,
    progress: &mut dyn FnMut(BackupProgress) -> Result<(), StoreError>,
) -> Result<RestoredStore, StoreError> {
    let _lock = DaemonLock::take(path)?;
    let path = &real_path(path);
    swap::go_on(path)?;
    if backup.canonicalize().is_ok_and(|backup| backup == *path) {
        let problem = "it is the database itself, not a backup".to_owned();
        return Err(StoreError::Unusable { path: path.clone(), problem });
    }
    let prepared = beside(path, ".restoring");
    swap::discard(&prepared);
    back_up(backup, &prepared, progress)?;
    let restored = prepare(&prepared, restore_as, new, now).and_then(|restored| {
        let moved_to = swap::swap(&prepared, path)?;
        Ok(RestoredStore { moved_to, ..restored })
    });
    if restored.is_err() {
        swap::discard(&prepared);
    }
    restored
}

/// Brings the copy to the present form, and commits in it what its restoration means.
fn prepare(
    prepared: &Path,
    restore_as: RestoreAs,
    new: InstallationId,
    now: Timestamp,
) -> Result<RestoredStore, StoreError> {
    let mut connection = Connection::Sqlite(open::open_to_write(prepared, new)?);
    let restored = (|| {
        let tx = Transaction::begin(&mut connection)?;
        let backup_at = former(&tx)?.map(|former| former.seen_at);
        let runs = tx.query_count("SELECT count(*) FROM runs WHERE phase <> 'ended'", ())?;
        let deliveries = tx.query_count("SELECT count(*) FROM deliveries WHERE ended_at IS NULL", ())?;
        // Nobody was down because of it: until now it is not known what the daemons did.
        let sql = "UPDATE daemons SET stopped_at = ?1, seen_at = max(seen_at, ?1) \
                   WHERE number = (SELECT max(number) FROM daemons)";
        tx.execute(sql, [millis(now)])?;
        if backup_at.is_some_and(|at| backoff::between(at, now) > ABSENCE_DOUBTED) {
            // As after a start that finds nobody for so long: it may be the clock that is wrong.
            let doubted = i64::try_from(CLOCK_DOUBTED_FOR.as_millis()).unwrap_or(i64::MAX);
            tx.execute("UPDATE retention SET doubted_for = ?1 WHERE one = 1", [doubted])?;
        }
        match (restore_as, backup_at) {
            (RestoreAs::New, _) => end_everything(&tx, new, now)?,
            (_, None) => {}
            (RestoreAs::Missed | RestoreAs::CatchUp, Some(backup_at)) => {
                go_on(&tx, restore_as, backup_at, now)?;
            }
        }
        tx.commit()?;
        let count = |count| usize::try_from(count).unwrap_or(usize::MAX);
        Ok(RestoredStore { backup_at, moved_to: None, runs: count(runs), deliveries: count(deliveries) })
    })();
    let closed = connection.batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE");
    let restored = restored.and_then(|restored| closed.map(|()| restored));
    restored.map_err(|error| open::in_words(prepared, error))
}

/// Records the time of which nothing is known. What waited to be sent may have been sent in it, so it is looked for.
fn go_on(
    tx: &Transaction<'_>,
    restore_as: RestoreAs,
    backup_at: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let why = format!("restored from a backup of {}", backup_at.strftime("%Y-%m-%dT%H:%M:%SZ"));
    outages::save(tx, &Outage::new(Away::Record, backup_at, Some(now.max(backup_at)), why))?;
    let timeline: i64 = tx.query_value("SELECT timeline + 1 FROM installation", ())?;
    tx.execute("UPDATE installation SET timeline = ?1", [timeline])?;
    let since = if restore_as == RestoreAs::CatchUp { backup_at } else { now };
    failovers::insert(tx, timeline, since, now)?;
    look_for_all(tx, i64::from(STARTS_LOST_MAX), now)?;
    if restore_as == RestoreAs::Missed {
        // If it is not found, it is not started any more.
        tx.execute(
            "UPDATE runs SET start_before = min(start_before, ?1 - 1) WHERE phase = 'unconfirmed'",
            [millis(now)],
        )?;
    }
    Ok(())
}

/// Ends what the other installation goes on with: its runs, its webhooks, its threads and the crons of its clients.
fn end_everything(tx: &Transaction<'_>, new: InstallationId, now: Timestamp) -> Result<(), StoreError> {
    let now = millis(now);
    tx.execute("UPDATE installation SET installation_id = ?1, timeline = timeline + 1", [new.to_string()])?;
    let until = Timestamp::from_millisecond(now).unwrap_or(Timestamp::MAX);
    failovers::insert(tx, tx.query_value("SELECT timeline FROM installation", ())?, until, until)?;
    tx.execute(
        "UPDATE runs SET phase = 'ended', act_at = NULL, held_by = NULL, status = 'cancelled', ended_at = ?1, learnt_at = ?1, \
         reason_code = ?2, reason = 'it goes on in the installation of which this is a copy' WHERE phase <> 'ended'",
        (now, ReasonCode::Restored.as_str()),
    )?;
    let ended = "WHERE phase = 'ended' AND ended_at = ?1 AND status = 'cancelled' AND reason_code = ?2";
    for record in Record::all(tx, ended, (now, ReasonCode::Restored.as_str()))? {
        rollups::count(tx, &record)?;
    }
    tx.execute(
        "UPDATE deliveries SET status = 'suppressed', due_at = NULL, sending_since = NULL, held_by = NULL, ended_at = ?1, \
         reason_code = ?2, reason = 'the installation of which this is a copy sends it' WHERE ended_at IS NULL",
        (now, DeliveryReasonCode::Discarded.as_str()),
    )?;
    tx.execute("DELETE FROM thread_deletions", ())?;
    tx.execute("DELETE FROM owed_webhooks", ())?;
    let removal =
        "UPDATE crons SET removed_at = coalesce(removed_at, ?1), next_at = NULL, former_definition_id = NULL";
    tx.execute(removal, [now])?;
    tx.execute("UPDATE inactive_spans SET until = ?1 WHERE until IS NULL", [now])?;
    tx.execute("DELETE FROM notices", ())?;
    Ok(())
}
