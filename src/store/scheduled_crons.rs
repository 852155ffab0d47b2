//! Crons as they are planned: each with its definition.

use std::sync::Arc;

use super::StoreError;
use super::cron_entries::CronEntry;
use super::definitions::Definitions;
use super::sql::Transaction;
use crate::domain::cron::Cron;
use crate::domain::ids::DefinitionId;

/// A cron as it is planned.
#[derive(Clone, Debug)]
pub(super) struct ScheduledCron {
    pub(super) cron: Arc<Cron>,
    /// The version that `cron` was parsed from.
    pub(super) definition_id: DefinitionId,
}

/// Returns a cron's entry together with its definition.
pub(super) fn scheduled(
    tx: &Transaction<'_>,
    cache: &Definitions,
    entry: &CronEntry,
) -> Result<ScheduledCron, StoreError> {
    let cron = cache.get(tx, entry.definition_id, &entry.name)?;
    Ok(ScheduledCron { cron, definition_id: entry.definition_id })
}
