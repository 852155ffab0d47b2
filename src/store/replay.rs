//! Deliveries that are to be made again: the same id, the same bytes, and the ladder from its first rung.

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Transaction, params_from_iter};
use uuid::Uuid;

use super::read::{WEBHOOK_ROWS, conditions, webhook_row};
use super::rows::millis;
use super::{DeliveryFilter, Purpose, Store, StoreError, WebhookRow, suspended};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::reason::DeliveryReasonCode;

/// What is to be replayed.
#[derive(Clone, Debug)]
pub struct ReplayOrder {
    /// Which.
    pub choice: ReplayChoice,
    /// At most so many, the oldest first.
    pub limit: u32,
    /// Whether anything is done.
    pub purpose: Purpose,
}

/// How deliveries are chosen.
#[derive(Clone, Debug)]
pub enum ReplayChoice {
    /// By their own ids, or those of their runs; whatever became of them.
    Named(Vec<Uuid>),
    /// By what is known of them.
    Matching(DeliveryFilter),
}

/// What was replayed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// As they stood before, the oldest first.
    pub webhooks: Vec<WebhookRow>,
    /// Whether there are more than the limit allowed.
    pub more: bool,
    /// Suspended URLs that were armed again by it.
    pub armed: Vec<String>,
}

impl Store {
    /// Makes deliveries wait again, due now, and arms their URLs; or tells which they are.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if one that was named is not there or is being sent; then nothing is done.
    pub async fn replay(&self, now: Timestamp, order: ReplayOrder) -> Result<Replay, StoreError> {
        match order.purpose {
            // The writer has other work.
            Purpose::Tell => self.read_at_one_moment(move |tx| chosen(tx, &order)).await,
            Purpose::Act => self.write(move |tx| act(tx, &order, now)).await,
        }
    }
}

fn act(tx: &Transaction<'_>, order: &ReplayOrder, now: Timestamp) -> Result<Replay, StoreError> {
    let mut replay = chosen(tx, order)?;
    for row in &replay.webhooks {
        again(tx, row, now)?;
        if suspended::arm(tx, &row.delivery.url)? {
            replay.armed.push(row.delivery.url.clone());
        }
    }
    Ok(replay)
}

fn chosen(tx: &Transaction<'_>, order: &ReplayOrder) -> Result<Replay, StoreError> {
    let limit = usize::try_from(order.limit).unwrap_or(usize::MAX);
    let mut webhooks = match &order.choice {
        ReplayChoice::Named(ids) => named(tx, ids)?,
        ReplayChoice::Matching(filter) => matching(tx, filter, order.limit.saturating_add(1))?,
    };
    let more = webhooks.len() > limit;
    webhooks.truncate(limit);
    Ok(Replay { webhooks, more, armed: Vec::new() })
}

fn named(tx: &Transaction<'_>, ids: &[Uuid]) -> Result<Vec<WebhookRow>, StoreError> {
    let mut statement =
        tx.prepare_cached(&format!("{WEBHOOK_ROWS} WHERE delivery_id = ?1 OR deliveries.run_id = ?1"))?;
    let mut webhooks: Vec<WebhookRow> = Vec::new();
    for id in ids {
        let mut rows = statement.query([id.to_string()])?;
        let mut found = false;
        while let Some(row) = rows.next()? {
            let webhook = webhook_row(row)?;
            found = true;
            if webhook.delivery.status == DeliveryStatus::Sending {
                return Err(StoreError::Refused(format!(
                    "webhook {id} is being sent right now; nothing was replayed; ask again in a moment"
                )));
            }
            if webhooks.iter().all(|known| known.delivery.delivery_id != webhook.delivery.delivery_id) {
                webhooks.push(webhook);
            }
        }
        if !found {
            let words = "`agentcron webhook list` shows those that are";
            return Err(StoreError::Refused(format!("there is no webhook {id}; {words}")));
        }
    }
    Ok(webhooks)
}

fn matching(
    tx: &Transaction<'_>,
    filter: &DeliveryFilter,
    limit: u32,
) -> Result<Vec<WebhookRow>, StoreError> {
    let (conditions, mut values) = conditions(filter);
    values.push(Value::Integer(i64::from(limit)));
    let sql = format!(
        "{WEBHOOK_ROWS} WHERE {conditions} AND deliveries.status <> 'sending' \
         ORDER BY deliveries.created_at, deliveries.rowid LIMIT ?"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(&values))?;
    let mut webhooks = Vec::new();
    while let Some(row) = rows.next()? {
        webhooks.push(webhook_row(row)?);
    }
    Ok(webhooks)
}

/// Attempts go on counting, since their numbers tell them apart; the ladder begins anew.
fn again(tx: &Transaction<'_>, row: &WebhookRow, now: Timestamp) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE deliveries SET status = 'pending', due_at = ?2, ended_at = NULL, reason_code = ?3, reason = ?4, \
         uncounted = attempts WHERE delivery_id = ?1 AND status <> 'sending'",
    )?
    .execute((
        row.delivery.delivery_id.to_string(),
        millis(now),
        DeliveryReasonCode::Replayed.as_str(),
        format!("replayed on request at {now}; it was {}", row.delivery.status),
    ))?;
    Ok(())
}
