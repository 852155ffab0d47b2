//! Housekeeping: forget deleted crons without a history and definitions that nobody uses, keep the planner's statistics fresh, shorten the WAL.

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::Transaction;

use super::rows::{millis, parsed};
use super::{Store, StoreError};
use crate::domain::ids::DefinitionId;

/// A cron or definition younger than this may be about to be used.
const YOUNG: std::time::Duration = std::time::Duration::from_secs(3600);

impl Store {
    /// Keeps the file in order; harmless at any time.
    pub async fn keep_house(&self, now: Timestamp) -> Result<(), StoreError> {
        let old = millis(now) - i64::try_from(YOUNG.as_millis()).unwrap_or(i64::MAX);
        let cache = self.definitions.clone();
        let forgotten = self
            .write(move |tx| {
                tx.execute(
                    "DELETE FROM crons WHERE source = 'api' AND removed_at < ?1 \
                     AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.cron_id = crons.cron_id)",
                    [old],
                )?;
                let forgotten = tx.execute(
                    "DELETE FROM definitions WHERE created_at < ?1 \
                     AND NOT EXISTS (SELECT 1 FROM crons WHERE crons.definition_id = definitions.definition_id) \
                     AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.definition_id = definitions.definition_id)",
                    [old],
                )?;
                let current = current(tx)?;
                cache.forget_others(|id| current.contains(id));
                tx.execute_batch("PRAGMA optimize")?;
                Ok(forgotten)
            })
            .await?;
        tracing::debug!(forgotten, "kept house");
        Ok(())
    }
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
