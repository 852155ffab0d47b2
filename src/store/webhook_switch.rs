//! The switch of all webhooks, where several daemons have one store: it belongs to the generation of files that is in force.

use super::StoreError;
use super::sql::Transaction;
use crate::config::CommonSettings;

/// Returns whether the generation in force disables webhooks.
pub(super) fn disables_webhooks(tx: &Transaction<'_>) -> Result<bool, StoreError> {
    let sql = "SELECT settings FROM generations ORDER BY number DESC LIMIT 1";
    let settings = tx.query_opt(sql, (), |row| row.get::<String>("settings"))?;
    let settings = settings.as_deref().and_then(CommonSettings::of_text);
    Ok(settings.is_some_and(|settings| settings.disable_webhooks))
}
