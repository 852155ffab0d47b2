//! The runs that have changed since the last query, for commands that watch a daemon at work through its
//! file.

use std::collections::BTreeMap;

use super::{Reader, RunRow, row_columns, run_row};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::ids::RunId;
use crate::domain::reason::Reason;
use crate::domain::run::{Phase, RunState};
use crate::store::StoreError;

/// The most new runs that one query reads. The next query returns the others.
const NEW_RUNS_MAX: u32 = 1000;

/// How long a run is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchUntil {
    /// Until it has ended.
    RunEnded,
    /// Until its webhook is delivered, or will not be sent any more.
    WebhookEnded,
}

/// What a command that watches runs has read so far.
#[derive(Clone, Debug)]
pub struct RunWatch {
    until: WatchUntil,
    /// A counter of others' commits, or `None` if the next query must read in any case.
    version: Option<i64>,
    last_row: i64,
    open: BTreeMap<RunId, Progress>,
}

/// The part of a run whose change is reported.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Progress {
    phase: Phase,
    reason: Option<Reason>,
    webhook: Option<(DeliveryStatus, u32)>,
}

impl Reader {
    /// Begins to watch the runs that have not ended now, and all that are added later.
    pub fn watch(&self, until: WatchUntil) -> Result<RunWatch, StoreError> {
        self.at_one_moment(|tx| {
            let last_row = tx.query_value("SELECT coalesce(max(seq), 0) FROM runs", ())?;
            let sql = format!("SELECT {} FROM runs WHERE phase <> 'ended'", row_columns());
            let progress = |row: &RunRow| (row.run.run_id, Progress::of(row));
            let open = tx.query(&sql, (), |row| Ok(progress(&run_row(tx, row)?)))?.into_iter().collect();
            Ok(RunWatch { until, version: None, last_row, open })
        })
    }

    /// Returns whether anything was committed since this version, which it replaces by the present one; `None` is the
    /// version of a connection that has not looked yet. It costs next to nothing.
    pub fn has_changed(&self, version: &mut Option<i64>) -> Result<bool, StoreError> {
        let present = Some(self.connection.version()?);
        Ok(std::mem::replace(version, present) != present)
    }

    /// Returns a run as listings show it, or `None` if there is none.
    pub fn run_row(&self, run_id: RunId) -> Result<Option<RunRow>, StoreError> {
        let sql = format!("SELECT {} FROM runs WHERE run_id = ?1", row_columns());
        self.at_one_moment(|tx| tx.query_opt(&sql, [run_id.to_string()], |row| run_row(tx, row)))
    }

    /// Returns the runs that are new or have changed since the last query, the oldest first. It costs next to
    /// nothing if nothing was committed since.
    pub fn changes(&self, watch: &mut RunWatch) -> Result<Vec<RunRow>, StoreError> {
        let mut version = watch.version;
        if !self.has_changed(&mut version)? {
            return Ok(Vec::new());
        }
        self.at_one_moment(|tx| {
            let mut changed = Vec::new();
            let sql = format!("SELECT {} FROM runs WHERE run_id = ?1", row_columns());
            for run_id in watch.open.keys().copied().collect::<Vec<_>>() {
                match tx.query_opt(&sql, [run_id.to_string()], |row| run_row(tx, row))? {
                    Some(row) => watch.take_note(row, &mut changed),
                    None => drop(watch.open.remove(&run_id)),
                }
            }
            let sql = format!("SELECT {} FROM runs WHERE seq > ?1 ORDER BY seq LIMIT ?2", row_columns());
            let mut new = 0;
            tx.each(&sql, (watch.last_row, NEW_RUNS_MAX), |row| {
                new += 1;
                watch.last_row = row.get("seq")?;
                watch.take_note(run_row(tx, row)?, &mut changed);
                Ok(())
            })?;
            watch.version = version.filter(|_| new < NEW_RUNS_MAX);
            changed.sort_by_key(|row: &RunRow| row.run.scheduled_for);
            Ok(changed)
        })
    }
}

impl RunWatch {
    fn take_note(&mut self, row: RunRow, changed: &mut Vec<RunRow>) {
        let progress = Progress::of(&row);
        let before = if self.is_watched(&row) {
            self.open.insert(row.run.run_id, progress.clone())
        } else {
            self.open.remove(&row.run.run_id)
        };
        if before != Some(progress) {
            changed.push(row);
        }
    }

    fn is_watched(&self, row: &RunRow) -> bool {
        match (&row.run.state, self.until) {
            (RunState::Ended { .. }, WatchUntil::RunEnded) => false,
            (RunState::Ended { .. }, WatchUntil::WebhookEnded) => {
                row.webhook.as_ref().is_some_and(|webhook| !webhook.is_over())
            }
            (
                RunState::Pending { .. }
                | RunState::Sending { .. }
                | RunState::Unconfirmed { .. }
                | RunState::Running(_),
                WatchUntil::RunEnded | WatchUntil::WebhookEnded,
            ) => true,
        }
    }
}

impl Progress {
    fn of(row: &RunRow) -> Self {
        Self {
            phase: row.run.state.phase(),
            reason: row.run.reason.clone(),
            webhook: row.webhook.as_ref().map(|webhook| (webhook.status, webhook.attempts)),
        }
    }
}
