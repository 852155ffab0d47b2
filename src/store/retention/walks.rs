//! Walks through the history, from the oldest record on. Each takes one index that exists for other reasons, so that no
//! write gets slower, and passes each record once: how far it has come is remembered by its caller.

use std::time::Duration;

use jiff::Timestamp;

use super::policies::Policies;
use super::records::{COLUMNS, Record, Verdict, verdict};
use super::walk::Walk;
use crate::domain::bounds::EXPIRED_PER_READ;
use crate::domain::ids::CronId;
use crate::domain::run::Status;
use crate::store::StoreError;
use crate::store::rows::millis;
use crate::store::sql::Transaction;

/// How far a walk has come: beyond a record of this time, in the order of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    at: i64,
    occurrences: i64,
    seq: i64,
}

impl Default for Position {
    fn default() -> Self {
        Self { at: i64::MIN, occurrences: i64::MIN, seq: i64::MIN }
    }
}

/// What one step has found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) rows: Vec<i64>,
    pub(super) waiting: Vec<i64>,
    pub(super) position: Option<Position>,
}

impl Found {
    fn add(&mut self, record: &Record, Verdict { goes, waits }: Verdict) {
        self.rows.extend(goes.then_some(record.seq));
        self.waiting.extend((waits && !goes).then_some(record.seq));
    }
}

/// Takes the next step of a walk.
pub(super) fn find(
    tx: &Transaction<'_>,
    policies: &Policies,
    walk: Walk,
    from: Position,
    now: Timestamp,
) -> Result<Found, StoreError> {
    let records = match walk {
        Walk::Runs { status, keep } | Walk::Values { status, keep } => by_age(tx, status, keep, from, now)?,
        Walk::Most(cron_id, most) => beyond_most(tx, cron_id, most, from)?,
    };
    let mut found = Found::default();
    let mut position = from;
    for record in &records {
        found.add(record, verdict(tx, policies, walk, record, now)?);
        position = match walk {
            Walk::Runs { .. } | Walk::Values { .. } => {
                Position { at: record.ended_at, occurrences: record.occurrences, seq: record.seq }
            }
            Walk::Most(..) => {
                Position { at: record.scheduled_for, occurrences: record.retry, seq: record.seq }
            }
        };
    }
    found.position = (records.len() == EXPIRED_PER_READ).then_some(position);
    Ok(found)
}

/// Looks at records again that had to wait.
pub(super) fn look_again(
    tx: &Transaction<'_>,
    policies: &Policies,
    walk: Walk,
    rows: &[i64],
    now: Timestamp,
) -> Result<Found, StoreError> {
    let mut found = Found::default();
    for seq in rows {
        if let Some(record) = Record::read(tx, *seq)? {
            found.add(&record, verdict(tx, policies, walk, &record, now)?);
        }
    }
    Ok(found)
}

/// Returns the statement that finds records with a status by the time of their end.
pub(super) fn by_age_sql(status: Status) -> String {
    let (lookup, order) = match status {
        // Not all indexes have the status: what is usual is in one that is as small as it can be.
        Status::Success => {
            ("runs INDEXED BY runs_succeeded WHERE status = 'success' AND ?5 = status", "ended_at, seq")
        }
        Status::Error
        | Status::Timeout
        | Status::Interrupted
        | Status::Cancelled
        | Status::Skipped
        | Status::Missed => (
            "runs INDEXED BY runs_unsuccessful WHERE status <> 'success' AND status = ?5",
            "ended_at, occurrences, seq",
        ),
    };
    format!(
        "SELECT {COLUMNS} FROM {lookup} AND ended_at >= ?1 AND (ended_at, occurrences, seq) > (?1, ?2, ?3) AND ended_at <= ?4 \
         ORDER BY {order} LIMIT ?6"
    )
}

fn by_age(
    tx: &Transaction<'_>,
    status: Status,
    keep: Duration,
    from: Position,
    now: Timestamp,
) -> Result<Vec<Record>, StoreError> {
    let ended_by = now.saturating_sub(keep).unwrap_or(Timestamp::MIN);
    let limit = i64::try_from(EXPIRED_PER_READ).unwrap_or(i64::MAX);
    let values = (from.at, from.occurrences, from.seq, millis(ended_by), status.as_str(), limit);
    tx.query(&by_age_sql(status), values, Record::from_row)
}

/// The newest record that goes because there are newer ones enough.
pub(super) const NEWEST_KEPT: &str = "SELECT scheduled_for FROM runs WHERE cron_id = ?1 AND phase = 'ended' \
     ORDER BY scheduled_for DESC, retry DESC LIMIT 1 OFFSET ?2";

pub(super) fn beyond_most_sql() -> String {
    format!(
        "SELECT {COLUMNS} FROM runs WHERE cron_id = ?1 AND scheduled_for >= ?2 AND (scheduled_for, retry) > (?2, ?3) \
         AND scheduled_for < ?4 ORDER BY scheduled_for, retry LIMIT ?5"
    )
}

/// Returns the oldest records of a cron that has newer ones enough. Those of one occurrence are not torn apart.
fn beyond_most(
    tx: &Transaction<'_>,
    cron_id: CronId,
    most: u32,
    from: Position,
) -> Result<Vec<Record>, StoreError> {
    let cron_id = cron_id.to_string();
    let kept: Option<i64> =
        tx.query_opt(NEWEST_KEPT, (&cron_id, most.saturating_sub(1)), |row| row.get("scheduled_for"))?;
    let Some(oldest_kept) = kept else { return Ok(Vec::new()) };
    let limit = i64::try_from(EXPIRED_PER_READ).unwrap_or(i64::MAX);
    let values = (&cron_id, from.at, from.occurrences, oldest_kept, limit);
    tx.query(&beyond_most_sql(), values, Record::from_row)
}
