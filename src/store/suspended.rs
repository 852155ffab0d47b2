//! URLs that are suspended because their receiver has said that they are gone. No delivery waits for such a
//! URL: one that would ends as `gone` in the transaction that would make it wait.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, named_params};

use super::counts::{Counted, Tx};
use super::rows::{millis, parsed, time};
use super::{Store, StoreError};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::delivery_mode::Suspension;
use crate::domain::reason::DeliveryReasonCode;

impl Store {
    /// Resumes deliveries to every suspended URL that contains `text` before its query, and returns the
    /// suspensions that ended.
    pub async fn resume_urls(&self, text: String) -> Result<Vec<Suspension>, StoreError> {
        self.write(move |tx| {
            // The query may be a token, and must not be found out by trying.
            let mut statement = tx.prepare_cached(
                "DELETE FROM suspended_urls WHERE instr(substr(url, 1, instr(url || '?', '?') - 1), ?1) > 0 \
                 RETURNING url, since, detail, delivery_id",
            )?;
            let mut rows = statement.query([&text])?;
            let mut resumed = Vec::new();
            while let Some(row) = rows.next()? {
                resumed.push(suspension(row)?);
            }
            Ok(resumed)
        })
        .await
    }
}

/// Suspends a URL, and ends every delivery that waits for it.
pub(super) fn suspend(tx: &Tx<'_>, suspension: &Suspension) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO suspended_urls (url, since, detail, delivery_id) VALUES (:url, :since, :detail, :delivery_id) \
         ON CONFLICT DO NOTHING",
    )?
    .execute(named_params! {
        ":url": suspension.url,
        ":since": millis(suspension.since),
        ":detail": suspension.detail,
        ":delivery_id": suspension.delivery_id.to_string(),
    })?;
    end_waiting_to(tx, &suspension.url, suspension.since)
}

/// Whether resuming deliveries to a URL changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resumption {
    Resumed,
    WasNotSuspended,
}

/// Resumes deliveries to a URL.
pub(super) fn resume(tx: &Transaction<'_>, url: &str) -> Result<Resumption, StoreError> {
    match tx.prepare_cached("DELETE FROM suspended_urls WHERE url = ?1")?.execute([url])? {
        0 => Ok(Resumption::WasNotSuspended),
        _ => Ok(Resumption::Resumed),
    }
}

/// Ends every delivery that waits for this URL, if it is suspended.
pub(super) fn end_waiting_to(tx: &Tx<'_>, url: &str, now: Timestamp) -> Result<(), StoreError> {
    let suspension = tx
        .prepare_cached("SELECT url, since, detail, delivery_id FROM suspended_urls WHERE url = ?1")?
        .query_row([url], |row| Ok(suspension(row)))
        .optional()?
        .transpose()?;
    suspension.map_or(Ok(()), |suspension| end_waiting(tx, &suspension, now))
}

/// Ends every delivery that waits for any suspended URL.
pub(super) fn end_all_waiting(tx: &Tx<'_>, now: Timestamp) -> Result<(), StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT url, since, detail, delivery_id FROM suspended_urls \
         WHERE url IN (SELECT url FROM deliveries WHERE due_at IS NOT NULL)",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        end_waiting(tx, &suspension(row)?, now)?;
    }
    Ok(())
}

/// Returns at most `limit` suspensions, the latest first.
pub(super) fn listed(tx: &Transaction<'_>, limit: u32) -> Result<Vec<Suspension>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT url, since, detail, delivery_id FROM suspended_urls ORDER BY since DESC, url LIMIT ?1",
    )?;
    let mut rows = statement.query([limit])?;
    let mut listed = Vec::new();
    while let Some(row) = rows.next()? {
        listed.push(suspension(row)?);
    }
    Ok(listed)
}

/// Returns how many URLs are suspended.
pub(super) fn count(tx: &Transaction<'_>) -> Result<u64, StoreError> {
    let mut statement = tx.prepare_cached("SELECT count(*) FROM suspended_urls")?;
    let count: i64 = statement.query_row([], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

fn end_waiting(tx: &Tx<'_>, suspension: &Suspension, now: Timestamp) -> Result<(), StoreError> {
    let deliveries = tx
        .prepare_cached(
            "UPDATE deliveries SET status = 'gone', due_at = NULL, ended_at = ?2, reason_code = ?3, reason = ?4 \
             WHERE url = ?1 AND due_at IS NOT NULL AND status = 'pending'",
        )?
        .execute((
            &suspension.url,
            millis(now),
            DeliveryReasonCode::UrlSuspended.as_str(),
            suspension.message(),
        ))?;
    tx.count(Counted::NeverSent { status: DeliveryStatus::Gone, deliveries });
    Ok(())
}

fn suspension(row: &Row<'_>) -> Result<Suspension, StoreError> {
    Ok(Suspension {
        url: row.get("url")?,
        since: time(row, "since")?,
        detail: row.get("detail")?,
        delivery_id: parsed(row, "delivery_id")?,
    })
}
