//! Replays: finished deliveries are sent again, with the same id and the same bytes, from the first step of
//! the retry schedule.

use jiff::Timestamp;
use uuid::Uuid;

use super::read::{Order, WEBHOOK_ROWS, listed, webhook_row};
use super::rows::{millis, run};
use super::sql::Transaction;
use super::suspended::{self, Resumption};
use super::{DeliveryFilter, Purpose, Store, StoreError, WebhookRow, acts, delivery_body};
use crate::domain::act::{Act, ActKind, Actor, Subject};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::reason::DeliveryReasonCode;

/// Which deliveries to replay.
#[derive(Clone, Debug)]
pub struct ReplayOrder {
    pub choice: ReplayChoice,
    /// The most deliveries to replay; the oldest come first.
    pub limit: u32,
    pub purpose: Purpose,
}

/// How deliveries are chosen.
#[derive(Clone, Debug)]
pub enum ReplayChoice {
    /// Those with these ids, or of the runs with these ids, in any status.
    Named(Vec<Uuid>),
    Matching(DeliveryFilter),
}

/// The deliveries that were replayed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// The deliveries as they were before the replay, the oldest first.
    pub webhooks: Vec<WebhookRow>,
    /// Whether there are more than the limit allowed.
    pub more: bool,
    /// The suspended URLs to which the replay has resumed deliveries.
    pub resumed: Vec<String>,
}

impl Store {
    /// Makes the chosen deliveries due now and resumes deliveries to their URLs, unless it is a dry run.
    /// Returns the deliveries.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if a named one does not exist, [`StoreError::Conflict`] if a named one is
    /// being sent. Then nothing is done.
    pub async fn replay(&self, now: Timestamp, by: Actor, order: ReplayOrder) -> Result<Replay, StoreError> {
        match order.purpose {
            // It changes nothing, so it need not wait for the writer.
            Purpose::DryRun => self.read_at_one_moment(move |tx| chosen(tx, &order)).await,
            Purpose::Act => self.write(move |tx| act(tx, &order, &by, now)).await,
        }
    }
}

fn act(tx: &Transaction<'_>, order: &ReplayOrder, by: &Actor, now: Timestamp) -> Result<Replay, StoreError> {
    let mut replay = chosen(tx, order)?;
    for row in &replay.webhooks {
        make_due(tx, row, now)?;
        match suspended::resume(tx, &row.delivery.url)? {
            Resumption::Resumed => replay.resumed.push(row.delivery.url.clone()),
            Resumption::WasNotSuspended => {}
        }
    }
    let subject = match replay.webhooks.as_slice() {
        [] => return Ok(replay),
        [one] => of_webhook(tx, one)?,
        _ => Subject::default(),
    };
    let note = match replay.webhooks.len() {
        1 => None,
        webhooks => Some(format!("{webhooks} webhooks")),
    };
    acts::record(tx, &Act { at: now, by: by.clone(), what: ActKind::WebhooksReplayed, subject, note })?;
    Ok(replay)
}

fn of_webhook(tx: &Transaction<'_>, webhook: &WebhookRow) -> Result<Subject, StoreError> {
    let of_run = match webhook.run_id {
        Some(run_id) => Subject::run(&run(tx, run_id)?),
        None => Subject::default(),
    };
    Ok(Subject { delivery_id: Some(webhook.delivery.delivery_id), ..of_run })
}

fn chosen(tx: &Transaction<'_>, order: &ReplayOrder) -> Result<Replay, StoreError> {
    let limit = usize::try_from(order.limit).unwrap_or(usize::MAX);
    let mut webhooks = match &order.choice {
        ReplayChoice::Named(ids) => named(tx, ids)?,
        ReplayChoice::Matching(filter) => matching(tx, filter, order.limit.saturating_add(1))?,
    };
    let more = webhooks.len() > limit;
    webhooks.truncate(limit);
    Ok(Replay { webhooks, more, resumed: Vec::new() })
}

fn named(tx: &Transaction<'_>, ids: &[Uuid]) -> Result<Vec<WebhookRow>, StoreError> {
    let sql = format!("{WEBHOOK_ROWS} WHERE delivery_id = ?1 OR deliveries.run_id = ?1");
    let mut webhooks: Vec<WebhookRow> = Vec::new();
    for id in ids {
        let found = tx.query(&sql, [id.to_string()], webhook_row)?;
        if found.is_empty() {
            let hint = "`agentcron webhook list` shows those that are";
            return Err(StoreError::NotFound(format!("there is no webhook {id}; {hint}")));
        }
        for webhook in found {
            if webhook.delivery.status == DeliveryStatus::Sending {
                return Err(StoreError::Conflict(format!(
                    "webhook {id} is being sent right now; nothing was replayed; ask again in a moment"
                )));
            }
            if !delivery_body::is_kept(tx, webhook.delivery.delivery_id)? {
                return Err(StoreError::Conflict(format!(
                    "webhook {id} cannot be sent again: its body is deleted (keep_values of [store] or of its cron); \
                     nothing was replayed"
                )));
            }
            if webhooks.iter().all(|known| known.delivery.delivery_id != webhook.delivery.delivery_id) {
                webhooks.push(webhook);
            }
        }
    }
    Ok(webhooks)
}

fn matching(
    tx: &Transaction<'_>,
    filter: &DeliveryFilter,
    limit: u32,
) -> Result<Vec<WebhookRow>, StoreError> {
    let mut filter = filter.clone();
    if filter.statuses.is_empty() {
        filter.statuses = DeliveryStatus::ALL.to_vec();
    }
    filter.with_body = true;
    filter.statuses.retain(|status| *status != DeliveryStatus::Sending);
    if filter.statuses.is_empty() {
        return Ok(Vec::new());
    }
    Ok(listed(tx, &filter, Order::OldestFirst, None, limit)?.into_iter().map(|(_, row)| row).collect())
}

/// Makes a delivery due. Its attempts keep counting, because their numbers tell them apart, but the retry
/// schedule begins anew.
fn make_due(tx: &Transaction<'_>, row: &WebhookRow, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE deliveries SET status = 'pending', due_at = ?2, ended_at = NULL, reason_code = ?3, reason = ?4, \
               uncounted = attempts WHERE delivery_id = ?1 AND status <> 'sending'";
    tx.execute(
        sql,
        (
            row.delivery.delivery_id.to_string(),
            millis(now),
            DeliveryReasonCode::Replayed.as_str(),
            format!("replayed on request at {now}; it was {}", row.delivery.status),
        ),
    )?;
    Ok(())
}
