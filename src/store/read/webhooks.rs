//! Webhooks, for a person who looks for theirs.

use jiff::Timestamp;

use super::details::attempts;
use super::positions::{Columns, Conditions, Lookup, Order, positions, select, texts};
use super::{AttemptRow, DeliveryRow, PageCursor, Reader, delivery_row};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::ids::{DeliveryId, RunId};
use crate::domain::notification::target_of_url;
use crate::store::StoreError;
use crate::store::rows::{millis, parsed, parsed_option};
use crate::store::sql::{Row, Transaction, Value};

const BY_TIME: &str = "deliveries INDEXED BY deliveries_by_time WHERE true";
/// Of notifications, there are few beside so many webhooks.
const BY_TARGET: &str = "deliveries INDEXED BY deliveries_of_notifications WHERE deliveries.run_id IS NULL";
const BY_RUN: &str = "deliveries WHERE deliveries.run_id = ?";
/// A cron does not have too many runs to sort.
const BY_CRON: &str = "runs CROSS JOIN deliveries ON deliveries.run_id = runs.run_id \
     WHERE runs.cron_id IN (SELECT cron_id FROM crons WHERE name = ?)";
/// Few are pending or being sent, so they may be sorted.
const BY_DUE: &str = "deliveries INDEXED BY deliveries_due WHERE due_at IS NOT NULL AND status = ?";
const BY_SENDING: &str = "deliveries INDEXED BY deliveries_sending WHERE status = 'sending' AND status = ?";
const BY_STATUS: &str = "deliveries INDEXED BY deliveries_not_delivered \
     WHERE status <> 'delivered' AND status <> 'sending' AND status <> 'pending' AND status = ?";

/// Which webhooks to list. A field that is empty or `None` does not restrict the listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    pub statuses: Vec<DeliveryStatus>,
    /// The name of the run's cron.
    pub cron: Option<String>,
    pub run_id: Option<RunId>,
    /// A part of the URL before its query.
    pub url: Option<String>,
    /// The start of the range of creation times (inclusive).
    pub since: Option<Timestamp>,
    /// The end of the range of creation times (exclusive).
    pub until: Option<Timestamp>,
    /// Only those whose body is still stored.
    pub with_body: bool,
}

/// A webhook as listings show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookRow {
    pub delivery: DeliveryRow,
    /// The run that it reports.
    pub run_id: Option<RunId>,
    /// `None` if the run has no cron.
    pub cron_name: Option<String>,
}

/// One webhook with everything that is stored about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookDetails {
    pub row: WebhookRow,
    /// The attempts, in order.
    pub attempts: Vec<AttemptRow>,
}

/// Selects what [`webhook_row`] reads. A condition may follow.
pub(in crate::store) const WEBHOOK_ROWS: &str = "SELECT delivery_id, deliveries.run_id AS run_id, cron_name, url, \
     deliveries.status AS status, attempts, deliveries.due_at AS due_at, deliveries.reason_code AS reason_code, \
     deliveries.reason AS reason, deliveries.created_at AS created_at, deliveries.ended_at AS ended_at, \
     deliveries.seq AS seq FROM deliveries LEFT JOIN runs ON runs.run_id = deliveries.run_id";

impl Reader {
    /// Returns the newest `limit` webhooks that the filter selects, the oldest first.
    pub fn webhooks(&self, filter: &DeliveryFilter, limit: u32) -> Result<Vec<WebhookRow>, StoreError> {
        let mut webhooks: Vec<_> =
            self.webhooks_before(filter, None, limit)?.into_iter().map(|(_, row)| row).collect();
        webhooks.reverse();
        Ok(webhooks)
    }

    /// Returns at most `limit` webhooks before `cursor`, or from the last one, the newest first, each with
    /// its own cursor.
    pub fn webhooks_before(
        &self,
        filter: &DeliveryFilter,
        cursor: Option<PageCursor>,
        limit: u32,
    ) -> Result<Vec<(PageCursor, WebhookRow)>, StoreError> {
        self.at_one_moment(|tx| listed(tx, filter, Order::NewestFirst, cursor, limit))
    }

