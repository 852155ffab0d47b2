//! Housekeeping: forget deleted crons without a history and definitions that nobody uses, keep the planner's statistics
//! fresh, shorten the WAL.

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::Transaction;

use super::rows::{millis, parsed};
use super::{Store, StoreError};
use crate::domain::bounds::DEFINITIONS_PER_COMMIT;
use crate::domain::ids::DefinitionId;

/// A cron or definition younger than this may be about to be used.
const YOUNG: std::time::Duration = std::time::Duration::from_secs(3600);

impl Store {
    /// Keeps the file in order; harmless at any time.
    pub async fn housekeeping(&self, now: Timestamp) -> Result<(), StoreError> {
        let old = millis(now) - i64::try_from(YOUNG.as_millis()).unwrap_or(i64::MAX);
        self.write(move |tx| {
            tx.execute(
                "DELETE FROM crons WHERE source = 'api' AND removed_at < ?1 \
                 AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.cron_id = crons.cron_id)",
                [old],
            )?;
            Ok(())
        })
        .await?;
        let forgotten = self.forget_definitions(old).await?;
        let cache = self.definitions.clone();
        self.write(move |tx| {
            let current = current(tx)?;
            cache.forget_others(|id| current.contains(id));
            tx.execute_batch("PRAGMA optimize")?;
            Ok(())
        })
        .await?;
        tracing::debug!(forgotten, "kept house");
        Ok(())
    }

    /// Forgets the definitions from before `old` that nobody goes by; answers how many.
    async fn forget_definitions(&self, old: i64) -> Result<usize, StoreError> {
        let mut forgotten = 0;
        loop {
            let of_these = self.write(move |tx| forget_definitions(tx, old)).await?;
            forgotten += of_these;
            if of_these < DEFINITIONS_PER_COMMIT {
                return Ok(forgotten);
            }
        }
    }
}

/// As many as one transaction should. Who goes by one is looked for by its cron, for which there is an index.
fn forget_definitions(tx: &Transaction<'_>, old: i64) -> Result<usize, StoreError> {
    let forgotten = tx
        .prepare_cached(
            "DELETE FROM definitions WHERE definition_id IN (SELECT definition_id FROM definitions \
             WHERE created_at < ?1 \
             AND NOT EXISTS (SELECT 1 FROM crons WHERE crons.cron_id = definitions.cron_id \
             AND crons.definition_id = definitions.definition_id) \
             AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.cron_id = definitions.cron_id \
             AND runs.definition_id = definitions.definition_id) LIMIT ?2)",
        )?
        .execute((old, i64::try_from(DEFINITIONS_PER_COMMIT).unwrap_or(i64::MAX)))?;
    Ok(forgotten)
}

/// The definitions that crons go by now; what runs go by besides can be read again.
fn current(tx: &Transaction<'_>) -> Result<HashSet<DefinitionId>, StoreError> {
    let mut statement = tx.prepare_cached("SELECT definition_id FROM crons WHERE removed_at IS NULL")?;
    let mut rows = statement.query([])?;
    let mut current = HashSet::new();
    while let Some(row) = rows.next()? {
        current.insert(parsed(row, "definition_id")?);
    }
    Ok(current)
}
