//! URLs that are suspended because their receiver has said that they are gone. No delivery waits for such a
//! URL: the transaction that would make it wait ends it as `gone` instead.

use jiff::Timestamp;

use super::counts::{Counted, Tx};
use super::delivery_body::BODY_AT_END;
use super::rows::{millis, parsed, time};
use super::sql::{Row, Transaction, named_params};
use super::{Store, StoreError, acts};
use crate::domain::act::{Act, ActKind, Actor, Subject};
use crate::domain::bounds::NOTE_CHARS_MAX;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::delivery_mode::Suspension;
use crate::domain::reason::DeliveryReasonCode;

impl Store {
    /// Resumes deliveries to every suspended URL that contains `text` before its query, and returns the
    /// suspensions that ended.
    pub async fn resume_urls(
        &self,
        now: Timestamp,
        by: Actor,
        text: String,
    ) -> Result<Vec<Suspension>, StoreError> {
        self.write(move |tx| {
            // The query may be a token, and callers must not be able to find it out by trying.
            let resumed = tx.query(
                "DELETE FROM suspended_urls WHERE instr(substr(url, 1, instr(url || '?', '?') - 1), ?1) > 0 \
                 RETURNING url, since, detail, delivery_id",
                [&text],
                suspension,
            )?;
            if !resumed.is_empty() {
                let (by, what, subject) = (by.clone(), ActKind::UrlResumed, Subject::default());
                let text: String = text.chars().take(NOTE_CHARS_MAX).collect();
                let note = Some(format!("all that contain {text}: {}", resumed.len()));
                acts::record(tx, &Act { at: now, by, what, subject, note })?;
            }
            Ok(resumed)
        })
        .await
    }
}

/// Suspends a URL, and ends every delivery that waits for it.
pub(super) fn suspend(tx: &Tx<'_>, suspension: &Suspension) -> Result<(), StoreError> {
    let sql = "INSERT INTO suspended_urls (url, since, detail, delivery_id) VALUES (:url, :since, :detail, :delivery_id) \
               ON CONFLICT DO NOTHING";
    tx.put(
        sql,
        named_params! {
            ":url": suspension.url,
            ":since": millis(suspension.since),
            ":detail": suspension.detail,
            ":delivery_id": suspension.delivery_id.to_string(),
        },
    )?;
    tx.any_suspended.set(Some(true));
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
    match tx.execute("DELETE FROM suspended_urls WHERE url = ?1", [url])? {
        0 => Ok(Resumption::WasNotSuspended),
        _ => Ok(Resumption::Resumed),
    }
}

/// Ends every delivery that waits for this URL, if it is suspended.
pub(super) fn end_waiting_to(tx: &Tx<'_>, url: &str, now: Timestamp) -> Result<(), StoreError> {
    // There is hardly ever any, and a commit has many deliveries.
    if !is_any(tx)? {
        return Ok(());
    }
    let suspension = tx.query_opt(
        "SELECT url, since, detail, delivery_id FROM suspended_urls WHERE url = ?1",
        [url],
        suspension,
    )?;
    suspension.map_or(Ok(()), |suspension| end_waiting(tx, &suspension, now))
}

/// Returns whether any URL is suspended.
pub(super) fn is_any(tx: &Tx<'_>) -> Result<bool, StoreError> {
    let any = match tx.any_suspended.get() {
        Some(any) => any,
        None => tx.query_value("SELECT EXISTS (SELECT 1 FROM suspended_urls)", ())?,
    };
    tx.any_suspended.set(Some(any));
    Ok(any)
}

/// Ends every delivery that waits for any suspended URL.
pub(super) fn end_all_waiting(tx: &Tx<'_>, now: Timestamp) -> Result<(), StoreError> {
    let sql = "SELECT url, since, detail, delivery_id FROM suspended_urls \
               WHERE url IN (SELECT url FROM deliveries WHERE due_at IS NOT NULL)";
    for suspension in tx.query(sql, (), suspension)? {
        end_waiting(tx, &suspension, now)?;
    }
    Ok(())
}

/// Returns at most `limit` suspensions, the latest first.
pub(super) fn listed(tx: &Transaction<'_>, limit: u32) -> Result<Vec<Suspension>, StoreError> {
    tx.query(
        "SELECT url, since, detail, delivery_id FROM suspended_urls ORDER BY since DESC, url LIMIT ?1",
        [limit],
        suspension,
    )
}

/// Returns how many URLs are suspended.
pub(super) fn count(tx: &Transaction<'_>) -> Result<u64, StoreError> {
    tx.query_count("SELECT count(*) FROM suspended_urls", ())
}

fn end_waiting(tx: &Tx<'_>, suspension: &Suspension, now: Timestamp) -> Result<(), StoreError> {
    let deliveries = tx.execute(
        &format!(
            "UPDATE deliveries SET status = 'gone', due_at = NULL, ended_at = ?2, reason_code = ?3, reason = ?4, \
             {BODY_AT_END} WHERE url = ?1 AND due_at IS NOT NULL AND status = 'pending'"
        ),
        (&suspension.url, millis(now), DeliveryReasonCode::UrlSuspended.as_str(), suspension.message()),
    )?;
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
