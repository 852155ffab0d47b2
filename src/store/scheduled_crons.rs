//! Crons as they are planned: each with its definition and its cursor.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Transaction;

use super::cron_entries::CronEntry;
use super::definitions::Definitions;
use super::{Store, StoreError};
use crate::domain::cron::Cron;
use crate::domain::ids::DefinitionId;

/// A cron as it is planned.
#[derive(Clone, Debug)]
pub(super) struct ScheduledCron {
    pub(super) cron: Arc<Cron>,
    /// The version that `cron` was parsed from.
    pub(super) definition_id: DefinitionId,
    /// The last instant that is accounted for.
    pub(super) cursor: Timestamp,
}

impl Store {
    /// Returns whether the zone database was replaced since calendars were parsed: crons must then be planned
    /// anew. A change is seen after five minutes, or at once after [`Calendar::reread_zones`].
    ///
    /// [`Calendar::reread_zones`]: crate::domain::calendar::Calendar::reread_zones
    pub fn zones_changed(&self) -> bool {
        let is_changed = self.definitions.forget_outdated();
        if is_changed {
            tracing::info!("zone database changed; calendars are computed anew");
        }
        is_changed
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
