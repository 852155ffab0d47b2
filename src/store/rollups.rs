//! Roll-ups: what has ended, counted by cron and by hour and day, in the transaction that ends or records it. They outlive the
//! rows of the runs.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::ended::Ended;
use super::rows::{millis, parsed, parsed_option, time};
use super::sql::{Params, Row, Transaction};
use super::{Store, StoreError};
use crate::domain::bounds::{TALLIED_BY_HOUR_FOR, TALLIES_PER_COMMIT};
use crate::domain::ids::{CronId, DaemonNumber, FIRST_RUN};
use crate::domain::reason::ReasonCode;
use crate::domain::run::Status;
use crate::domain::tally::{TallyUnit, TookBucket};

/// The class of what did not run, or of which is not known how long it took.
pub(super) const NOT_KNOWN: TookBucket = TookBucket(-1);

/// The number under which is counted what no daemon counts as it ends: corrections, and what a command ends while none runs. That
/// is rare, so several may meet there.
pub(super) const CORRECTIONS: DaemonNumber = DaemonNumber(0);

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    hour: i64,
    cron_id: Option<CronId>,
    end: End,
    took: TookBucket,
}

/// How an occurrence ended.
type End = (Status, Option<ReasonCode>);

/// Counts may be negative, because corrections are rows of their own.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    runs: i64,
    occurrences: i64,
    late: i64,
}

/// Adds what has ended in this transaction.
pub(super) fn add<'e>(
    tx: &Transaction<'_>,
    daemon: DaemonNumber,
    ended: impl Iterator<Item = &'e Ended>,
) -> Result<(), StoreError> {
    let mut all: BTreeMap<Key, Counts> = BTreeMap::new();
    for ended in ended {
        let took = ended.took.map_or(NOT_KNOWN, TookBucket::of);
        let took_place = ended.status.took_place();
        let mut end = (ended.status, ended.recorded_code);
        // A retry that never took place leaves its occurrence as the run before it has ended.
        if let (false, true, Some(cron_id)) = (took_place, ended.retry > FIRST_RUN, ended.cron_id)
            && let Some(last) = last_end(tx, cron_id, ended.scheduled_for)?
        {
            end = (last.status, last.code);
        }
        let key = Key { hour: TallyUnit::Hour.number(ended.at), cron_id: ended.cron_id, end, took };
        let counts = all.entry(key).or_default();
        counts.runs += i64::from(ended.ran);
        counts.occurrences += if ended.retried { 0 } else { signed(ended.occurrences) };
        counts.late += i64::from(ended.late);
    }
    write(tx, daemon, &all)
}

fn write(tx: &Transaction<'_>, daemon: DaemonNumber, all: &BTreeMap<Key, Counts>) -> Result<(), StoreError> {
    for (unit, sql) in [(TallyUnit::Hour, ADD_TO_HOUR), (TallyUnit::Day, ADD_TO_DAY)] {
        for (key, counts) in all {
            let number = unit.number(TallyUnit::Hour.begin(key.hour));
            let cron_id = key.cron_id.map(|cron_id| cron_id.to_string()).unwrap_or_default();
            let (status, code) = (key.end.0.as_str(), key.end.1.map_or("", ReasonCode::as_str));
            let Counts { runs, occurrences, late } = *counts;
            tx.gather(
                format_args!("{number} {cron_id} {status} {code} {}", key.took.0),
                sql,
                (number, &cron_id, status, code, key.took.0, daemon.0, runs, occurrences, late),
            )?;
        }
    }
    Ok(())
}

macro_rules! add_to {
    ($table:literal, $unit:literal) => {
        concat!(
            "INSERT INTO ",
            $table,
            " AS kept (",
            $unit,
            ", cron_id, status, reason_code, took, daemon, runs, occurrences, late) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (",
            $unit,
            ", cron_id, status, reason_code, took, daemon) DO UPDATE SET runs = kept.runs + excluded.runs, \
             occurrences = kept.occurrences + excluded.occurrences, late = kept.late + excluded.late"
        )
    };
}

const ADD_TO_HOUR: &str = add_to!("cron_hours", "hour");
const ADD_TO_DAY: &str = add_to!("cron_days", "day");

/// Takes occurrences of a record back: they are decided about again, or end once more by a run that somebody asks for.
pub(super) fn take_back(tx: &Transaction<'_>, record: &Record, occurrences: i64) -> Result<(), StoreError> {
    correct(tx, record, (record.status, record.code), -occurrences)
}

/// Counts what has ended without a daemon.
pub(super) fn count(tx: &Transaction<'_>, record: &Record) -> Result<(), StoreError> {
    correct(tx, record, (record.status, record.code), record.occurrences)
}

/// Counts the occurrences of a record under another reason.
pub(super) fn restate(tx: &Transaction<'_>, record: &Record, code: ReasonCode) -> Result<(), StoreError> {
    take_back(tx, record, record.occurrences)?;
    correct(tx, record, (record.status, Some(code)), record.occurrences)
}

