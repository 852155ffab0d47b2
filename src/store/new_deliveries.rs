//! Inserts deliveries.

use jiff::Timestamp;

use super::counts::{Counted, Tx};
use super::rows::millis;
use super::sql::named_params;
use super::{StoreError, delivery_mode, suspended};
use crate::domain::delivery::{DeliveryStatus, NewDelivery};
use crate::domain::reason::DeliveryReasonCode;

/// The column `receiver`.
pub(crate) const RECEIVER: &str = "iif(of_client = 1, 'client ', '') || CASE instr(url, '://') WHEN 0 THEN url ELSE \
     substr(url, 1, instr(url, '://') + 2 + instr(substr(url, instr(url, '://') + 3) || '/', '/')) END";

/// Inserts a delivery: of a run that has ended, or of none.
pub(super) fn insert_delivery(tx: &Tx<'_>, delivery: &NewDelivery, now: Timestamp) -> Result<(), StoreError> {
    let suppressed = delivery.status == DeliveryStatus::Suppressed;
    let sql = format!(
        "INSERT INTO deliveries (delivery_id, run_id, url, body, status, due_at, created_at, ended_at, \
         reason_code, reason, of_client, receiver, keeps_body) \
         SELECT :delivery_id, :run_id, url, :body, :status, :due_at, :now, :ended_at, :reason_code, :reason, of_client, \
         {RECEIVER}, :keeps_body FROM (SELECT :url AS url, coalesce((SELECT iif(cron_source = 'file', 0, 1) \
         FROM runs WHERE run_id = :run_id), 0) AS of_client) AS of_run WHERE true ON CONFLICT DO NOTHING"
    );
    let values = named_params! {
            ":delivery_id": delivery.delivery_id.to_string(),
            ":run_id": delivery.run_id.map(|run_id| run_id.to_string()),
            ":url": delivery.url,
            ":body": (!suppressed || delivery.keeps_body).then_some(&delivery.body),
            ":keeps_body": delivery.keeps_body,
            ":status": delivery.status.as_str(),
            ":due_at": (!suppressed).then(|| millis(now)),
            ":now": millis(now),
            ":ended_at": suppressed.then(|| millis(now)),
            ":reason_code": suppressed.then_some(DeliveryReasonCode::Disabled.as_str()),
            ":reason": suppressed.then_some(delivery_mode::DISABLED),
    };
    if suppressed {
        let inserted = tx.execute(&sql, values)?;
        tx.count(Counted::NeverSent { status: delivery.status, deliveries: inserted });
        return Ok(());
    }
    tx.gather(delivery.delivery_id, &sql, values)?;
    suspended::end_waiting_to(tx, &delivery.url, now)
}
