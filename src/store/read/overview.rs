//! The state of the whole: whether a daemon is running, and what it has been doing.

use std::collections::BTreeMap;
use std::fs::TryLockError;
use std::path::Path;

use jiff::Timestamp;

use super::Reader;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::outage::Outage;
use crate::domain::reason::ReasonCode;
use crate::domain::run::{Phase, Status};
use crate::store::lock::{LifeSigns, open_lock};
use crate::store::outages::{lasting_between, lasting_since};
use crate::store::rows::{millis, parsed, time};
use crate::store::sql::{Params, Transaction};
use crate::store::{NoticeKind, StoreError};

/// Whether a daemon has locked the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DaemonState {
    Running {
        /// `None` if it could not be read.
        pid: Option<u32>,
    },
    /// It has the lock, and nothing fires yet.
    Starting {
        pid: Option<u32>,
        /// Since when it waits for the disk, if it does.
        disk_since: Option<Timestamp>,
    },
    Stopped,
    /// This user cannot test the lock, for this reason.
    Unknown(String),
}

/// Counts of a range of time, without zeroes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// The occurrences that ended, by status. A record of many missed occurrences counts as many, and one that is to be
    /// retried has not ended.
    pub ended: Vec<(Status, u64)>,
    /// Runs that have not ended, of any age.
    pub in_progress: Vec<(Phase, u64)>,
    /// Deliveries that were made in that range.
    pub deliveries: Vec<(DeliveryStatus, u64)>,
    /// Deliveries that wait for an attempt, of any age.
    pub deliveries_waiting: u64,
    pub denied: Denied,
}

/// What the agent server refuses us now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Denied {
    /// Runs that cannot be followed.
    pub runs: u64,
    /// Threads that cannot be deleted.
    pub threads: u64,
}

/// Tests the daemon's lock of the database at `path`.
///
/// If no daemon holds the lock, the test does for a moment. It holds the lock shared, so that two tests at
/// the same time do not take each other for a daemon.
pub fn daemon_state(path: &Path) -> DaemonState {
    let file = match open_lock(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return DaemonState::Stopped,
        Err(error) => return DaemonState::Unknown(error.to_string()),
    };
    match file.try_lock_shared() {
        Ok(()) => DaemonState::Stopped,
        Err(TryLockError::WouldBlock) => {
            let LifeSigns { pid, started_at, disk_since, .. } = LifeSigns::read(&file).unwrap_or_default();
            match started_at {
                None if pid.is_some() => DaemonState::Starting { pid, disk_since },
                _ => DaemonState::Running { pid },
            }
        }
        Err(TryLockError::Error(error)) => DaemonState::Unknown(error.to_string()),
    }
}

/// A notice of the daemon about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub kind: NoticeKind,
    pub at: Timestamp,
    /// A human-readable sentence.
    pub detail: String,
    /// How many mistakes or events it lists.
    pub count: u64,
    /// The machine of the daemon that it is about, if there may be several; the sentence begins with it.
    pub host: Option<String>,
}

/// Counts occurrences by the last of their runs that took place: everything that has ended, without the runs that a later one
/// of the same occurrence replaces, and without further ones that did not take place. All of it is in indexes, because most
/// of a day's runs are usual.
pub(super) const ENDED: &str = "SELECT word, sum(number) AS number FROM ( \
     SELECT 'success' AS word, count(*) AS number FROM runs INDEXED BY runs_succeeded \
     WHERE status = 'success' AND ended_at >= ?1 \
     UNION ALL SELECT status, sum(occurrences) FROM runs INDEXED BY runs_unsuccessful WHERE status <> 'success' \
     AND status IN ('error', 'timeout', 'interrupted', 'cancelled', 'skipped', 'missed') AND ended_at >= ?1 GROUP BY status \
     UNION ALL SELECT status, -sum(occurrences) FROM runs WHERE seq IN ( \
     SELECT earlier.seq FROM runs AS later INDEXED BY runs_again CROSS JOIN runs AS earlier \
     ON earlier.cron_id = later.cron_id AND earlier.scheduled_for = later.scheduled_for AND earlier.retry < later.retry \
     WHERE later.retry > 0 AND coalesce(later.ended_at, 9223372036854775807) >= ?1 \
     AND coalesce(later.status, '') NOT IN ('skipped', 'missed') \
     UNION SELECT seq FROM runs INDEXED BY runs_again \
     WHERE retry > 0 AND coalesce(ended_at, 9223372036854775807) >= ?1 AND status IN ('skipped', 'missed')) \
     AND ended_at >= ?1 GROUP BY status) AS parts GROUP BY word";

