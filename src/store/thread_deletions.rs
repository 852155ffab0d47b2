//! The queue of threads to delete on the agent server. A thread stays in it until it is gone.

use jiff::Timestamp;

use super::rows::{millis, parsed, timestamp};
use super::sql::Transaction;
use super::{Store, StoreError};
use crate::domain::ids::{RunId, ThreadId};

/// A thread to delete now, which this daemon holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueDeletion {
    pub thread_id: ThreadId,
    /// The run that used the thread.
    pub run_id: RunId,
    /// How many times deleting it has failed.
    pub failures: u32,
    /// How often it has been claimed.
    pub claim: u32,
}

/// The threads that are due, and when there will be more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DueDeletions {
    pub threads: Vec<DueDeletion>,
    pub next_due_at: Option<Timestamp>,
}

impl Store {
    /// Claims up to `limit` threads to delete now, and returns them with when the next one is due.
    pub async fn claim_deletions(&self, now: Timestamp, limit: usize) -> Result<DueDeletions, StoreError> {
        let daemon = self.number;
        // Most of the time none is due, and a read is no commit.
        let found = self.read_for_loop(move |tx| find_deletions(tx, now, limit, "")).await?;
        if found.threads.is_empty() {
            return Ok(found);
        }
        self.write_hot(move |tx| {
            let found = find_deletions(tx, now, limit, "/*: FOR NO KEY UPDATE SKIP LOCKED */")?;
            for thread in &found.threads {
                let sql = "UPDATE thread_deletions SET held_by = ?2, claim = ?3 WHERE thread_id = ?1";
                tx.execute(sql, (thread.thread_id.to_string(), daemon.0, thread.claim))?;
            }
            Ok(found)
        })
        .await
    }

    /// Records that these threads are gone, as far as this daemon still holds them.
    pub async fn threads_deleted(&self, threads: Vec<DueDeletion>) -> Result<(), StoreError> {
        let daemon = self.number;
        self.write_hot(move |tx| {
            let mut statement = tx.prepare(
                "DELETE FROM thread_deletions WHERE thread_id = ?1 AND held_by = ?2 AND claim = ?3",
            )?;
            for thread in &threads {
                statement.execute((thread.thread_id.to_string(), daemon.0, thread.claim))?;
            }
            Ok(())
        })
        .await
    }

    /// Records that this thread was not deleted, if this daemon still holds it, and schedules the next try for `due_at`.
    /// `denied` says whether the agent server refuses us.
    pub async fn postpone_deletion(
        &self,
        thread: DueDeletion,
        due_at: Timestamp,
        denied: bool,
    ) -> Result<(), StoreError> {
        let daemon = self.number;
        self.write_hot(move |tx| {
            let sql = "UPDATE thread_deletions SET held_by = NULL, failures = failures + 1, due_at = ?4, denied = ?5 \
                       WHERE thread_id = ?1 AND held_by = ?2 AND claim = ?3";
            tx.execute(sql, (thread.thread_id.to_string(), daemon.0, thread.claim, millis(due_at), denied))?;
            Ok(())
        })
        .await
    }
}

/// Returns the threads that may be claimed, locked like this, for deletion, under the claim that they get, and when the next one is due.
fn find_deletions(
    tx: &Transaction<'_>,
    now: Timestamp,
    limit: usize,
    lock: &str,
) -> Result<DueDeletions, StoreError> {
    let sql = format!(
        "SELECT thread_id, run_id, failures, claim + 1 AS claim FROM thread_deletions \
         WHERE due_at <= ?1 AND held_by IS NULL ORDER BY due_at LIMIT ?2 {lock}"
    );
    let threads = tx.query(&sql, (millis(now), i64::try_from(limit).unwrap_or(i64::MAX)), |row| {
        Ok(DueDeletion {
            thread_id: parsed(row, "thread_id")?,
            run_id: parsed(row, "run_id")?,
            failures: row.get("failures")?,
            claim: row.get("claim")?,
        })
    })?;
    let next = "SELECT min(due_at) FROM thread_deletions WHERE due_at > ?1 AND held_by IS NULL";
    let next: Option<i64> = tx.query_value(next, [millis(now)])?;
    Ok(DueDeletions { threads, next_due_at: next.map(|at| timestamp(at, "due_at")).transpose()? })
}
