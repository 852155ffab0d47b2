//! The life of a delivery: the duty to tell one URL about one ended run.

use std::time::Duration;

use jiff::Timestamp;

use super::cron::words;
use super::ids::{DeliveryId, RunId};

words!(
    /// Where a delivery stands.
    DeliveryStatus {
        /// Waits for its next attempt.
        Pending = "pending",
        /// An attempt is being made.
        Sending = "sending",
        /// The receiver said 2xx.
        Delivered = "delivered",
        /// The last rung of the ladder failed, or the receiver said never again.
        Failed = "failed",
        /// Recorded, and not sent because webhooks are disabled.
        Suppressed = "suppressed",
    }
);

/// A delivery to be made: what is frozen when the run ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// Derived from the run and the URL.
    pub delivery_id: DeliveryId,
    /// The run it tells about.
    pub run_id: RunId,
    /// Where to; placeholders still in it.
    pub url: String,
    /// The exact bytes of every attempt.
    pub body: Vec<u8>,
    /// `Pending`, or `Suppressed` when webhooks are disabled.
    pub status: DeliveryStatus,
}

/// What came of one HTTP try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// 2xx.
    Accepted {
        /// The HTTP status.
        code: u16,
    },
    /// It may be tried again.
    Refused {
        /// The HTTP status, if there was an answer.
        code: Option<u16>,
        /// What happened, in words.
        detail: String,
        /// Not before this, if the receiver said so.
        retry_after: Option<Duration>,
    },
    /// It must not be tried again.
    Final {
        /// The HTTP status, if there was an answer.
        code: Option<u16>,
        /// What happened, in words.
        detail: String,
    },
}

/// What follows from an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The duty is done.
    Delivered,
    /// The next attempt is due then.
    Again(Timestamp),
    /// There will be no further attempt.
    Failed(String),
}

/// The waits between attempts: 11 attempts within about 76 hours.
const LADDER: [Duration; 10] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(10 * 3600),
    Duration::from_secs(14 * 3600),
    Duration::from_secs(20 * 3600),
    Duration::from_secs(24 * 3600),
];

/// A receiver may ask for patience, but not for more than this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);

/// What follows from attempt number `attempt` (counted from 1) of this delivery.
pub fn judge(delivery_id: DeliveryId, attempt: u32, result: &AttemptResult, now: Timestamp) -> Verdict {
    match result {
        AttemptResult::Accepted { .. } => Verdict::Delivered,
        AttemptResult::Final { detail, .. } => Verdict::Failed(detail.clone()),
        AttemptResult::Refused { detail, retry_after, .. } => {
            let rung = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
            match LADDER.get(rung) {
                None => Verdict::Failed(format!("gave up after {attempt} attempts; the last one: {detail}")),
                Some(wait) => {
                    let wait = super::backoff::stretch(*wait, delivery_id.0, attempt);
                    let asked = retry_after.unwrap_or(Duration::ZERO).min(RETRY_AFTER_MAX);
                    Verdict::Again(super::backoff::after(now, wait.max(asked)))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
