//! What waits for receivers that are away: whether anything does, what is sent before its turn to see whether they are
//! back, and what is due once they are.

use jiff::Timestamp;

use super::delivery_queue::{QUEUE_HEADS, QueueHead, queue_head_from_row};
use super::rows::millis;
use super::sql::{Transaction, named_params};
use super::{Store, StoreError};
use crate::domain::breaker::Scope;
use crate::domain::ids::DeliveryId;

/// A receiver that is away.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverAway {
    pub scope: Scope,
    /// A delivery to it.
    pub delivery_id: DeliveryId,
    pub since: Timestamp,
}

impl Store {
    /// Returns those of these receivers for which no delivery waits, by a delivery to each.
    pub async fn receivers_without_deliveries(
        &self,
        receivers: Vec<(Scope, DeliveryId)>,
    ) -> Result<Vec<(Scope, DeliveryId)>, StoreError> {
        self.read_for_loop(move |tx| {
            let mut without = Vec::new();
            for (scope, delivery_id) in &receivers {
                let to = to_receiver(*scope);
                let sql = format!(
                    "SELECT EXISTS (SELECT 1 FROM deliveries WHERE due_at IS NOT NULL AND {to}) \
                     OR EXISTS (SELECT 1 FROM deliveries WHERE status = 'sending' AND {to})"
                );
                let id = delivery_id.to_string();
                let waits: bool = tx.query_value(&sql, named_params! { ":delivery_id": id })?;
                without.extend((!waits).then_some((*scope, *delivery_id)));
            }
            Ok(without)
        })
        .await
    }
}

/// Returns a condition for deliveries to the same receiver as the delivery `:delivery_id`.
fn to_receiver(scope: Scope) -> &'static str {
    match scope {
        Scope::Origin => "receiver = (SELECT receiver FROM deliveries WHERE delivery_id = :delivery_id)",
        Scope::Url => {
            "(receiver, url) = (SELECT receiver, url FROM deliveries WHERE delivery_id = :delivery_id)"
        }
    }
}

/// Selects deliveries that wait because their receiver has been away `:since` then. One that failed before that, when
/// the receiver took others, has been refused by itself.
const HELD_UP: &str = "due_at > :now AND NOT EXISTS (SELECT 1 FROM attempts \
     WHERE attempts.delivery = deliveries.seq AND started_at < :since)";

/// Returns the next delivery to a receiver that is away, of those that are not due.
pub(super) fn next_early(
    tx: &Transaction<'_>,
    away: &ReceiverAway,
    now: Timestamp,
) -> Result<Option<QueueHead>, StoreError> {
    let sql = format!(
        "{QUEUE_HEADS} WHERE {} AND {HELD_UP} \
         ORDER BY due_at, seq LIMIT 1",
        to_receiver(away.scope)
    );
    let (delivery_id, since) = (away.delivery_id.to_string(), millis(away.since));
    let values = named_params! { ":delivery_id": delivery_id, ":now": millis(now), ":since": since };
    tx.query_opt(&sql, values, queue_head_from_row)
}

/// Makes due what waits because this receiver was away.
pub(super) fn make_due(tx: &Transaction<'_>, back: &ReceiverAway, now: Timestamp) -> Result<(), StoreError> {
    let to = to_receiver(back.scope);
    let (delivery_id, since) = (back.delivery_id.to_string(), millis(back.since));
    tx.execute(
        &format!("UPDATE deliveries SET due_at = :now WHERE {to} AND {HELD_UP}"),
        named_params! { ":delivery_id": delivery_id, ":now": millis(now), ":since": since },
    )?;
    Ok(())
}
