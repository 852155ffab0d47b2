//! Deliveries that are due, and what came of their attempts.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, named_params};

use super::counts::{Counted, Tx};
use super::rows::{millis, parsed};
use super::{Store, StoreError};
use crate::domain::delivery::{AttemptReport, DeliveryStatus, Verdict};
use crate::domain::ids::{DeliveryId, RunId};

/// A delivery in hand: one attempt is to be made, and is counted already.
#[derive(Clone, Debug)]
pub struct ClaimedDelivery {
    /// Which.
    pub delivery_id: DeliveryId,
    /// The run it tells about.
    pub run_id: RunId,
    /// The cron of that run.
    pub cron_name: String,
    /// Where to; placeholders still in it.
    pub url: String,
    /// The exact bytes.
    pub body: Vec<u8>,
    /// Counted from 1.
    pub attempt: u32,
}

/// What was taken in hand.
#[derive(Clone, Debug, Default)]
pub struct DeliveryClaim<Place> {
    /// To be attempted now, each with its place.
    pub deliveries: Vec<(ClaimedDelivery, Place)>,
    /// When the next one is due.
    pub next_due_at: Option<Timestamp>,
}

/// An attempt that is over.
#[derive(Clone, Debug)]
pub struct FinishedAttempt {
    /// Of which delivery.
    pub delivery_id: DeliveryId,
    /// Which attempt.
    pub attempt: u32,
    /// When it was over.
    pub at: Timestamp,
    /// What came of it.
    pub report: AttemptReport,
    /// What follows.
    pub verdict: Verdict,
}

impl Store {
    /// Attempts that a former process was making are recorded as cut off, and due again now: at least once.
    pub async fn take_over_deliveries(&self, now: Timestamp) -> Result<usize, StoreError> {
        self.write(move |tx| {
            tx.prepare_cached(
                "UPDATE attempts SET ended_at = ?1, detail = 'cut off: the daemon stopped during this attempt' \
                 WHERE ended_at IS NULL",
            )?
            .execute([millis(now)])?;
            let taken_over = tx
                .prepare_cached("UPDATE deliveries SET status = 'pending', due_at = ?1 WHERE status = 'sending'")?
                .execute([millis(now)])?;
            Ok(taken_over)
        })
        .await
    }

    /// Webhooks are disabled: what waits is recorded as suppressed.
    pub async fn suppress_deliveries(&self, now: Timestamp) -> Result<usize, StoreError> {
        self.write(move |tx| {
            let suppressed = tx
                .prepare_cached(
                    "UPDATE deliveries SET status = 'suppressed', due_at = NULL, ended_at = ?1, \
                     reason = 'webhooks are disabled (http.disable_webhooks)' WHERE status = 'pending'",
                )?
                .execute([millis(now)])?;
            for _ in 0..suppressed {
                tx.count(Counted::DeliveryOver { status: DeliveryStatus::Suppressed, took: Duration::ZERO });
            }
            Ok(suppressed)
        })
        .await
    }

    /// Takes up to `limit` due deliveries in hand, the oldest first, and counts their attempts. Those whose URL `admit`
    /// gives no place are passed over; they stay due.
    pub async fn claim_deliveries<Place: Send + 'static>(
        &self,
        now: Timestamp,
        limit: usize,
        mut admit: impl FnMut(&str) -> Option<Place> + Send + 'static,
    ) -> Result<DeliveryClaim<Place>, StoreError> {
        self.write(move |tx| {
            let mut deliveries = Vec::new();
            for (delivery_id, place) in due(tx, now, limit, &mut admit)? {
                let delivery = waiting(tx, &delivery_id)?;
                begin_attempt(tx, &delivery, now)?;
                deliveries.push((delivery, place));
            }
            let next: Option<i64> = tx
                .prepare_cached("SELECT min(due_at) FROM deliveries WHERE due_at > ?1")?
                .query_row([millis(now)], |row| row.get(0))?;
            let next_due_at = next
                .map(Timestamp::from_millisecond)
                .transpose()
                .map_err(|error| StoreError::Refused(error.to_string()))?;
            Ok(DeliveryClaim { deliveries, next_due_at })
        })
        .await
    }

    /// Records what came of an attempt and what follows.
    pub async fn finish_attempt(&self, finished: FinishedAttempt) -> Result<(), StoreError> {
        self.write(move |tx| finish(tx, &finished)).await
    }
}

