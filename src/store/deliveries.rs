//! Deliveries that are due, and what came of their attempts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, named_params};

use super::counts::{Counted, Tx};
use super::rows::{millis, parsed};
use super::{Store, StoreError, delivery_mode, suspended};
use crate::domain::delivery::{AttemptReport, AttemptResult, DeliveryStatus, Ending, Verdict};
use crate::domain::delivery_mode::{DeliveryMode, RateLimit, Suspension};
use crate::domain::ids::{DeliveryId, RunId};
use crate::domain::reason::{DeliveryReasonCode, Reason};

/// What follows for a URL whose receiver has said that it is gone.
const SUSPENDED: &str =
    "its URL is suspended: `agentcron webhook resume`, or the replay of a webhook to it, ends that";

/// A delivery in hand: one attempt is to be made, and is counted already.
#[derive(Clone, Debug)]
pub struct ClaimedDelivery {
    /// Which.
    pub delivery_id: DeliveryId,
    /// The run it tells about.
    pub run_id: RunId,
    /// The cron of that run, if it has one.
    pub cron_name: Option<String>,
    /// Where to; placeholders still in it.
    pub url: String,
    /// The exact bytes.
    pub body: Vec<u8>,
    /// Counted from 1: nobody else has this number, so it tells this attempt's word from that of any other.
    pub attempt: u32,
    /// Earlier ones that do not count on the ladder.
    pub uncounted: u32,
}

impl ClaimedDelivery {
    /// Which attempt it is on the ladder, counted from 1.
    pub fn step(&self) -> u32 {
        self.attempt.saturating_sub(self.uncounted)
    }
}

/// What was taken in hand.
#[derive(Clone, Debug, Default)]
pub struct DeliveryClaim<Permit> {
    /// To be attempted now, each with its place.
    pub deliveries: Vec<(ClaimedDelivery, Permit)>,
    /// When the next one is due.
    pub next_due_at: Option<Timestamp>,
    /// How they flowed when they were taken.
    pub mode: DeliveryMode,
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
    pub async fn recover_deliveries(&self, now: Timestamp) -> Result<usize, StoreError> {
        self.write(move |tx| {
            tx.prepare_cached(
                "UPDATE attempts SET ended_at = ?1, detail = 'cut off: the daemon stopped during this attempt' \
                 WHERE ended_at IS NULL",
            )?
            .execute([millis(now)])?;
            let recovered = tx
                .prepare_cached("UPDATE deliveries SET status = 'pending', due_at = ?1 WHERE status = 'sending'")?
                .execute([millis(now)])?;
            suspended::end_all_waiting(tx, now)?;
            Ok(recovered)
        })
        .await
    }

    /// Takes up to `limit` due deliveries in hand, the oldest first, and counts their attempts: none while they are held,
    /// and no more than `pacer` allows while they are released at a rate. Those whose URL `admit` gives no place are
    /// passed over; they stay due.
    ///
    /// How they flow is read in the same transaction: once a hold is committed, nothing is taken in hand any more.
    pub async fn claim_deliveries<Permit: Send + 'static>(
        &self,
        now: Timestamp,
        limit: usize,
        rate_limit: RateLimit,
        mut admit: impl FnMut(&str) -> Option<Permit> + Send + 'static,
    ) -> Result<DeliveryClaim<Permit>, StoreError> {
        self.write(move |tx| {
            let mode = delivery_mode::go_on(tx, now)?;
            let (limit, next_due_at) = match &mode {
                DeliveryMode::Held(_) => (0, None),
                DeliveryMode::Released(release) => {
                    (limit.min(rate_limit.allowance(*release, now)), next_due_at(tx, now)?)
                }
                DeliveryMode::Free => (limit, next_due_at(tx, now)?),
            };
            let mut deliveries = Vec::new();
            for (row, permit) in due(tx, now, limit, &mut admit)? {
                if let Some(delivery) = take(tx, row, now)? {
                    deliveries.push((delivery, permit));
                }
            }
            Ok(DeliveryClaim { deliveries, next_due_at, mode })
        })
        .await
    }

    /// Records what came of an attempt and what follows. A URL that is gone is suspended.
    pub async fn finish_attempt(&self, finished: FinishedAttempt) -> Result<(), StoreError> {
        self.write(move |tx| finish(tx, &finished)).await
    }
}

/// The eldest delivery of one receiver that is due and was not looked at yet. The order of its fields is the order in
/// which they go out.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Front {
    due_at: i64,
    row: i64,
    receiver: String,
    url: String,
}

/// Those that get a place, the oldest first: of each receiver as many as it has places, and one that has none. Reading
/// on through what waits for a receiver that is down would take the longer the more has piled up there.
fn due<Permit>(
    tx: &Transaction<'_>,
    now: Timestamp,
    limit: usize,
    admit: &mut impl FnMut(&str) -> Option<Permit>,
) -> Result<Vec<(i64, Permit)>, StoreError> {
    let mut admitted = Vec::new();
    if limit == 0 {
        return Ok(admitted);
    }
    let mut fronts = fronts(tx, now)?;
    while admitted.len() < limit
        && let Some(Reverse(front)) = fronts.pop()
    {
        let Some(permit) = admit(&front.url) else { continue };
        fronts.extend(behind(tx, &front, now)?.map(Reverse));
        admitted.push((front.row, permit));
    }
    Ok(admitted)
}