    /// Returns at most `limit` webhooks whose own id, or whose run's id, begins with `prefix`.
    pub fn webhooks_with_prefix(&self, prefix: &str, limit: u32) -> Result<Vec<DeliveryId>, StoreError> {
        // Ids are lower-case hexadecimal digits and dashes, so `g` sorts after all that begin with the
        // prefix.
        let prefix = prefix.to_ascii_lowercase();
        let beyond = format!("{prefix}g");
        self.at_one_moment(|tx| {
            tx.query(
                "SELECT delivery_id FROM deliveries WHERE delivery_id >= ?1 AND delivery_id < ?2 UNION \
                 SELECT delivery_id FROM deliveries WHERE run_id >= ?1 AND run_id < ?2 LIMIT ?3",
                (&prefix, &beyond, limit),
                |row| parsed(row, "delivery_id"),
            )
        })
    }

    /// Returns everything about one webhook, or `None` if there is none.
    pub fn webhook_details(&self, delivery_id: DeliveryId) -> Result<Option<WebhookDetails>, StoreError> {
        self.at_one_moment(|tx| {
            tx.query_opt(
                &format!("{WEBHOOK_ROWS} WHERE delivery_id = ?1"),
                [delivery_id.to_string()],
                |row| Ok(WebhookDetails { row: webhook_row(row)?, attempts: attempts(tx, delivery_id)? }),
            )
        })
    }
}

/// Returns at most `limit` webhooks that the filter selects, beyond the cursor if there is one, each with its own cursor.
pub(in crate::store) fn listed(
    tx: &Transaction<'_>,
    filter: &DeliveryFilter,
    order: Order,
    cursor: Option<PageCursor>,
    limit: u32,
) -> Result<Vec<(PageCursor, WebhookRow)>, StoreError> {
    let sql = format!("{WEBHOOK_ROWS} WHERE deliveries.seq = ?1");
    let mut webhooks = Vec::new();
    for cursor in positions(tx, filter.query(order, cursor), limit, 0)? {
        webhooks.extend(tx.query_opt(&sql, [cursor.row], |row| Ok((cursor, webhook_row(row)?)))?);
    }
    Ok(webhooks)
}

impl DeliveryFilter {
    /// Returns the query for the positions of these webhooks.
    pub(super) fn query(&self, order: Order, cursor: Option<PageCursor>) -> (String, Vec<Value>) {
        let columns = Columns { at: "deliveries.created_at", seq: "deliveries.seq" };
        select(&columns, &self.lookups(), self.conditions(), order, cursor)
    }

    fn lookups(&self) -> Vec<Lookup> {
        if let Some(cron) = &self.cron {
            return Lookup::each(BY_CRON, &[cron]);
        }
        if let Some(run_id) = self.run_id {
            return Lookup::each(BY_RUN, &[run_id]);
        }
        if self.url.as_ref().is_some_and(|url| target_of_url(url).is_some()) {
            return vec![Lookup::of(BY_TARGET)];
        }
        if self.statuses.is_empty() || self.statuses.contains(&DeliveryStatus::Delivered) {
            return vec![Lookup::of(BY_TIME)];
        }
        let lookup = |status: &DeliveryStatus| match status {
            DeliveryStatus::Pending => BY_DUE,
            DeliveryStatus::Sending => BY_SENDING,
            _ => BY_STATUS,
        };
        self.statuses.iter().flat_map(|status| Lookup::each(lookup(status), &[*status])).collect()
    }

    fn conditions(&self) -> Conditions {
        let mut conditions = Conditions::default();
        if let Some(run_id) = self.run_id {
            conditions.demand("deliveries.run_id = ?", texts(&[run_id]));
        }
        if let Some(url) = &self.url {
            // The query may be a token, and must not be found out by trying.
            conditions.demand(
                "instr(substr(url, 1, instr(url || '?', '?') - 1), ?) > 0",
                [Value::Text(url.clone())],
            );
        }
        if let Some(since) = self.since {
            conditions.demand("deliveries.created_at >= ?", [Value::Integer(millis(since))]);
        }
        if let Some(until) = self.until {
            conditions.demand("deliveries.created_at < ?", [Value::Integer(millis(until))]);
        }
        if self.with_body {
            conditions.demand("deliveries.body IS NOT NULL", []);
        }
        conditions.demand_one_of("deliveries.status", &self.statuses);
        conditions
    }
}

/// Returns the webhook in this row.
pub(in crate::store) fn webhook_row(row: &Row<'_>) -> Result<WebhookRow, StoreError> {
    Ok(WebhookRow {
        delivery: delivery_row(row)?,
        run_id: parsed_option(row, "run_id")?,
        cron_name: row.get("cron_name")?,
    })
}