/// Read from an index alone, since many may have to be passed over.
fn due<Place>(
    tx: &Transaction<'_>,
    now: Timestamp,
    limit: usize,
    admit: &mut impl FnMut(&str) -> Option<Place>,
) -> Result<Vec<(String, Place)>, StoreError> {
    let mut statement =
        tx.prepare_cached("SELECT delivery_id, url FROM deliveries WHERE due_at <= ?1 ORDER BY due_at")?;
    let mut rows = statement.query([millis(now)])?;
    let mut admitted = Vec::new();
    while admitted.len() < limit
        && let Some(row) = rows.next()?
    {
        let url = row.get_ref("url")?.as_str().map_err(|error| StoreError::Refused(error.to_string()))?;
        if let Some(place) = admit(url) {
            admitted.push((row.get("delivery_id")?, place));
        }
    }
    Ok(admitted)
}

fn waiting(tx: &Transaction<'_>, delivery_id: &str) -> Result<ClaimedDelivery, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT delivery_id, deliveries.run_id AS run_id, cron_name, url, body, attempts FROM deliveries \
         JOIN runs ON runs.run_id = deliveries.run_id WHERE delivery_id = ?1",
    )?;
    let mut rows = statement.query([delivery_id])?;
    let Some(row) = rows.next()? else {
        return Err(StoreError::Refused(format!("there is no delivery {delivery_id}")));
    };
    Ok(ClaimedDelivery {
        delivery_id: parsed(row, "delivery_id")?,
        run_id: parsed(row, "run_id")?,
        cron_name: row.get("cron_name")?,
        url: row.get("url")?,
        body: row.get("body")?,
        attempt: row.get::<_, u32>("attempts")?.saturating_add(1),
    })
}

fn begin_attempt(tx: &Transaction<'_>, delivery: &ClaimedDelivery, now: Timestamp) -> Result<(), StoreError> {
    let delivery_id = delivery.delivery_id.to_string();
    tx.prepare_cached(
        "UPDATE deliveries SET status = 'sending', due_at = NULL, attempts = ?2 WHERE delivery_id = ?1",
    )?
    .execute((&delivery_id, delivery.attempt))?;
    tx.prepare_cached("INSERT INTO attempts (delivery_id, attempt, started_at) VALUES (?1, ?2, ?3)")?
        .execute((&delivery_id, delivery.attempt, millis(now)))?;
    Ok(())
}

fn finish(tx: &Tx<'_>, finished: &FinishedAttempt) -> Result<(), StoreError> {
    let delivery_id = finished.delivery_id.to_string();
    // The clock is for whoever looks on: `webhook doctor`.
    let AttemptReport { result, address, phases, answer, receiver_clock: _ } = &finished.report;
    let milliseconds =
        |took: Option<Duration>| took.map(|took| i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
    tx.prepare_cached(
        "UPDATE attempts SET ended_at = :at, code = :code, detail = :detail, address = :address, \
         answer = :answer, lookup_ms = :lookup, connect_ms = :connect, tls_ms = :tls, head_ms = :head \
         WHERE delivery_id = :delivery_id AND attempt = :attempt",
    )?
    .execute(named_params! {
        ":delivery_id": delivery_id,
        ":attempt": finished.attempt,
        ":at": millis(finished.at),
        ":code": result.code(),
        ":detail": result.detail(),
        ":address": address,
        ":answer": answer,
        ":lookup": milliseconds(phases.lookup),
        ":connect": milliseconds(phases.connect),
        ":tls": milliseconds(phases.tls),
        ":head": milliseconds(phases.head),
    })?;
    let (status, due_at, reason) = match &finished.verdict {
        Verdict::Delivered => (DeliveryStatus::Delivered, None, None),
        Verdict::Again(at) => (DeliveryStatus::Pending, Some(millis(*at)), result.detail()),
        Verdict::Ended(ending, reason) => (ending.status(), None, Some(reason.as_str())),
    };
    let over = due_at.is_none().then(|| millis(finished.at));
    // Only the attempt that is in hand may decide: an attempt of a former life is not listened to.
    let created_at: Option<i64> = tx
        .prepare_cached(
            "UPDATE deliveries SET status = ?3, due_at = ?4, reason = ?5, ended_at = ?6 \
             WHERE delivery_id = ?1 AND attempts = ?2 AND status = 'sending' RETURNING created_at",
        )?
        .query_row((&delivery_id, finished.attempt, status.as_str(), due_at, reason, over), |row| row.get(0))
        .optional()?;
    tx.count(Counted::Attempted { code: result.code() });
    if let (Some(created_at), Some(over)) = (created_at, over) {
        let took = Duration::from_millis(u64::try_from(over - created_at).unwrap_or(0));
        tx.count(Counted::DeliveryOver { status, took });
    }
    Ok(())
}