/// One for each receiver, by as many steps in the index.
fn fronts(tx: &Transaction<'_>, now: Timestamp) -> Result<BinaryHeap<Reverse<Front>>, StoreError> {
    let mut first = tx.prepare_cached(
        "SELECT receiver, due_at, rowid, url FROM deliveries WHERE receiver > ?1 AND due_at IS NOT NULL \
         ORDER BY receiver, due_at, rowid LIMIT 1",
    )?;
    let (mut fronts, mut receiver) = (BinaryHeap::new(), String::new());
    while let Some(front) = first.query_row([&receiver], front_from_row).optional()? {
        receiver.clone_from(&front.receiver);
        if front.due_at <= millis(now) {
            fronts.push(Reverse(front));
        }
    }
    Ok(fronts)
}

fn behind(tx: &Transaction<'_>, front: &Front, now: Timestamp) -> Result<Option<Front>, StoreError> {
    let mut next = tx.prepare_cached(
        "SELECT receiver, due_at, rowid, url FROM deliveries WHERE receiver = ?1 AND due_at IS NOT NULL \
         AND (due_at, rowid) > (?2, ?3) AND due_at <= ?4 ORDER BY due_at, rowid LIMIT 1",
    )?;
    Ok(next.query_row((&front.receiver, front.due_at, front.row, millis(now)), front_from_row).optional()?)
}

fn front_from_row(row: &Row<'_>) -> rusqlite::Result<Front> {
    Ok(Front { receiver: row.get(0)?, due_at: row.get(1)?, row: row.get(2)?, url: row.get(3)? })
}

fn next_due_at(tx: &Transaction<'_>, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let next: Option<i64> = tx
        .prepare_cached("SELECT min(due_at) FROM deliveries WHERE due_at > ?1")?
        .query_row([millis(now)], |row| row.get(0))?;
    next.map(Timestamp::from_millisecond).transpose().map_err(|error| StoreError::Refused(error.to_string()))
}

/// Only what waits can be taken in hand: one statement looks, takes and counts.
fn take(tx: &Transaction<'_>, row: i64, now: Timestamp) -> Result<Option<ClaimedDelivery>, StoreError> {
    let mut statement = tx.prepare_cached(
        "UPDATE deliveries SET status = 'sending', due_at = NULL, attempts = attempts + 1 \
         WHERE rowid = ?1 AND status = 'pending' RETURNING delivery_id, run_id, url, body, attempts, \
         uncounted, (SELECT cron_name FROM runs WHERE runs.run_id = deliveries.run_id) AS cron_name",
    )?;
    let mut rows = statement.query([row])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let delivery = ClaimedDelivery {
        delivery_id: parsed(row, "delivery_id")?,
        run_id: parsed(row, "run_id")?,
        cron_name: row.get("cron_name")?,
        url: row.get("url")?,
        body: row.get("body")?,
        attempt: row.get("attempts")?,
        uncounted: row.get("uncounted")?,
    };
    // Done only once there is no further row to be had.
    while rows.next()?.is_some() {}
    tx.prepare_cached("INSERT INTO attempts (delivery_id, attempt, started_at) VALUES (?1, ?2, ?3)")?
        .execute((delivery.delivery_id.to_string(), delivery.attempt, millis(now)))?;
    Ok(Some(delivery))
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
         WHERE delivery_id = :delivery_id AND attempt = :attempt AND ended_at IS NULL",
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
    let withdrawn = matches!(result, AttemptResult::Withdrawn);
    let (status, due_at, reason) = match &finished.verdict {
        Verdict::Delivered => (DeliveryStatus::Delivered, None, None),
        Verdict::Again(at) => {
            let code =
                if withdrawn { DeliveryReasonCode::Withdrawn } else { DeliveryReasonCode::AttemptFailed };
            let message = result.detail().map(str::to_owned);
            (DeliveryStatus::Pending, Some(millis(*at)), Some(Reason { code, message }))
        }
        Verdict::Ended(Ending::Gone, detail) => {
            let message = format!("{detail}; {SUSPENDED}");
            (DeliveryStatus::Gone, None, Some(Reason::new(DeliveryReasonCode::UrlGone, message)))
        }
        Verdict::Ended(ending, message) => {
            (ending.status(), None, Some(Reason::new(ending.reason_code(), message)))
        }
    };
    let (code, message) = reason.map_or((None, None), |reason| (Some(reason.code.as_str()), reason.message));
    let over = due_at.is_none().then(|| millis(finished.at));
    // Only the attempt that is in hand may decide: an attempt of a former life is not listened to.
    let decided: Option<(String, i64)> = tx
        .prepare_cached(
            "UPDATE deliveries SET status = ?3, due_at = ?4, reason_code = ?5, reason = ?6, ended_at = ?7, \
             uncounted = uncounted + ?8 \
             WHERE delivery_id = ?1 AND attempts = ?2 AND status = 'sending' RETURNING url, created_at",
        )?
        .query_row(
            (&delivery_id, finished.attempt, status.as_str(), due_at, code, message, over, withdrawn),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    tx.count(Counted::Attempted { code: result.code() });
    if let (Some((_, created_at)), Some(over)) = (&decided, over) {
        let took = Duration::from_millis(u64::try_from(over - created_at).unwrap_or(0));
        tx.count(Counted::Delivered { status, took });
    }
    match (decided, &finished.verdict) {
        (Some((url, _)), Verdict::Ended(Ending::Gone, detail)) => {
            let (delivery_id, detail) = (finished.delivery_id, detail.clone());
            suspended::suspend(tx, &Suspension { url, since: finished.at, detail, delivery_id })
        }
        // It was suspended by another attempt meanwhile.
        (Some((url, _)), Verdict::Again(_)) => suspended::end_waiting_to(tx, &url, finished.at),
        (Some(_), Verdict::Delivered | Verdict::Ended(..)) | (None, _) => Ok(()),
    }
}
