//! Crons as the scheduler holds them: each with its definition and its cursor.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Transaction;

use super::cron_entries::CronEntry;
use super::definitions::Definitions;
use super::rows::{parsed, time};
use super::{Store, StoreError};
use crate::domain::cron::Cron;
use crate::domain::ids::DefinitionId;

/// A cron as the scheduler holds it.
#[derive(Clone, Debug)]
pub struct ScheduledCron {
    pub cron: Arc<Cron>,
    /// The version that `cron` was parsed from.
    pub definition_id: DefinitionId,
    /// The last instant that is accounted for.
    pub cursor: Timestamp,
}

impl Store {
    /// Returns whether the zone database was replaced since calendars were parsed: crons that are held must then be read
    /// again. A change is seen after five minutes, or at once after [`Calendar::reread_zones`].
    ///
    /// [`Calendar::reread_zones`]: crate::domain::calendar::Calendar::reread_zones
    pub fn zones_changed(&self) -> bool {
        let is_changed = self.definitions.forget_outdated();
        if is_changed {
            tracing::info!("zone database changed; calendars are computed anew");
        }
        is_changed
    }

    /// Returns every cron to schedule, ordered by name. A cron whose definition cannot be read back is logged
    /// and left out, so that the others still fire.
    ///
    /// The read does not go through the writer: clients that create crons one after the other must not make
    /// the writer read all the others each time.
    pub async fn scheduled_crons(&self) -> Result<Vec<ScheduledCron>, StoreError> {
        let cache = self.definitions.clone();
        let (crons, unreadable) = self
            .read_for_loop(move |tx| {
                let mut statement = tx.prepare_cached(
                    "SELECT definition_id, name, cursor FROM crons WHERE removed_at IS NULL ORDER BY name",
                )?;
                let mut rows = statement.query([])?;
                let (mut crons, mut unreadable) = (Vec::new(), Vec::new());
                while let Some(row) = rows.next()? {
                    let definition_id = parsed(row, "definition_id")?;
                    let name: String = row.get("name")?;
                    match cache.get(tx, definition_id, &name) {
                        Ok(cron) => {
                            crons.push(ScheduledCron { cron, definition_id, cursor: time(row, "cursor")? });
                        }
                        // A former version of this program wrote it.
                        Err(problem @ (StoreError::BadRow(_) | StoreError::NotFound(_))) => {
                            unreadable.push((name, problem));
                        }
                        Err(error) => return Err(error),
                    }
                }
                Ok((crons, unreadable))
            })
            .await?;
        for (cron, problem) in unreadable {
            tracing::error!(cron, %problem, hourly = cron, "cron cannot be read and is not scheduled");
        }
        Ok(crons)
    }
}

/// Returns a cron's entry together with its definition.
pub(super) fn scheduled(
    tx: &Transaction<'_>,
    cache: &Definitions,
    entry: &CronEntry,
) -> Result<ScheduledCron, StoreError> {
    let cron = cache.get(tx, entry.definition_id, &entry.name)?;
    Ok(ScheduledCron { cron, definition_id: entry.definition_id, cursor: entry.cursor })
}
