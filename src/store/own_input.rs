//! Runs with an input that a person gave them instead of their cron's.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::StoreError;
use super::counts::Tx;
use super::cron_entries::CronEntry;
use super::definitions::{self, Definitions};
use super::scheduled_crons::ScheduledCron;
use crate::domain::ids::DefinitionId;

/// Gives the next run of a cron another input, by a definition that never becomes the cron's own.
///
/// # Errors
/// [`StoreError::Conflict`] if the cron would not be valid with this input.
pub(super) fn give(
    tx: &Tx<'_>,
    entry: &CronEntry,
    cache: &Definitions,
    scheduled: &mut ScheduledCron,
    input: &Value,
    now: Timestamp,
) -> Result<(), StoreError> {
    scheduled.definition_id = with_input(tx, entry, cache, input, now)?;
    scheduled.cron = cache.get(tx, scheduled.definition_id, &entry.name)?;
    Ok(())
}

/// Stores the present definition of a cron with another input, and returns its id.
fn with_input(
    tx: &Tx<'_>,
    entry: &CronEntry,
    cache: &Definitions,
    input: &Value,
    now: Timestamp,
) -> Result<DefinitionId, StoreError> {
    let body: String = tx.query_value(
        "SELECT body FROM definitions WHERE definition_id = ?1",
        [entry.definition_id.to_string()],
    )?;
    let bad = |error: serde_json::Error| StoreError::BadRow(error.to_string());
    let mut fields: Map<String, Value> = serde_json::from_str(&body).map_err(bad)?;
    fields.insert("input".to_owned(), input.clone());
    let definition_id = definitions::insert(tx, entry.cron_id, &Value::Object(fields).to_string(), now)?;
    match definitions::read(tx, cache.installation(), definition_id, &entry.name) {
        Err(StoreError::BadRow(problem)) => Err(StoreError::Conflict(problem)),
        other => other.map(|_| definition_id),
    }
}
