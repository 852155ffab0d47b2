//! Webhooks for people who ask where theirs have got to.

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, params_from_iter};

use super::details::attempts;
use super::{AttemptRow, DeliveryRow, PageCursor, Reader, delivery_row};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::ids::{DeliveryId, RunId};
use crate::store::StoreError;
use crate::store::rows::{millis, parsed, time};

/// Which webhooks are asked for; what is empty or `None` asks for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// In one of these.
    pub statuses: Vec<DeliveryStatus>,
    /// Of runs of crons by this name.
    pub cron: Option<String>,
    /// About this run.
    pub run_id: Option<RunId>,
    /// With this in their URL, before its query.
    pub url: Option<String>,
    /// Recorded then or later.
    pub since: Option<Timestamp>,
    /// Recorded before.
    pub until: Option<Timestamp>,
}

/// A webhook as it stands in tables for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookRow {
    /// Where it stands.
    pub delivery: DeliveryRow,
    /// The run it tells about.
    pub run_id: RunId,
    /// The cron of that run, if it has one.
    pub cron_name: Option<String>,
}

/// One webhook with everything that is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookDetails {
    /// The webhook.
    pub row: WebhookRow,
    /// Its attempts, in order.
    pub attempts: Vec<AttemptRow>,
}

/// What [`webhook_row`] reads; a condition may follow.
pub(in crate::store) const WEBHOOK_ROWS: &str = "SELECT delivery_id, deliveries.run_id AS run_id, cron_name, url, deliveries.status AS status, \
     attempts, deliveries.due_at AS due_at, deliveries.reason_code AS reason_code, deliveries.reason AS reason, deliveries.created_at AS created_at, \
     deliveries.ended_at AS ended_at, deliveries.rowid AS seq FROM deliveries JOIN runs ON runs.run_id = deliveries.run_id";

impl Reader {
    /// The newest `limit` webhooks that are asked for, oldest first.
    pub fn webhooks(&self, filter: &DeliveryFilter, limit: u32) -> Result<Vec<WebhookRow>, StoreError> {
        let mut webhooks: Vec<_> =
            self.webhooks_before(filter, None, limit)?.into_iter().map(|(_, row)| row).collect();
        webhooks.reverse();
        Ok(webhooks)
    }

    /// At most `limit` webhooks before `place` (or from the last one), newest first, each with its own place.
    pub fn webhooks_before(
        &self,
        filter: &DeliveryFilter,
        cursor: Option<PageCursor>,
        limit: u32,
    ) -> Result<Vec<(PageCursor, WebhookRow)>, StoreError> {
        let (mut conditions, mut values) = conditions(filter);
        if let Some(PageCursor { at, row }) = cursor {
            conditions.push_str(" AND (deliveries.created_at, deliveries.rowid) < (?, ?)");
            values.extend([Value::Integer(at), Value::Integer(row)]);
        }
        values.push(Value::Integer(i64::from(limit)));
        let sql = format!(
            "{WEBHOOK_ROWS} WHERE {conditions} ORDER BY deliveries.created_at DESC, deliveries.rowid DESC LIMIT ?"
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

    /// Webhooks whose own id, or whose run's id, begins with `prefix`; at most `limit`.
    pub fn webhooks_with_prefix(&self, prefix: &str, limit: u32) -> Result<Vec<DeliveryId>, StoreError> {
        // Ids are lower-case hexadecimal digits and dashes, so `g` is beyond all that begin with the prefix.
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

    /// Everything about one webhook; `None` if there is none.
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

/// A filter as a condition on [`WEBHOOK_ROWS`], and the values in it.
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
        // The query may be a token, which is not to be found out by asking.
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

/// The webhook in this row.
pub(in crate::store) fn webhook_row(row: &Row<'_>) -> Result<WebhookRow, StoreError> {
    Ok(WebhookRow {
        delivery: delivery_row(row)?,
        run_id: parsed(row, "run_id")?,
        cron_name: row.get("cron_name")?,
    })
}
