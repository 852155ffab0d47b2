//! Webhooks, for a person who looks for theirs.

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, params_from_iter};

use super::details::attempts;
use super::{AttemptRow, DeliveryRow, PageCursor, Reader, delivery_row};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::ids::{DeliveryId, RunId};
use crate::store::StoreError;
use crate::store::rows::{millis, parsed, time};

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
}

/// A webhook as listings show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookRow {
    pub delivery: DeliveryRow,
    /// The run that it reports.
    pub run_id: RunId,
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
     deliveries.seq AS seq FROM deliveries JOIN runs ON runs.run_id = deliveries.run_id";

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
        let (mut conditions, mut values) = conditions(filter);
        if let Some(PageCursor { at, row }) = cursor {
            conditions.push_str(" AND (deliveries.created_at, deliveries.seq) < (?, ?)");
            values.extend([Value::Integer(at), Value::Integer(row)]);
        }
        values.push(Value::Integer(i64::from(limit)));
        let sql = format!(
            "{WEBHOOK_ROWS} WHERE {conditions} ORDER BY deliveries.created_at DESC, deliveries.seq DESC LIMIT ?"
        );
        self.at_one_moment(|tx| {
            let mut statement = tx.prepare_cached(&sql)?;
            let mut rows = statement.query(params_from_iter(&values))?;
            let mut webhooks = Vec::new();
            while let Some(row) = rows.next()? {
                let cursor = PageCursor { at: millis(time(row, "created_at")?), row: row.get("seq")? };
                webhooks.push((cursor, webhook_row(row)?));
            }
            Ok(webhooks)
        })
    }

    /// Returns at most `limit` webhooks whose own id, or whose run's id, begins with `prefix`.
    pub fn webhooks_with_prefix(&self, prefix: &str, limit: u32) -> Result<Vec<DeliveryId>, StoreError> {
        // Ids are lower-case hexadecimal digits and dashes, so `g` sorts after all that begin with the
        // prefix.
        let prefix = prefix.to_ascii_lowercase();
        let beyond = format!("{prefix}g");
        self.at_one_moment(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT delivery_id FROM deliveries WHERE delivery_id >= ?1 AND delivery_id < ?2 UNION \
                 SELECT delivery_id FROM deliveries WHERE run_id >= ?1 AND run_id < ?2 LIMIT ?3",
            )?;
            let mut rows = statement.query((&prefix, &beyond, limit))?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(parsed(row, "delivery_id")?);
            }
            Ok(found)
        })
    }

    /// Returns everything about one webhook, or `None` if there is none.
    pub fn webhook_details(&self, delivery_id: DeliveryId) -> Result<Option<WebhookDetails>, StoreError> {
        self.at_one_moment(|tx| {
            let mut statement = tx.prepare_cached(&format!("{WEBHOOK_ROWS} WHERE delivery_id = ?1"))?;
            let row =
                statement.query_row([delivery_id.to_string()], |row| Ok(webhook_row(row))).optional()?;
            let Some(row) = row.transpose()? else { return Ok(None) };
            Ok(Some(WebhookDetails { row, attempts: attempts(tx, delivery_id)? }))
        })
    }
}

/// Returns a filter as a condition for [`WEBHOOK_ROWS`], and the values of its `?`.
pub(in crate::store) fn conditions(filter: &DeliveryFilter) -> (String, Vec<Value>) {
    let mut terms = vec!["1".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    let mut term = |term: &str, value: Value| {
        terms.push(term.to_owned());
        values.push(value);
    };
    if let Some(cron) = &filter.cron {
        term("cron_name = ?", Value::Text(cron.clone()));
    }
    if let Some(run_id) = filter.run_id {
        term("deliveries.run_id = ?", Value::Text(run_id.to_string()));
    }
    if let Some(url) = &filter.url {
        // The query may be a token, and must not be found out by trying.
        term("instr(substr(url, 1, instr(url || '?', '?') - 1), ?) > 0", Value::Text(url.clone()));
    }
    if let Some(since) = filter.since {
        term("deliveries.created_at >= ?", Value::Integer(millis(since)));
    }
    if let Some(until) = filter.until {
        term("deliveries.created_at < ?", Value::Integer(millis(until)));
    }
    if !filter.statuses.is_empty() {
        let marks = vec!["?"; filter.statuses.len()].join(", ");
        terms.push(format!("deliveries.status IN ({marks})"));
        values.extend(filter.statuses.iter().map(|status| Value::Text(status.as_str().to_owned())));
    }
    (terms.join(" AND "), values)
}

/// Returns the webhook in this row.
pub(in crate::store) fn webhook_row(row: &Row<'_>) -> Result<WebhookRow, StoreError> {
    Ok(WebhookRow {
        delivery: delivery_row(row)?,
        run_id: parsed(row, "run_id")?,
        cron_name: row.get("cron_name")?,
    })
}
