//! Threads that are to be deleted on the agent server, until they are gone.

use jiff::Timestamp;
use rusqlite::named_params;

use super::rows::{millis, parsed};
use super::{Store, StoreError};
use crate::domain::ids::{RunId, ThreadId};

/// A thread to be deleted now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueDeletion {
    /// Which thread.
    pub thread_id: ThreadId,
    /// The run that used it.
    pub run_id: RunId,
    /// How often it was tried already.
    pub failures: u32,
}

impl Store {
    /// Up to `limit` threads to be deleted now, and when the next one is due.
    pub async fn due_deletions(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<(Vec<DueDeletion>, Option<Timestamp>), StoreError> {
        self.write(move |tx| {
            let mut statement = tx.prepare_cached(
                "SELECT thread_id, run_id, failures FROM thread_deletions WHERE due_at <= :now \
                 ORDER BY due_at LIMIT :limit",
            )?;
            let mut rows = statement.query(named_params! {
                ":now": millis(now),
                ":limit": i64::try_from(limit).unwrap_or(i64::MAX),
            })?;
            let mut due = Vec::new();
            while let Some(row) = rows.next()? {
                due.push(DueDeletion {
                    thread_id: parsed(row, "thread_id")?,
                    run_id: parsed(row, "run_id")?,
                    failures: row.get("failures")?,
                });
            }
            let next: Option<i64> = tx
                .prepare_cached("SELECT min(due_at) FROM thread_deletions WHERE due_at > ?1")?
                .query_row([millis(now)], |row| row.get(0))?;
            let next = next
                .map(Timestamp::from_millisecond)
                .transpose()
                .map_err(|error| StoreError::Refused(error.to_string()))?;
            Ok((due, next))
        })
        .await
    }

    /// These threads are gone.
    pub async fn threads_deleted(&self, thread_ids: Vec<ThreadId>) -> Result<(), StoreError> {
        self.write(move |tx| {
            let mut statement = tx.prepare_cached("DELETE FROM thread_deletions WHERE thread_id = ?1")?;
            for thread_id in &thread_ids {
                statement.execute([thread_id.to_string()])?;
            }
            Ok(())
        })
        .await
    }

    /// This thread could not be deleted; try again then.
    pub async fn postpone_deletion(&self, thread_id: ThreadId, due_at: Timestamp) -> Result<(), StoreError> {
        self.write(move |tx| {
            tx.prepare_cached(
                "UPDATE thread_deletions SET failures = failures + 1, due_at = ?2 WHERE thread_id = ?1",
            )?
            .execute((thread_id.to_string(), millis(due_at)))?;
            Ok(())
        })
        .await
    }
}
