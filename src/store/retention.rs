//! Deletes what is kept no longer: ended runs with everything about them, and values and bodies of webhooks before that.
//!
//! Nothing that is in progress is deleted, and the runs of one occurrence go together: the numbers of its runs, and so
//! their ids and threads, are counted from those that are recorded.

mod deleting;
mod policies;
mod records;
mod walk;
mod walks;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::rows::millis;
use super::{Reader, Store, StoreError};
use crate::domain::ids::CronId;
use crate::domain::retention::Retention;

pub use policies::Policies;
pub(super) use records::{Record, delete_run};
pub use walk::Walk;
use walks::Found;
pub use walks::Position;

/// Where a walk goes on: behind the records that it has passed, or at some that it could not delete when it passed them.
#[derive(Clone, Debug)]
pub enum WalkFrom {
    Behind(Position),
    Rows(Vec<i64>),
}

/// What one step of a walk has found.
#[derive(Clone, Debug, Default)]
pub struct Expired {
    /// The rows of runs that go, or whose values go.
    pub rows: Vec<i64>,
    /// Those that have to wait for something that is in progress.
    pub waiting: Vec<i64>,
    /// How far the walk has come; `None` if there is nothing beyond.
    pub position: Option<Position>,
}

/// How much was deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    pub runs: u64,
    pub deliveries: u64,
    /// Runs whose values or bodies of webhooks are gone.
    pub values: u64,
}

/// What one batch has done.
#[derive(Clone, Debug, Default)]
pub struct DeletedBatch {
    pub deleted: Deleted,
    /// The rows that have to wait after all.
    pub waiting: Vec<i64>,
    /// How long the writer was busy with it.
    pub took: Duration,
}

/// What would be deleted of a cron, for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiredOfCron {
    /// `None` for runs of clients.
    pub cron_name: Option<String>,
    /// The key by which it goes.
    pub key: &'static str,
    pub deleted: Deleted,
    /// The size of values and bodies.
    pub bytes: u64,
}

impl Deleted {
    pub fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.deliveries += other.deliveries;
        self.values += other.values;
    }
}

impl Store {
    /// Returns the rules for every cron, with those of the configuration for all that have none of their own.
    pub async fn retention_policies(&self, of_store: Retention) -> Result<Policies, StoreError> {
        self.read_for_loop(move |tx| Policies::read(tx, of_store.clone())).await
    }

    /// Finds what a walk deletes next. It reads a bounded number of rows.
    pub async fn find_expired(
        &self,
        policies: Arc<Policies>,
        walk: Walk,
        from: WalkFrom,
        now: Timestamp,
    ) -> Result<Expired, StoreError> {
        self.read_for_loop(move |tx| {
            let found = match &from {
                WalkFrom::Behind(position) => walks::find(tx, &policies, walk, *position, now)?,
                WalkFrom::Rows(rows) => walks::look_again(tx, &policies, walk, rows, now)?,
            };
            let Found { rows, waiting, position } = found;
            Ok(Expired { rows, waiting, position })
        })
        .await
    }

    /// Deletes what a walk has found, as far as it is still to go.
    pub async fn delete_expired(
        &self,
        policies: Arc<Policies>,
        walk: Walk,
        rows: Vec<i64>,
        now: Timestamp,
    ) -> Result<DeletedBatch, StoreError> {
        self.write(move |tx| {
            let began = Instant::now();
            let mut batch = DeletedBatch::default();
            for seq in &rows {
                let (deleted, waits) = deleting::delete_if_expired(tx, &policies, walk, *seq, now)?;
                batch.deleted.add(deleted);
                batch.waiting.extend(waits.then_some(*seq));
            }
            batch.took = began.elapsed();
            Ok(batch)
        })
        .await
    }

    /// Returns for how long a daemon must still run until it believes the clock enough to delete anything.
    pub async fn clock_doubted_for(&self) -> Result<Duration, StoreError> {
        self.read_for_loop(|tx| {
            let left = tx.query_count("SELECT doubted_for FROM retention WHERE one = 1", ())?;
            Ok(Duration::from_millis(left))
        })
        .await
    }

    /// Sets that time.
    pub async fn doubt_clock_for(&self, left: Duration) -> Result<(), StoreError> {
        let left = i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
        self.write(move |tx| {
            tx.execute("UPDATE retention SET doubted_for = ?1 WHERE one = 1", [left])?;
            Ok(())
        })
        .await
    }
}

impl Reader {
    /// Returns what retention would delete now, by cron and by the key that says so, the most first.
    pub fn expired(&self, of_store: Retention, now: Timestamp) -> Result<Vec<ExpiredOfCron>, StoreError> {
        let policies = self.at_one_moment(|tx| Policies::read(tx, of_store))?;
        let mut found: Vec<ExpiredOfCron> = Vec::new();
        for walk in policies.walks() {
            let mut position = Some(Position::default());
            while let Some(from) = position {
                // Each step is a transaction of its own: a long one would keep the WAL from shrinking.
                position = self.at_one_moment(|tx| {
                    let step = walks::find(tx, &policies, walk, from, now)?;
                    for seq in step.rows {
                        let one = records::measure(tx, walk, seq)?;
                        let known =
                            found.iter_mut().find(|of| of.cron_name == one.cron_name && of.key == one.key);
                        match known {
                            Some(known) => {
                                known.deleted.add(one.deleted);
                                known.bytes += one.bytes;
                            }
                            None => found.push(one),
                        }
                    }
                    Ok(step.position)
                })?;
            }
        }
        found.sort_by(|a, b| {
            let size = |of: &ExpiredOfCron| (of.deleted.runs, of.deleted.values);
            size(b).cmp(&size(a)).then_with(|| a.cron_name.cmp(&b.cron_name)).then_with(|| a.key.cmp(b.key))
        });
        Ok(found)
    }
}

/// Remembers the last instant for which a deleted record of a cron stood.
pub(super) fn note_deleted_until(
    tx: &super::sql::Transaction<'_>,
    cron_id: CronId,
    until: Timestamp,
) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE crons SET history_deleted_until = max(coalesce(history_deleted_until, ?2), ?2) WHERE cron_id = ?1",
        (cron_id.to_string(), millis(until)),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests;
