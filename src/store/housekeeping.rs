//! Housekeeping: deletes removed crons without a history and definitions that nothing uses, and keeps the
//! statistics of SQLite's query planner fresh.

use jiff::Timestamp;

use super::rows::millis;
use super::sessions::delete_sessions;
use super::sql::Transaction;
use super::{Store, StoreError, erase};
use crate::domain::bounds::DEFINITIONS_PER_COMMIT;

/// A cron or definition that is younger than this may be about to be used.
const YOUNG: std::time::Duration = std::time::Duration::from_secs(3600);

impl Store {
    /// Deletes what is no longer needed. It can run at any time.
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
        self.forget_hours(now).await?;
        self.forget_deleted_lately(now).await?;
        self.delete_notifications(now).await?;
        let deleted = self.delete_definitions(old).await?;
        // A daemon that was killed meanwhile leaves them.
        self.write(|tx| erase::clear(tx)).await?;
        self.write(move |tx| delete_sessions(tx, now)).await?;
        self.write(|tx| tx.optimize()).await?;
        tracing::debug!(deleted_definitions = deleted, "housekeeping finished");
        Ok(())
    }

    /// Deletes the definitions from before `old` that nothing uses, and returns how many those were.
    async fn delete_definitions(&self, old: i64) -> Result<usize, StoreError> {
        let mut deleted = 0;
        loop {
            let in_this_commit = self.write(move |tx| delete_definitions(tx, old)).await?;
            deleted += in_this_commit;
            if in_this_commit < DEFINITIONS_PER_COMMIT {
                return Ok(deleted);
            }
        }
    }
}

/// Deletes as many definitions as one transaction should. The query looks up the runs that use a definition
/// by their cron, because that column has an index.
fn delete_definitions(tx: &Transaction<'_>, old: i64) -> Result<usize, StoreError> {
    tx.execute(
        "DELETE FROM definitions WHERE definition_id IN (SELECT definition_id FROM definitions \
         WHERE created_at < ?1 \
         AND NOT EXISTS (SELECT 1 FROM crons WHERE crons.cron_id = definitions.cron_id \
         AND definitions.definition_id IN (crons.definition_id, crons.former_definition_id)) \
         AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.cron_id = definitions.cron_id \
         AND runs.definition_id = definitions.definition_id) LIMIT ?2)",
        (old, i64::try_from(DEFINITIONS_PER_COMMIT).unwrap_or(i64::MAX)),
    )
}