fn correct(tx: &Transaction<'_>, record: &Record, end: End, occurrences: i64) -> Result<(), StoreError> {
    let hour = TallyUnit::Hour.number(record.ended_at);
    let key = Key { hour, cron_id: record.cron_id, end, took: NOT_KNOWN };
    let counts = Counts { occurrences, ..Counts::default() };
    write(tx, CORRECTIONS, &BTreeMap::from([(key, counts)]))
}

/// What was counted of a run that has ended, or of a record of occurrences.
pub(super) struct Record {
    cron_id: Option<CronId>,
    status: Status,
    code: Option<ReasonCode>,
    ended_at: Timestamp,
    pub(super) occurrences: i64,
}

impl Record {
    pub(super) const COLUMNS: &str = "cron_id, status, reason_code, ended_at, occurrences";

    pub(super) fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            cron_id: parsed_option(row, "cron_id")?,
            status: parsed(row, "status")?,
            code: parsed_option(row, "reason_code")?,
            ended_at: time(row, "ended_at")?,
            occurrences: row.get("occurrences")?,
        })
    }

    /// Reads those that fulfil a condition, of which all have ended.
    pub(super) fn all(
        tx: &Transaction<'_>,
        condition: &str,
        params: impl Params,
    ) -> Result<Vec<Self>, StoreError> {
        let sql = format!("SELECT {} FROM runs {condition}", Self::COLUMNS);
        tx.query(&sql, params, Self::from_row)
    }
}

/// Returns how an occurrence ended: by the last of its runs that took place, or else by the first.
pub(super) fn last_end(
    tx: &Transaction<'_>,
    cron_id: CronId,
    scheduled_for: Timestamp,
) -> Result<Option<Record>, StoreError> {
    let condition = "WHERE cron_id = ?1 AND scheduled_for = ?2 AND phase = 'ended' ORDER BY retry DESC";
    let runs = Record::all(tx, condition, (cron_id.to_string(), millis(scheduled_for)))?;
    let last = runs.iter().position(|run| run.status.took_place()).unwrap_or(runs.len().saturating_sub(1));
    Ok(runs.into_iter().nth(last))
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Store {
    /// Deletes all counts of a cron, which are kept for good otherwise.
    pub(super) async fn forget_counts(&self, cron_id: CronId) -> Result<(), StoreError> {
        for table in [("cron_hours", "hour"), ("cron_days", "day")] {
            let mut after = Some(i64::MIN);
            while let Some(from) = after {
                after = self.write(move |tx| forget_units(tx, table, cron_id, from)).await?;
            }
        }
        Ok(())
    }

    /// Deletes the counts of hours that are kept by day only by now.
    pub(super) async fn forget_hours(&self, now: Timestamp) -> Result<(), StoreError> {
        let kept =
            now.saturating_sub(jiff::SignedDuration::try_from(TALLIED_BY_HOUR_FOR).unwrap_or_default());
        let first_kept = TallyUnit::Hour.number(kept.unwrap_or(now));
        loop {
            if !self.write(move |tx| forget_some(tx, first_kept)).await? {
                return Ok(());
            }
        }
    }
}

/// Deletes what one cron has in some of the hours or days after `after`, each of which is looked up by itself. Returns the last of
/// them, or `None` if there are no more.
fn forget_units(
    tx: &Transaction<'_>,
    (table, unit): (&str, &str),
    cron_id: CronId,
    after: i64,
) -> Result<Option<i64>, StoreError> {
    let next = format!("SELECT {unit} FROM {table} WHERE {unit} > ?1 ORDER BY {unit} LIMIT 1");
    let delete = format!("DELETE FROM {table} WHERE {unit} = ?1 AND cron_id = ?2");
    let mut last = after;
    for _ in 0..TALLIES_PER_COMMIT {
        let Some(number) = tx.query_opt(&next, [last], |row| row.get(0))? else { return Ok(None) };
        tx.put(&delete, (number, cron_id.to_string()))?;
        last = number;
    }
    Ok(Some(last))
}

/// Deletes as many of the oldest rows as one commit should, and returns whether there may be more.
fn forget_some(tx: &Transaction<'_>, first_kept: i64) -> Result<bool, StoreError> {
    let oldest =
        tx.query_opt("SELECT hour FROM cron_hours ORDER BY hour LIMIT 1", (), |row| row.get::<i64>(0))?;
    let Some(oldest) = oldest.filter(|oldest| *oldest < first_kept) else { return Ok(false) };
    let limit = i64::try_from(TALLIES_PER_COMMIT).unwrap_or(i64::MAX);
    let sql = "DELETE FROM cron_hours WHERE hour = ?1 AND cron_id <= (SELECT max(cron_id) FROM \
               (SELECT cron_id FROM cron_hours WHERE hour = ?1 ORDER BY cron_id LIMIT ?2) AS few)";
    tx.put(sql, (oldest, limit))?;
    Ok(true)
}