/// Counts those that were delivered as all but the others, which are few.
pub(super) const DELIVERIES: &str = "WITH others AS ( \
     SELECT status, count(*) AS number FROM deliveries INDEXED BY deliveries_not_delivered \
     WHERE status <> 'delivered' AND status <> 'sending' AND status <> 'pending' \
     AND status IN ('failed', 'gone', 'aborted', 'blocked', 'suppressed') AND created_at >= ?1 GROUP BY status \
     UNION ALL SELECT status, count(*) FROM deliveries INDEXED BY deliveries_sending \
     WHERE status = 'sending' AND created_at >= ?1 GROUP BY status \
     UNION ALL SELECT status, count(*) FROM deliveries INDEXED BY deliveries_due \
     WHERE due_at IS NOT NULL AND created_at >= ?1 GROUP BY status) \
     SELECT status AS word, number FROM others UNION ALL SELECT 'delivered', \
     (SELECT count(*) FROM deliveries INDEXED BY deliveries_by_time WHERE created_at >= ?1) \
     - (SELECT coalesce(sum(number), 0) FROM others)";

/// What retention has deleted since, by status: `?1` is what it is, and `?2` when the time begins.
const DELETED_LATELY: &str = "SELECT status AS word, sum(number) AS number FROM deleted_lately \
     WHERE what = ?1 AND minute >= (?2 + 59999) / 60000 GROUP BY status";

const IN_PROGRESS: &str =
    "SELECT phase AS word, count(*) AS number FROM runs WHERE phase <> 'ended' GROUP BY phase";

const DENIED: &str = "SELECT count(*) FROM runs INDEXED BY runs_in_progress WHERE phase <> 'ended' \
     AND phase IN ('unconfirmed', 'running') AND reason_code = ?1";

impl Reader {
    /// Returns the last notice of each kind; where several daemons share the store, that of each that is alive.
    pub fn notices(&self) -> Result<Vec<Notice>, StoreError> {
        self.at_one_moment(|tx| {
            let sql = "SELECT kind, at, detail, count, host FROM notices LEFT JOIN daemons ON daemons.number = notices.daemon \
                       WHERE notices.daemon = 0 OR (recovered_at IS NULL AND stopped_at IS NULL) ORDER BY kind, notices.daemon";
            tx.query(sql, (), |row| {
                let (detail, host): (String, Option<String>) = (row.get("detail")?, row.get("host")?);
                Ok(Notice {
                    kind: parsed(row, "kind")?,
                    at: time(row, "at")?,
                    detail: host.as_ref().map_or(detail.clone(), |host| format!("on {host}: {detail}")),
                    count: row.count("count")?,
                    host,
                })
            })
        })
    }

    /// Returns the sections of the last good configuration that are known, with their text.
    pub fn last_good_sections(&self) -> Result<Vec<(String, String)>, StoreError> {
        self.at_one_moment(|tx| {
            tx.query("SELECT section, body FROM last_good_sections", (), |row| Ok((row.get(0)?, row.get(1)?)))
        })
    }

    /// Returns the outages that had not ended before `since`, the latest first.
    pub fn outages(&self, since: Timestamp) -> Result<Vec<Outage>, StoreError> {
        self.at_one_moment(|tx| lasting_since(tx, since))
    }

    /// Returns at most `limit` of the outages that began before `until` and had not ended before `since`, the latest first.
    pub fn outages_between(
        &self,
        (since, until): (Timestamp, Timestamp),
        limit: u32,
    ) -> Result<Vec<Outage>, StoreError> {
        self.at_one_moment(|tx| lasting_between(tx, (since, until), limit))
    }

    /// Counts what happened at `since` or later.
    pub fn overview(&self, since: Timestamp) -> Result<Overview, StoreError> {
        self.at_one_moment(|tx| {
            Ok(Overview {
                ended: with_deleted(tx, counts(tx, ENDED, [millis(since)])?, "occurrence", since)?,
                in_progress: counts(tx, IN_PROGRESS, ())?,
                deliveries: with_deleted(tx, counts(tx, DELIVERIES, [millis(since)])?, "webhook", since)?,
                deliveries_waiting: tx
                    .query_count("SELECT count(*) FROM deliveries WHERE due_at IS NOT NULL", ())?,
                denied: Denied {
                    runs: tx.query_count(DENIED, [ReasonCode::BackendDenied.as_str()])?,
                    threads: tx.query_count("SELECT count(*) FROM thread_deletions WHERE denied = 1", ())?,
                },
            })
        })
    }
}

/// Adds what was deleted since.
fn with_deleted<Word>(
    tx: &Transaction<'_>,
    counted: Vec<(Word, u64)>,
    what: &str,
    since: Timestamp,
) -> Result<Vec<(Word, u64)>, StoreError>
where
    Word: std::str::FromStr + Ord,
    Word::Err: std::fmt::Display,
{
    let mut all: BTreeMap<Word, u64> = counted.into_iter().collect();
    for (word, number) in counts(tx, DELETED_LATELY, (what, millis(since)))? {
        *all.entry(word).or_default() += number;
    }
    Ok(all.into_iter().collect())
}

fn counts<Word>(tx: &Transaction<'_>, sql: &str, values: impl Params) -> Result<Vec<(Word, u64)>, StoreError>
where
    Word: std::str::FromStr + Ord,
    Word::Err: std::fmt::Display,
{
    let mut counts = tx.query(sql, values, |row| Ok((parsed(row, "word")?, row.count("number")?)))?;
    counts.retain(|(_, number)| *number > 0);
    counts.sort();
    Ok(counts)
}
