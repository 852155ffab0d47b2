//! Claiming the deliveries that are due, and recording what their attempts came to.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::backoff;
use crate::domain::cron::CronSource;
use crate::domain::delivery::{AttemptReport, AttemptResult, DeliveryStatus, Ending, Turn, Verdict};
use crate::domain::delivery_mode::{DeliveryMode, RateLimit, Suspension};
use crate::domain::ids::{DaemonNumber, DeliveryId, RunId};
use crate::domain::reason::{DeliveryReasonCode, Reason};
use crate::store::counts::{Counted, Tx};
use crate::store::delivery_mode::{self, CurrentMode};
use crate::store::delivery_queue::{Admission, Claimable, Due, QueueHead, SenderOf, due};
use crate::store::receivers_away::{self, ReceiverAway};
use crate::store::rows::{millis, parsed, parsed_option, timestamp};
use crate::store::sql::{Row, Transaction, array};
use crate::store::write_queue::Changes;
use crate::store::{Store, StoreError, suspended};

/// What the end of a delivery to a URL that is gone means for the URL.
const SUSPENDED: &str =
    "its URL is suspended; `agentcron webhook resume`, or a replay of a webhook to it, ends the suspension";

/// A claimed delivery. Its next attempt has been counted already and must be made now.
#[derive(Clone, Debug)]
pub struct ClaimedDelivery {
    pub(in crate::store) seq: i64,
    pub delivery_id: DeliveryId,
    pub(in crate::store) created_at: Timestamp,
    /// When it was claimed.
    pub(in crate::store) claimed_at: Timestamp,
    /// The run that the delivery reports; `None` for a notification.
    pub run_id: Option<RunId>,
    /// `None` if the run has no cron.
    pub cron_name: Option<String>,
    /// The receiver's URL, with its placeholders not yet filled.
    pub url: String,
    /// The exact bytes to send.
    pub body: Vec<u8>,
    /// The attempt number, counted from 1. No other attempt of this delivery has it, so their results cannot
    /// be mixed up.
    pub attempt: u32,
    /// How many earlier attempts do not count on the retry schedule.
    pub uncounted: u32,
    /// Whose URL it is: that of the author of a file, or of a client.
    pub source: CronSource,
    /// When its turn would have been, if it is claimed before that.
    pub early: Option<Timestamp>,
}

impl ClaimedDelivery {
    /// Returns when it was recorded.
    pub fn recorded_at(&self) -> Timestamp {
        self.created_at
    }

    /// Returns when this attempt is made.
    pub fn turn(&self) -> Turn {
        self.early.map_or(Turn::Step(self.attempt.saturating_sub(self.uncounted)), Turn::Early)
    }
}

/// The deliveries that were claimed.
#[derive(Clone, Debug, Default)]
pub struct DeliveryClaim<Permit> {
    /// The deliveries to attempt now, each with the permit under which it was admitted.
    pub deliveries: Vec<(ClaimedDelivery, Permit)>,
    pub next_due_at: Option<Timestamp>,
    /// The mode under which they were claimed.
    pub mode: DeliveryMode,
    /// The latest of those that are due and left to another daemon, to which their receivers belong.
    pub of_another: Option<i64>,
}

/// An attempt that has finished.
#[derive(Clone, Debug)]
pub struct FinishedAttempt {
    pub delivery: ClaimedDelivery,
    pub at: Timestamp,
    pub report: AttemptReport,
    /// What follows for the delivery.
    pub verdict: Verdict,
    /// The receivers that it has shown to be back. What waited because they were away is due now.
    pub back: Vec<ReceiverAway>,
}

