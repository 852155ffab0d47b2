//! Runs as drawings show them: when, how long and how they ended, without their texts. They are read by the index on cron and time,
//! so what a drawing costs does not depend on how long the history is.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::Reader;
use crate::domain::ids::{CronId, RunId};
use crate::domain::reason::ReasonCode;
use crate::domain::run::{Phase, Status};
use crate::store::StoreError;
use crate::store::rows::{millis, parsed, parsed_option, time, time_option};
use crate::store::sql::{Row, Transaction};

/// A run, or the record of occurrences that never ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunMark {
    pub run_id: RunId,
    pub scheduled_for: Timestamp,
    /// The last of its occurrences, if there are several.
    pub last_scheduled_for: Option<Timestamp>,
    /// How many occurrences it stands for.
    pub occurrences: u64,
    pub due_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub phase: Phase,
    /// How it ended; `None` while it is in progress.
    pub status: Option<Status>,
    pub reason_code: Option<ReasonCode>,
}

/// The runs and records of a cron in a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarksBetween {
    /// The latest first.
    pub marks: Vec<RunMark>,
    /// Whether there are earlier ones within that time that were not read.
    pub is_cut: bool,
}

const COLUMNS: &str = "run_id, scheduled_for, last_scheduled_for, occurrences, due_at, started_at, ended_at, phase, status, reason_code";

pub(super) fn last_sql() -> String {
    format!("SELECT {COLUMNS} FROM runs WHERE cron_id = ?1 ORDER BY scheduled_for DESC, retry DESC LIMIT ?2")
}

pub(super) fn between_sql() -> String {
    format!(
        "SELECT {COLUMNS} FROM runs WHERE cron_id = ?1 AND scheduled_for >= ?2 AND scheduled_for < ?3 \
         ORDER BY scheduled_for DESC, retry DESC LIMIT ?4"
    )
}

pub(super) fn before_sql() -> String {
    format!(
        "SELECT {COLUMNS} FROM runs WHERE cron_id = ?1 AND scheduled_for < ?2 ORDER BY scheduled_for DESC, retry DESC LIMIT 1"
    )
}

impl Reader {
    /// Returns at most `limit` of the last runs and records of each of these crons, the latest first.
    pub fn last_marks(
        &self,
        crons: &[CronId],
        limit: u32,
    ) -> Result<HashMap<CronId, Vec<RunMark>>, StoreError> {
        let sql = last_sql();
        self.at_one_moment(|tx| {
            let marks =
                |cron_id: &CronId| Ok((*cron_id, tx.query(&sql, (cron_id.to_string(), limit), mark)?));
            crons.iter().map(marks).collect()
        })
    }

    /// Returns at most `limit` of the runs and records of a cron that are scheduled between two instants, or begin before and
    /// may last until then.
    pub fn marks_between(
        &self,
        cron_id: CronId,
        (since, until): (Timestamp, Timestamp),
        limit: u32,
    ) -> Result<MarksBetween, StoreError> {
        self.at_one_moment(|tx| {
            let values = (cron_id.to_string(), millis(since), millis(until), limit.saturating_add(1));
            let mut marks = tx.query(&between_sql(), values, mark)?;
            let is_cut = marks.len() > limit as usize;
            marks.truncate(limit as usize);
            if !is_cut {
                marks.extend(before(tx, cron_id, since)?);
            }
            Ok(MarksBetween { marks, is_cut })
        })
    }
}

/// Returns the last one before this instant.
fn before(tx: &Transaction<'_>, cron_id: CronId, at: Timestamp) -> Result<Option<RunMark>, StoreError> {
    tx.query_opt(&before_sql(), (cron_id.to_string(), millis(at)), mark)
}

fn mark(row: &Row<'_>) -> Result<RunMark, StoreError> {
    Ok(RunMark {
        run_id: parsed(row, "run_id")?,
        scheduled_for: time(row, "scheduled_for")?,
        last_scheduled_for: time_option(row, "last_scheduled_for")?,
        occurrences: row.count("occurrences")?,
        due_at: time(row, "due_at")?,
        started_at: time_option(row, "started_at")?,
        ended_at: time_option(row, "ended_at")?,
        phase: parsed(row, "phase")?,
        status: parsed_option(row, "status")?,
        reason_code: parsed_option(row, "reason_code")?,
    })
}

impl RunMark {
    /// Returns the status, or the phase while it has not ended.
    pub fn word(&self) -> &'static str {
        self.status.map_or_else(|| self.phase.as_str(), Status::as_str)
    }

    /// Returns the time from the acceptance by the agent server until the end, or `None` if it lacks either or the end is not
    /// known.
    pub fn took(&self) -> Option<SignedDuration> {
        let is_known = !self.reason_code.is_some_and(ReasonCode::leaves_end_unknown);
        is_known.then_some(self.ended_at?.duration_since(self.started_at?))
    }

    /// Returns how long after it was due the agent server accepted it, or `None` if it never did.
    pub fn lateness(&self) -> Option<SignedDuration> {
        Some(self.started_at?.duration_since(self.due_at))
    }
}
