//! One run with everything that is stored about it.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::acts::acts_of_run;
use super::{DeliveryRow, Reader, RunRow, deliveries, row_columns, run_row};
use crate::domain::act::Act;
use crate::domain::delivery::Phases;
use crate::domain::ids::{DeliveryId, RunId};
use crate::domain::outage::{Away, Outage};
use crate::domain::reason::RunEventKind;
use crate::domain::run::{Run, RunState};
use crate::store::StoreError;
use crate::store::outages::lasting_since;
use crate::store::rows::{json_option, millis, parsed, time, time_option};
use crate::store::sql::{Row, Transaction};

/// A run with its timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct RunDetails {
    pub row: RunRow,
    /// What its graph returned, or `None` if that is not kept.
    pub values: Option<Value>,
    /// The questions at which its graph stopped, or `None` if there are none.
    pub interrupts: Option<Value>,
    /// All runs of its occurrence, this one included, the first one first; empty for a client's run.
    pub runs_of_occurrence: Vec<RunRow>,
    /// The timeline, in order.
    pub events: Vec<EventRow>,
    /// The outages of the agent server, the disk and the daemon in the meantime, the latest first.
    pub outages: Vec<Outage>,
    pub deliveries: Vec<DeliveryDetails>,
    /// The latest acts of it and of the other runs of its occurrence, the latest first.
    pub acts: Vec<Act>,
}

/// A line in the timeline of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    pub at: Timestamp,
    pub event: RunEventKind,
    pub detail: Option<String>,
}

/// A delivery with its attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryDetails {
    pub delivery: DeliveryRow,
    /// The attempts, in order.
    pub attempts: Vec<AttemptRow>,
}

/// One attempt of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// Counted from 1.
    pub attempt: u32,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// The HTTP status, if the receiver responded.
    pub code: Option<u16>,
    /// What went wrong.
    pub detail: Option<String>,
    /// The address and port that it was sent to.
    pub address: Option<String>,
    pub phases: Phases,
    /// The beginning of a response that did not accept it.
    pub answer: Option<String>,
}

impl Reader {
    /// Returns at most `limit` runs whose id begins with `prefix`.
    pub fn runs_with_prefix(&self, prefix: &str, limit: u32) -> Result<Vec<RunId>, StoreError> {
        // Ids are lower-case hexadecimal digits and dashes, so `g` sorts after all that begin with the
        // prefix.
        let prefix = prefix.to_ascii_lowercase();
        let beyond = format!("{prefix}g");
        self.at_one_moment(|tx| {
            tx.query(
                "SELECT run_id FROM runs WHERE run_id >= ?1 AND run_id < ?2 ORDER BY run_id LIMIT ?3",
                (&prefix, &beyond, limit),
                |row| parsed(row, "run_id"),
            )
        })
    }

    /// Returns everything about one run, or `None` if there is none.
    pub fn run_details(&self, run_id: RunId) -> Result<Option<RunDetails>, StoreError> {
        self.details_with(run_id, "outcome_values")
    }

    /// Returns the same without what its graph returned, which may be large.
    pub fn run_details_without_values(&self, run_id: RunId) -> Result<Option<RunDetails>, StoreError> {
        self.details_with(run_id, "NULL")
    }

    fn details_with(&self, run_id: RunId, values: &str) -> Result<Option<RunDetails>, StoreError> {
        self.at_one_moment(|tx| {
            let sql = format!(
                "SELECT {}, {values} AS kept, outcome_interrupts AS asked FROM runs WHERE run_id = ?1",
                row_columns()
            );
            tx.query_opt(&sql, [run_id.to_string()], |row| {
                let details = deliveries(tx, run_id)?.into_iter().map(|delivery| {
                    let attempts = attempts(tx, delivery.delivery_id)?;
                    Ok(DeliveryDetails { delivery, attempts })
                });
                let row_of_run = run_row(tx, row)?;
                let runs_of_occurrence = runs_of_occurrence(tx, &row_of_run)?;
                Ok(RunDetails {
                    acts: acts_of_run(tx, &row_of_run, &runs_of_occurrence)?,
                    runs_of_occurrence,
                    outages: outages_meanwhile(tx, &row_of_run.run)?,
                    row: row_of_run,
                    values: json_option(row, "kept")?,
                    interrupts: json_option(row, "asked")?,
                    events: events(tx, run_id)?,
                    deliveries: details.collect::<Result<_, StoreError>>()?,
                })
            })
        })
    }
}

fn outages_meanwhile(tx: &Transaction<'_>, run: &Run) -> Result<Vec<Outage>, StoreError> {
    let ended_at = match &run.state {
        RunState::Ended { outcome, .. } => Some(outcome.learnt_at),
        RunState::Pending { .. }
        | RunState::Sending { .. }
        | RunState::Unconfirmed { .. }
        | RunState::Running(_) => None,
    };
    let mut outages = lasting_since(tx, run.scheduled_for)?;
    outages.retain(|outage| outage.what != Away::Receiver && ended_at.is_none_or(|at| outage.since <= at));
    Ok(outages)
}

fn runs_of_occurrence(tx: &Transaction<'_>, of: &RunRow) -> Result<Vec<RunRow>, StoreError> {
    let Some(cron_id) = of.run.cron_id() else { return Ok(Vec::new()) };
    tx.query(&of_occurrence(), (cron_id.to_string(), millis(of.run.scheduled_for)), |row| run_row(tx, row))
}

pub(super) fn of_occurrence() -> String {
    format!("SELECT {} FROM runs WHERE cron_id = ?1 AND scheduled_for = ?2 ORDER BY retry", row_columns())
}

pub(super) const EVENTS: &str = "SELECT at, event, detail FROM run_events WHERE run_id = ?1 ORDER BY at, seq";

fn events(tx: &Transaction<'_>, run_id: RunId) -> Result<Vec<EventRow>, StoreError> {
    tx.query(EVENTS, [run_id.to_string()], |row| {
        Ok(EventRow { at: time(row, "at")?, event: parsed(row, "event")?, detail: row.get("detail")? })
    })
}

pub(super) const ATTEMPTS: &str = "SELECT attempt, started_at, attempts.ended_at AS ended_at, code, detail, address, \
     answer, lookup_ms, connect_ms, tls_ms, head_ms FROM deliveries JOIN attempts ON delivery = seq WHERE delivery_id = ?1 \
     UNION ALL SELECT attempts, sending_since, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM deliveries \
     WHERE delivery_id = ?1 AND sending_since IS NOT NULL ORDER BY attempt";

pub(super) fn attempts(tx: &Transaction<'_>, delivery_id: DeliveryId) -> Result<Vec<AttemptRow>, StoreError> {
    tx.query(ATTEMPTS, [delivery_id.to_string()], |row| {
        Ok(AttemptRow {
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
        })
    })
}

fn milliseconds(row: &Row<'_>, column: &'static str) -> Result<Option<Duration>, StoreError> {
    let count: Option<i64> = row.get(column)?;
    Ok(count.map(|count| Duration::from_millis(u64::try_from(count).unwrap_or(0))))
}