impl Store {
    /// Claims up to `limit` due deliveries, the oldest first, and counts their attempts: none while webhooks
    /// are held, and no more than `rate_limit` allows while they are released at a rate. A delivery whose URL
    /// gets no permit from `admit` is passed over and stays due. If nothing is due at one of the receivers `away`, the next
    /// delivery there is claimed before its turn.
    ///
    /// The mode is read in the same transaction: once a hold is committed, nothing is claimed any more. If
    /// the transaction is undone and runs again, `admit` is called again; the permits of the first time have
    /// been dropped by then.
    pub async fn claim_deliveries<Permit: Send + 'static>(
        &self,
        now: Timestamp,
        limit: usize,
        rate_limit: RateLimit,
        away: Vec<ReceiverAway>,
        mut admit: impl FnMut(Claimable<'_>) -> Admission<Permit> + Send + 'static,
    ) -> Result<DeliveryClaim<Permit>, StoreError> {
        let daemon = self.number;
        let (claim, release_ended) = self
            .write_hot(move |tx| {
                let CurrentMode { mode, release_ended } = delivery_mode::end_release(tx, now)?;
                let (limit, next_due_at) = match &mode {
                    DeliveryMode::Held(_) => (0, None),
                    DeliveryMode::Released(release) => {
                        (limit.min(rate_limit.allowance(*release, now)), next_due_at(tx, now)?)
                    }
                    DeliveryMode::Free => (limit, next_due_at(tx, now)?),
                };
                let sender = match &mode {
                    DeliveryMode::Released(_) => SenderOf::Us,
                    DeliveryMode::Free | DeliveryMode::Held(_) => SenderOf::Owner,
                };
                let Due { mut admitted, of_another_until, of_another } =
                    due(tx, now, limit, sender, &mut admit)?;
                let next_due_at = next_due_at.into_iter().chain(of_another_until).min();
                for receiver in &away {
                    if admitted.len() >= limit {
                        break;
                    }
                    let Some(head) = receivers_away::next_early(tx, receiver, now)? else { continue };
                    if let Admission::Admitted(permit) = admit(head.claimable(sender)?) {
                        admitted.push((head, permit));
                    }
                }
                let deliveries = take_all(tx, admitted, daemon, now)?;
                Ok((DeliveryClaim { deliveries, next_due_at, mode, of_another }, release_ended))
            })
            .await?;
        if let Some(release) = release_ended {
            tracing::info!(
                per_second = release.per_second,
                "release of webhooks finished; they are sent at once again"
            );
        }
        Ok(claim)
    }

    /// Records the results of attempts and what follows from them. A URL that is gone is suspended.
    pub async fn finish_attempts(&self, finished: Arc<Vec<FinishedAttempt>>) -> Result<(), StoreError> {
        let daemon = self.number;
        // What concerns other deliveries than these is rare, and nobody else may add or claim one meanwhile.
        let concerns_others = |attempt: &FinishedAttempt| {
            !attempt.back.is_empty() || matches!(attempt.verdict, Verdict::Ended(Ending::Gone, _))
        };
        let changes = match finished.iter().any(concerns_others) {
            true => Changes::Anything,
            false => Changes::Free,
        };
        let work = move |tx: &Tx<'_>| {
            let mut made = still_made(tx, &finished, daemon)?;
            for attempt in finished.iter() {
                let ClaimedDelivery { seq, attempt: number, .. } = attempt.delivery;
                if made.as_mut().is_none_or(|made| made.remove(&(seq, number))) {
                    finish(tx, attempt, daemon)?;
                }
                attempt.back.iter().try_for_each(|back| receivers_away::make_due(tx, back, attempt.at))?;
            }
            Ok(())
        };
        self.writer.write(changes, work).await
    }
}

fn next_due_at(tx: &Transaction<'_>, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let next: Option<i64> =
        tx.query_value("SELECT min(due_at) FROM deliveries WHERE due_at > ?1", [millis(now)])?;
    next.map(|at| timestamp(at, "due_at")).transpose()
}

/// What is read of a delivery that was claimed.
const CLAIMED: &str = "seq, delivery_id, run_id, attempts, uncounted, (SELECT cron_name FROM runs WHERE runs.run_id = deliveries.run_id) \
     AS cron_name, created_at, body";

