//! What has changed since the last look: for those who watch a daemon at work without being told by it.

use std::collections::BTreeMap;

use super::{Reader, RunRow, row_columns, run_row};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::ids::RunId;
use crate::domain::reason::Reason;
use crate::domain::run::{Phase, RunState};
use crate::store::StoreError;

/// New runs read at one look; the next look goes on.
const NEW_RUNS_MAX: u32 = 1000;

/// When a run is of no more interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Once it is over.
    UntilEnded,
    /// Once everybody has been told of its end.
    UntilTold,
}

/// What was seen so far.
#[derive(Clone, Debug)]
pub struct Watch {
    interest: Interest,
    /// SQLite's counter of others' commits; `None` to look in any case.
    version: Option<i64>,
    last_row: i64,
    open: BTreeMap<RunId, Seen>,
}

/// As much of a run as is worth a new look.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    phase: Phase,
    reason: Option<Reason>,
    webhook: Option<(DeliveryStatus, u32)>,
}

impl Reader {
    /// Begins to watch: what is not over now, and all that comes.
    pub fn watch(&self, interest: Interest) -> Result<Watch, StoreError> {
        self.at_one_moment(|tx| {
            let last_row = tx.query_row("SELECT coalesce(max(rowid), 0) FROM runs", [], |row| row.get(0))?;
            let sql = format!("SELECT {} FROM runs WHERE phase <> 'ended'", row_columns());
            let mut statement = tx.prepare_cached(&sql)?;
            let mut rows = statement.query([])?;
            let mut open = BTreeMap::new();
            while let Some(row) = rows.next()? {
                let row = run_row(tx, row)?;
                open.insert(row.run.run_id, Seen::of(&row));
            }
            Ok(Watch { interest, version: None, last_row, open })
        })
    }

    /// Runs that are new or have changed since the last look, older ones first. Costs next to nothing if there are
    /// none.
    pub fn changes(&self, watch: &mut Watch) -> Result<Vec<RunRow>, StoreError> {
        let version = self.connection.query_row("PRAGMA data_version", [], |row| row.get(0))?;
        if watch.version == Some(version) {
            return Ok(Vec::new());
        }
        self.at_one_moment(|tx| {
            let mut changed = Vec::new();
            let sql = format!("SELECT {} FROM runs WHERE run_id = ?1", row_columns());
            let mut statement = tx.prepare_cached(&sql)?;
            for run_id in watch.open.keys().copied().collect::<Vec<_>>() {
                let mut rows = statement.query([run_id.to_string()])?;
                match rows.next()? {
                    Some(row) => watch.take_note(run_row(tx, row)?, &mut changed),
                    None => drop(watch.open.remove(&run_id)),
                }
            }
            let sql = format!("SELECT {} FROM runs WHERE rowid > ?1 ORDER BY rowid LIMIT ?2", row_columns());
            let mut statement = tx.prepare_cached(&sql)?;
            let mut rows = statement.query((watch.last_row, NEW_RUNS_MAX))?;
            let mut new = 0;
            while let Some(row) = rows.next()? {
                new += 1;
                watch.last_row = row.get("seq")?;
                watch.take_note(run_row(tx, row)?, &mut changed);
            }
            watch.version = (new < NEW_RUNS_MAX).then_some(version);
            changed.sort_by_key(|row: &RunRow| row.run.scheduled_for);
            Ok(changed)
        })
    }
}

impl Watch {
    fn take_note(&mut self, row: RunRow, changed: &mut Vec<RunRow>) {
        let seen = Seen::of(&row);
        let before = if self.is_of_interest(&row) {
            self.open.insert(row.run.run_id, seen.clone())
        } else {
            self.open.remove(&row.run.run_id)
        };
        if before != Some(seen) {
            changed.push(row);
        }
    }

    fn is_of_interest(&self, row: &RunRow) -> bool {
        match (&row.run.state, self.interest) {
            (RunState::Ended { .. }, Interest::UntilEnded) => false,
            (RunState::Ended { .. }, Interest::UntilTold) => {
                row.webhook.as_ref().is_some_and(|webhook| !webhook.is_over())
            }
            (
                RunState::Pending { .. }
                | RunState::Sending { .. }
                | RunState::Unconfirmed { .. }
                | RunState::Running(_),
                Interest::UntilEnded | Interest::UntilTold,
            ) => true,
        }
    }
}

impl Seen {
    fn of(row: &RunRow) -> Self {
        Self {
            phase: row.run.state.phase(),
            reason: row.run.reason.clone(),
            webhook: row.webhook.as_ref().map(|webhook| (webhook.status, webhook.attempts)),
        }
    }
}
