//! The body of a delivery: it is kept for a while after the end of the delivery, or goes with that.

use super::StoreError;
use super::sql::Transaction;
use crate::domain::ids::DeliveryId;

/// What becomes of the body in a statement that ends deliveries.
pub(super) const BODY_AT_END: &str = "body = iif(keeps_body = 1, body, NULL)";

/// Returns whether the body of a delivery is still stored.
pub(super) fn is_kept(tx: &Transaction<'_>, delivery_id: DeliveryId) -> Result<bool, StoreError> {
    let sql = "SELECT body IS NOT NULL FROM deliveries WHERE delivery_id = ?1";
    tx.query_value(sql, [delivery_id.to_string()])
}
