//! Housekeeping: forget deleted crons without a history and definitions that nobody uses, keep the planner's statistics fresh, shorten the WAL.

use jiff::Timestamp;

use super::rows::millis;
use super::{Store, StoreError};

/// A cron or definition younger than this may be about to be used.
const YOUNG: std::time::Duration = std::time::Duration::from_secs(3600);

impl Store {
    /// Keeps the file in order; harmless at any time.
    pub async fn keep_house(&self, now: Timestamp) -> Result<(), StoreError> {
        let old = millis(now) - i64::try_from(YOUNG.as_millis()).unwrap_or(i64::MAX);
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
                tx.execute_batch("PRAGMA optimize")?;
                Ok(forgotten)
            })
            .await?;
        tracing::debug!(forgotten, "kept house");
        Ok(())
    }
}
