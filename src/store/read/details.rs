//! One run with everything that is known about it.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Row, Transaction};
use serde_json::Value;

use super::{DeliveryRow, Reader, RunRow, deliveries, row_columns, run_row};
use crate::domain::delivery::Phases;
use crate::domain::ids::{DeliveryId, RunId};
use crate::domain::reason::RunEventKind;
use crate::store::StoreError;
use crate::store::rows::{json_option, parsed, time, time_option};

/// A run with its timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct RunDetails {
    /// The run.
    pub row: RunRow,
    /// What its graph returned, as far as it is kept.
    pub values: Option<Value>,
    /// What happened to it beyond the usual, in order.
    pub events: Vec<EventRow>,
    /// Whom it tells about its end.
    pub deliveries: Vec<DeliveryDetails>,
}

/// A line in the timeline of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// When.
    pub at: Timestamp,
    pub event: RunEventKind,
    pub detail: Option<String>,
}

/// A delivery with its attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryDetails {
    /// The delivery.
    pub delivery: DeliveryRow,
    /// Its attempts, in order.
    pub attempts: Vec<AttemptRow>,
}

/// One HTTP try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// Counted from 1.
    pub attempt: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// The HTTP status, if there was an answer.
    pub code: Option<u16>,
    /// What went wrong.
    pub detail: Option<String>,
    /// The address and port it was sent to.
    pub address: Option<String>,
    /// What its time went into.
    pub phases: Phases,
    /// The beginning of an answer that did not accept it.
    pub answer: Option<String>,
}

impl Reader {
    /// Runs whose id begins with `prefix`, at most `limit`.
    pub fn runs_with_prefix(&self, prefix: &str, limit: u32) -> Result<Vec<RunId>, StoreError> {
        // Ids are lower-case hexadecimal digits and dashes, so `g` is beyond all that begin with the prefix.
        let prefix = prefix.to_ascii_lowercase();
        let beyond = format!("{prefix}g");
        self.at_one_moment(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT run_id FROM runs WHERE run_id >= ?1 AND run_id < ?2 ORDER BY run_id LIMIT ?3",
            )?;
            let mut rows = statement.query((&prefix, &beyond, limit))?;
            let mut runs = Vec::new();
            while let Some(row) = rows.next()? {
                runs.push(parsed(row, "run_id")?);
            }
            Ok(runs)
        })
    }

    /// Everything about one run; `None` if there is none.
    pub fn run_details(&self, run_id: RunId) -> Result<Option<RunDetails>, StoreError> {
        self.at_one_moment(|tx| {
            let sql = format!("SELECT {}, outcome_values AS kept FROM runs WHERE run_id = ?1", row_columns());
            let mut statement = tx.prepare_cached(&sql)?;
            let mut rows = statement.query([run_id.to_string()])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            let details = deliveries(tx, run_id)?.into_iter().map(|delivery| {
                let attempts = attempts(tx, delivery.delivery_id)?;
                Ok(DeliveryDetails { delivery, attempts })
            });
            Ok(Some(RunDetails {
                row: run_row(tx, row)?,
                values: json_option(row, "kept")?,
                events: events(tx, run_id)?,
                deliveries: details.collect::<Result<_, StoreError>>()?,
            }))
        })
    }
}

fn events(tx: &Transaction<'_>, run_id: RunId) -> Result<Vec<EventRow>, StoreError> {
    let mut statement =
        tx.prepare_cached("SELECT at, event, detail FROM run_events WHERE run_id = ?1 ORDER BY at, rowid")?;
    let mut rows = statement.query([run_id.to_string()])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(EventRow {
            at: time(row, "at")?,
            event: parsed(row, "event")?,
            detail: row.get("detail")?,
        });
    }
    Ok(events)
}

pub(super) fn attempts(tx: &Transaction<'_>, delivery_id: DeliveryId) -> Result<Vec<AttemptRow>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT attempt, started_at, ended_at, code, detail, address, answer, lookup_ms, connect_ms, tls_ms, head_ms \
         FROM attempts WHERE delivery_id = ?1 ORDER BY attempt",
    )?;
    let mut rows = statement.query([delivery_id.to_string()])?;
    let mut attempts = Vec::new();
    while let Some(row) = rows.next()? {
        attempts.push(AttemptRow {
            attempt: row.get("attempt")?,
            started_at: time(row, "started_at")?,
            ended_at: time_option(row, "ended_at")?,
            code: row.get("code")?,
            detail: row.get("detail")?,
            address: row.get("address")?,
            phases: Phases {
                lookup: milliseconds(row, "lookup_ms")?,
                connect: milliseconds(row, "connect_ms")?,
                tls: milliseconds(row, "tls_ms")?,
                head: milliseconds(row, "head_ms")?,
            },
            answer: row.get("answer")?,
        });
    }
    Ok(attempts)
}

fn milliseconds(row: &Row<'_>, column: &str) -> Result<Option<Duration>, StoreError> {
    let count: Option<i64> = row.get(column)?;
    Ok(count.map(|count| Duration::from_millis(u64::try_from(count).unwrap_or(0))))
}