/// Claims the deliveries at these heads of queues and counts their attempts. Only a pending delivery can be claimed.
fn take_all<Permit>(
    tx: &Transaction<'_>,
    admitted: Vec<(QueueHead, Permit)>,
    daemon: DaemonNumber,
    now: Timestamp,
) -> Result<Vec<(ClaimedDelivery, Permit)>, StoreError> {
    let mut claimed = Vec::new();
    if !tx.is_far() {
        for (head, permit) in admitted {
            claimed.extend(take(tx, &head, daemon, now)?.map(|delivery| (delivery, permit)));
        }
        return Ok(claimed);
    }
    let rows: Vec<i64> = admitted.iter().map(|(head, _)| head.row).collect();
    let mut heads: HashMap<i64, (QueueHead, Permit)> =
        admitted.into_iter().map(|(head, permit)| (head.row, (head, permit))).collect();
    if rows.is_empty() {
        return Ok(claimed);
    }
    let order: HashMap<i64, usize> = rows.iter().copied().zip(0..).collect();
    // Others may be about to claim the same, or have sent it since it was seen, so that it waits again.
    let sql = "SELECT seq, due_at FROM deliveries WHERE seq = ANY(?1) AND status = 'pending' ORDER BY seq \
               /*: FOR NO KEY UPDATE SKIP LOCKED */";
    let free = tx.query(sql, [array(&rows)], |row| Ok((row.get::<i64>("seq")?, row.get("due_at")?)))?;
    let is_as_seen = |(row, due_at): &(i64, Option<i64>)| {
        heads.get(row).is_some_and(|(head, _)| *due_at == Some(head.due_at))
    };
    let rows: Vec<i64> = free.into_iter().filter(is_as_seen).map(|(row, _)| row).collect();
    let sql = format!("{TAKE} WHERE seq = ANY(?1) RETURNING {CLAIMED}");
    tx.each(&sql, (array(&rows), millis(now), daemon.0), |row| {
        if let Some((head, permit)) = heads.remove(&row.get("seq")?) {
            claimed.push((claimed_from_row(row, &head, now)?, permit));
        }
        Ok(())
    })?;
    // In the order in which they were due.
    claimed.sort_by_cached_key(|(delivery, _)| order.get(&delivery.seq).copied());
    Ok(claimed)
}

const TAKE: &str = "UPDATE deliveries SET status = 'sending', due_at = NULL, sending_since = ?2, held_by = ?3, \
     attempts = attempts + 1";

fn take(
    tx: &Transaction<'_>,
    head: &QueueHead,
    daemon: DaemonNumber,
    now: Timestamp,
) -> Result<Option<ClaimedDelivery>, StoreError> {
    // Two statements are faster than one that returns what it has updated.
    let sql = format!("{TAKE} WHERE seq = ?1 AND status = 'pending'");
    if tx.execute(&sql, [head.row, millis(now), daemon.0])? == 0 {
        return Ok(None);
    }
    let sql = format!("SELECT {CLAIMED} FROM deliveries WHERE seq = ?1");
    tx.query_opt(&sql, [head.row], |row| claimed_from_row(row, head, now))
}

fn claimed_from_row(row: &Row<'_>, head: &QueueHead, now: Timestamp) -> Result<ClaimedDelivery, StoreError> {
    Ok(ClaimedDelivery {
        seq: head.row,
        delivery_id: parsed(row, "delivery_id")?,
        created_at: timestamp(row.get("created_at")?, "created_at")?,
        claimed_at: now,
        run_id: parsed_option(row, "run_id")?,
        cron_name: row.get("cron_name")?,
        url: head.url.clone(),
        body: row.get("body")?,
        attempt: row.get("attempts")?,
        uncounted: row.get("uncounted")?,
        source: head.source,
        early: (head.due_at > millis(now)).then(|| timestamp(head.due_at, "due_at")).transpose()?,
    })
}

/// Returns which of these attempts this daemon still makes, if each by itself would be a way to a server and back.
fn still_made(
    tx: &Transaction<'_>,
    finished: &[FinishedAttempt],
    daemon: DaemonNumber,
) -> Result<Option<HashSet<(i64, u32)>>, StoreError> {
    if !tx.is_far() {
        return Ok(None);
    }
    let rows: Vec<i64> = finished.iter().map(|finished| finished.delivery.seq).collect();
    let sql =
        "SELECT seq, attempts FROM deliveries WHERE seq = ANY(?1) AND status = 'sending' AND held_by = ?2";
    let made = tx.query(sql, (array(&rows), daemon.0), |row| Ok((row.get("seq")?, row.get("attempts")?)))?;
    Ok(Some(made.into_iter().collect()))
}

/// What an attempt means for its delivery, as columns.
struct DeliveryOutcome {
    status: DeliveryStatus,
    /// When the next attempt is due, or `None` if the delivery has ended.
    due_at: Option<Timestamp>,
    reason: Option<Reason<DeliveryReasonCode>>,
}

