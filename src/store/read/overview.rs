//! The state of the whole: is there a daemon, and what has it been doing.

use std::fs::{File, TryLockError};
use std::io::Read;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::Transaction;

use super::{Reader, number};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::run::{Phase, Status};
use crate::store::lock::lock_path;
use crate::store::rows::{millis, parsed, time};
use crate::store::{NoticeKind, StoreError};

/// Whether a daemon has the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DaemonState {
    /// One has it.
    Running {
        /// Its process, if it could be read.
        pid: Option<u32>,
    },
    /// None has it.
    Stopped,
    /// The lock file says nothing to this user.
    Unknown(String),
}

/// Counts of one stretch of time, zeroes left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// Runs that are over, by how they ended; occurrences are counted, so that a record of many missed ones weighs
    /// what it stands for.
    pub ended: Vec<(Status, u64)>,
    /// Runs that are not over, however old.
    pub in_progress: Vec<(Phase, u64)>,
    /// Deliveries of runs in that time.
    pub deliveries: Vec<(DeliveryStatus, u64)>,
    /// Deliveries that wait for an attempt, however old.
    pub deliveries_waiting: u64,
}

/// Asks the daemon's lock of the database at `path`.
///
/// The lock is held for a moment if nobody has it; shared, so that two who ask do not take each other for a daemon.
pub fn daemon_state(path: &Path) -> DaemonState {
    let mut file = match File::open(lock_path(path)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return DaemonState::Stopped,
        Err(error) => return DaemonState::Unknown(error.to_string()),
    };
    match file.try_lock_shared() {
        Ok(()) => DaemonState::Stopped,
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let read = (&mut file).take(32).read_to_string(&mut pid);
            DaemonState::Running { pid: read.ok().and_then(|_| pid.trim().parse().ok()) }
        }
        Err(TryLockError::Error(error)) => DaemonState::Unknown(error.to_string()),
    }
}

/// What the daemon has to say of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it is about.
    pub kind: NoticeKind,
    /// Since when.
    pub at: Timestamp,
    /// In words.
    pub detail: String,
}

impl Reader {
    /// The last notice of each kind.
    pub fn notices(&self) -> Result<Vec<Notice>, StoreError> {
        self.at_one_moment(|tx| {
            let mut statement = tx.prepare_cached("SELECT kind, at, detail FROM notices ORDER BY kind")?;
            let mut rows = statement.query([])?;
            let mut notices = Vec::new();
            while let Some(row) = rows.next()? {
                let detail = row.get("detail")?;
                notices.push(Notice { kind: parsed(row, "kind")?, at: time(row, "at")?, detail });
            }
            Ok(notices)
        })
    }

    /// Counts since an instant.
    pub fn overview(&self, since: Timestamp) -> Result<Overview, StoreError> {
        self.at_one_moment(|tx| {
            Ok(Overview {
                ended: counts(
                    tx,
                    "SELECT status AS word, sum(occurrences) AS number FROM runs \
                     WHERE scheduled_for >= ?1 AND phase = 'ended' GROUP BY status",
                    since,
                )?,
                in_progress: counts(
                    tx,
                    "SELECT phase AS word, count(*) AS number FROM runs \
                     WHERE phase <> 'ended' AND ?1 IS NOT NULL GROUP BY phase",
                    since,
                )?,
                deliveries: counts(
                    tx,
                    "SELECT deliveries.status AS word, count(*) AS number FROM runs \
                     JOIN deliveries ON deliveries.run_id = runs.run_id \
                     WHERE scheduled_for >= ?1 GROUP BY deliveries.status",
                    since,
                )?,
                deliveries_waiting: waiting(tx)?,
            })
        })
    }
}

fn waiting(tx: &Transaction<'_>) -> Result<u64, StoreError> {
    let mut statement =
        tx.prepare_cached("SELECT count(*) AS number FROM deliveries WHERE due_at IS NOT NULL")?;
    let mut rows = statement.query([])?;
    rows.next()?.map_or(Ok(0), |row| number(row, "number"))
}

fn counts<Word>(tx: &Transaction<'_>, sql: &str, since: Timestamp) -> Result<Vec<(Word, u64)>, StoreError>
where
    Word: std::str::FromStr + Ord,
    Word::Err: std::fmt::Display,
{
    let mut statement = tx.prepare_cached(sql)?;
    let mut rows = statement.query([millis(since)])?;
    let mut counts = Vec::new();
    while let Some(row) = rows.next()? {
        counts.push((parsed(row, "word")?, number(row, "number")?));
    }
    counts.sort();
    Ok(counts)
}
