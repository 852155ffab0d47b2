//! Writes acts down: each in the transaction of the act itself, so that what is undone or refused leaves none.

use super::rows::millis;
use super::sql::{Transaction, named_params};
use super::{Store, StoreError};
use crate::domain::act::Act;
use crate::domain::bounds::ACTS_KEPT;

/// Records an act, and forgets the one that is too old to be kept.
pub(super) fn record(tx: &Transaction<'_>, act: &Act) -> Result<(), StoreError> {
    let (cron_id, cron_name) = act.subject.cron.as_ref().map(|(id, name)| (id.to_string(), name)).unzip();
    let sql = "INSERT INTO acts (at, what, actor_kind, actor_name, cron_id, cron_name, run_id, delivery_id, note) \
               VALUES (:at, :what, :actor_kind, :actor_name, :cron_id, :cron_name, :run_id, :delivery_id, :note)";
    tx.put(
        sql,
        named_params! {
            ":at": millis(act.at),
            ":what": act.what.as_str(),
            ":actor_kind": act.by.kind.as_str(),
            ":actor_name": act.by.name,
            ":cron_id": cron_id,
            ":cron_name": cron_name,
            ":run_id": act.subject.run_id.map(|run_id| run_id.to_string()),
            ":delivery_id": act.subject.delivery_id.map(|delivery_id| delivery_id.to_string()),
            ":note": act.note,
        },
    )?;
    tx.put("DELETE FROM acts WHERE seq <= (SELECT max(seq) FROM acts) - ?1", [ACTS_KEPT])?;
    Ok(())
}

impl Store {
    /// Records an act of many transactions, such as a deletion, by itself.
    pub async fn record_act(&self, act: Act) -> Result<(), StoreError> {
        self.write(move |tx| record(tx, &act)).await
    }
}

#[cfg(test)]
mod tests;