impl DeliveryOutcome {
    fn of(verdict: &Verdict, result: &AttemptResult) -> Self {
        match verdict {
            Verdict::Delivered => Self { status: DeliveryStatus::Delivered, due_at: None, reason: None },
            Verdict::Again(at) => {
                let code = match result {
                    AttemptResult::Withdrawn => DeliveryReasonCode::Withdrawn,
                    AttemptResult::NoValue { .. } => DeliveryReasonCode::NoValue,
                    AttemptResult::Accepted { .. }
                    | AttemptResult::Refused { .. }
                    | AttemptResult::Final { .. } => DeliveryReasonCode::AttemptFailed,
                };
                let reason = Reason { code, message: result.detail().map(str::to_owned) };
                Self { status: DeliveryStatus::Pending, due_at: Some(*at), reason: Some(reason) }
            }
            Verdict::Ended(Ending::Gone, detail) => {
                let reason = Reason::new(DeliveryReasonCode::UrlGone, format!("{detail}; {SUSPENDED}"));
                Self { status: DeliveryStatus::Gone, due_at: None, reason: Some(reason) }
            }
            Verdict::Ended(ending, message) => {
                let reason = Reason::new(ending.reason_code(), message);
                Self { status: ending.status(), due_at: None, reason: Some(reason) }
            }
        }
    }
}

fn finish(tx: &Tx<'_>, finished: &FinishedAttempt, daemon: DaemonNumber) -> Result<(), StoreError> {
    let result = &finished.report.result;
    let DeliveryOutcome { status, due_at, reason } = DeliveryOutcome::of(&finished.verdict, result);
    let (code, message) = reason.map_or((None, None), |reason| (Some(reason.code.as_str()), reason.message));
    let ended_at = due_at.is_none().then(|| millis(finished.at));
    let ClaimedDelivery { seq, delivery_id, attempt, url, .. } = &finished.delivery;
    let not_made = matches!(result, AttemptResult::NoValue { .. });
    // The retry schedule does not count an attempt that was made before its turn.
    let is_early = finished.delivery.early.is_some();
    let uncounted = is_early && !not_made || matches!(result, AttemptResult::Withdrawn);
    let sql = "UPDATE deliveries SET status = ?3, due_at = ?4, sending_since = NULL, held_by = NULL, reason_code = ?5, reason = ?6, \
               ended_at = ?7, uncounted = uncounted + ?8, attempts = attempts - ?9, \
               body = iif(CAST(?7 AS BIGINT) IS NULL OR keeps_body = 1, body, NULL) \
               WHERE seq = ?1 AND attempts = ?2 AND status = 'sending' AND held_by = ?10";
    let decided = tx.gather_counted(
        seq,
        sql,
        (
            seq,
            attempt,
            status.as_str(),
            due_at.map(millis),
            code,
            message,
            ended_at,
            uncounted,
            not_made,
            daemon.0,
        ),
    )?;
    // Only the latest attempt may decide, and only whoever holds it: what is said by a former holder is ignored.
    if decided.is_none() {
        return Ok(());
    }
    if !not_made {
        save_attempt(tx, finished)?;
        tx.count(Counted::Attempted { code: result.code() });
    }
    if due_at.is_none() {
        let took = backoff::between(finished.delivery.created_at, finished.at);
        tx.count(Counted::Delivered { status, took });
    }
    match &finished.verdict {
        Verdict::Ended(Ending::Gone, detail) => {
            let (url, detail, delivery_id) = (url.clone(), detail.clone(), *delivery_id);
            suspended::suspend(tx, &Suspension { url, since: finished.at, detail, delivery_id })
        }
        // Another attempt may have suspended the URL in the meantime.
        Verdict::Again(_) => suspended::end_waiting_to(tx, url, finished.at),
        Verdict::Delivered | Verdict::Ended(..) => Ok(()),
    }
}

fn save_attempt(tx: &Tx<'_>, finished: &FinishedAttempt) -> Result<(), StoreError> {
    // The receiver's clock is only for `webhook doctor`.
    let AttemptReport { result, address, phases, answer, receiver_clock: _ } = &finished.report;
    let milliseconds =
        |took: Option<Duration>| took.map(|took| i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
    let sql = "INSERT INTO attempts (delivery, attempt, started_at, ended_at, code, detail, address, answer, lookup_ms, \
               connect_ms, tls_ms, head_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    tx.gather(
        format_args!("{} {}", finished.delivery.seq, finished.delivery.attempt),
        sql,
        (
            finished.delivery.seq,
            finished.delivery.attempt,
            millis(finished.delivery.claimed_at),
            millis(finished.at),
            result.code(),
            result.detail(),
            address,
            answer,
            milliseconds(phases.lookup),
            milliseconds(phases.connect),
            milliseconds(phases.tls),
            milliseconds(phases.head),
        ),
    )?;
    Ok(())
}
