//! Inserts deliveries: those of runs that have ended, and those of messages, which report no run.

use jiff::Timestamp;

use super::counts::{Counted, Tx};
use super::rows::millis;
use super::sql::named_params;
use super::{StoreError, delivery_mode, suspended};
use crate::domain::delivery::{DeliveryStatus, NewDelivery};
use crate::domain::ids::DeliveryId;
use crate::domain::ping::Ping;
use crate::domain::reason::DeliveryReasonCode;

/// The column `receiver`.
pub(crate) const RECEIVER: &str = "iif(of_client = 1, 'client ', '') || CASE instr(url, '://') WHEN 0 THEN url ELSE \
     substr(url, 1, instr(url, '://') + 2 + instr(substr(url, instr(url, '://') + 3) || '/', '/')) END";

/// Inserts the delivery of a run that has ended.
pub(super) fn insert_delivery(tx: &Tx<'_>, delivery: &NewDelivery, now: Timestamp) -> Result<(), StoreError> {
    let suppressed = delivery.status == DeliveryStatus::Suppressed;
    let sql = format!(
        "INSERT INTO deliveries (delivery_id, run_id, url, body, status, due_at, created_at, ended_at, \
         reason_code, reason, of_client, receiver, keeps_body) \
         SELECT :delivery_id, :run_id, url, :body, :status, :due_at, :now, :ended_at, :reason_code, :reason, of_client, \
         {RECEIVER}, :keeps_body FROM (SELECT :url AS url, iif(cron_source = 'file', 0, 1) AS of_client \
         FROM runs WHERE run_id = :run_id) AS of_run WHERE true ON CONFLICT DO NOTHING"
    );
    let values = named_params! {
            ":delivery_id": delivery.delivery_id.to_string(),
            ":run_id": delivery.run_id.to_string(),
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

/// Something to be sent that reports no run.
pub(super) struct Message<'m> {
    pub(super) delivery_id: DeliveryId,
    pub(super) url: &'m str,
    pub(super) body: &'m [u8],
    /// Whether it is only recorded.
    pub(super) is_suppressed: bool,
    /// Whether the body stays when the delivery has ended.
    pub(super) keeps_body: bool,
}

/// Inserts the delivery of a message.
pub(super) fn insert_message(tx: &Tx<'_>, message: &Message<'_>, now: Timestamp) -> Result<(), StoreError> {
    let Message { delivery_id, url, body, is_suppressed, keeps_body } = *message;
    let status = if is_suppressed { DeliveryStatus::Suppressed } else { DeliveryStatus::Pending };
    let sql = format!(
        "INSERT INTO deliveries (delivery_id, url, body, status, due_at, created_at, ended_at, reason_code, reason, receiver, \
         keeps_body) \
         SELECT :delivery_id, url, :body, :status, :due_at, :now, :ended_at, :reason_code, :reason, {RECEIVER}, :keeps_body \
         FROM (SELECT :url AS url, 0 AS of_client) AS of_message WHERE true ON CONFLICT DO NOTHING"
    );
    let inserted = tx.execute(
        &sql,
        named_params! {
            ":delivery_id": delivery_id.to_string(),
            ":url": url,
            ":body": body,
            ":keeps_body": keeps_body,
            ":status": status.as_str(),
            ":due_at": (!is_suppressed).then(|| millis(now)),
            ":now": millis(now),
            ":ended_at": is_suppressed.then(|| millis(now)),
            ":reason_code": is_suppressed.then_some(DeliveryReasonCode::Disabled.as_str()),
            ":reason": is_suppressed.then_some(delivery_mode::DISABLED),
        },
    )?;
    if is_suppressed {
        tx.count(Counted::NeverSent { status, deliveries: inserted });
        return Ok(());
    }
    suspended::end_waiting_to(tx, url, now)
}

/// Inserts the delivery of a ping.
pub(super) fn insert_ping(tx: &Tx<'_>, ping: &Ping, now: Timestamp) -> Result<(), StoreError> {
    let Ping { delivery_id, url, body } = ping;
    let (delivery_id, is_suppressed) = (*delivery_id, false);
    // What it says of a run must not stay longer than the run.
    insert_message(tx, &Message { delivery_id, url, body, is_suppressed, keeps_body: false }, now)
}
