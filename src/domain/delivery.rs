//! The life of a delivery: the duty to tell one URL about one ended run.

use std::time::Duration;

use jiff::Timestamp;

use super::bounds::RETRY_AFTER_MAX;
use super::ids::{DeliveryId, RunId};
use super::reason::DeliveryReasonCode;
use super::words::words;

words!(
    /// Where a delivery stands.
    DeliveryStatus {
        /// Waits for its next attempt.
        Pending = "pending",
        /// An attempt is being made.
        Sending = "sending",
        /// The receiver said 2xx.
        Delivered = "delivered",
        /// The last rung of the ladder failed.
        Failed = "failed",
        /// The receiver has said that its URL is gone for good.
        Gone = "gone",
        /// The receiver does not want this message.
        Aborted = "aborted",
        /// The policy refuses the URL.
        Blocked = "blocked",
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
        /// How soon.
        pace: Pace,
    },
    /// It was called back before anything was written: as if it had not been made.
    Withdrawn,
    /// It must not be tried again.
    Final {
        /// Why not.
        ending: Ending,
        /// The HTTP status, if there was an answer.
        code: Option<u16>,
        /// What happened, in words.
        detail: String,
    },
}

/// How soon it may help to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The receiver is away or busy: as the ladder says.
    Usual,
    /// Somebody has to mend something first: from the rung of [`SLOW_WAIT`].
    Slow,
}

/// How a delivery ends without having been delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// See [`DeliveryStatus::Failed`].
    Failed,
    /// See [`DeliveryStatus::Gone`].
    Gone,
    /// See [`DeliveryStatus::Aborted`].
    Aborted,
    /// See [`DeliveryStatus::Blocked`].
    Blocked,
}

impl Ending {
    /// Returns the code that is recorded for it.
    pub fn reason_code(self) -> DeliveryReasonCode {
        match self {
            Self::Failed => DeliveryReasonCode::RetriesExhausted,
            Self::Gone => DeliveryReasonCode::UrlGone,
            Self::Aborted => DeliveryReasonCode::Declined,
            Self::Blocked => DeliveryReasonCode::Policy,
        }
    }

    /// As it is recorded.
    pub fn status(self) -> DeliveryStatus {
        match self {
            Self::Failed => DeliveryStatus::Failed,
            Self::Gone => DeliveryStatus::Gone,
            Self::Aborted => DeliveryStatus::Aborted,
            Self::Blocked => DeliveryStatus::Blocked,
        }
    }
}

/// What an attempt tells about the origin as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginHealth {
    /// It answers, even if it says no.
    Well,
    /// It does not answer, or has said that it cannot cope.
    Ill,
    /// It was not asked.
    Unknown,
}

impl AttemptResult {
    /// Whether the origin is to be troubled with more.
    pub fn origin_health(&self) -> OriginHealth {
        match self {
            Self::Withdrawn | Self::Final { ending: Ending::Blocked, .. } => OriginHealth::Unknown,
            Self::Accepted { .. } | Self::Final { .. } => OriginHealth::Well,
            Self::Refused { code: Some(_), pace: Pace::Slow, .. } => OriginHealth::Well,
            Self::Refused { .. } => OriginHealth::Ill,
        }
    }

    /// The HTTP status, if there was an answer.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Accepted { code } => Some(*code),
            Self::Withdrawn => None,
            Self::Refused { code, .. } | Self::Final { code, .. } => *code,
        }
    }

    /// What happened, if it was not accepted.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Accepted { .. } => None,
            Self::Withdrawn => Some(WITHDRAWN),
            Self::Refused { detail, .. } | Self::Final { detail, .. } => Some(detail),
        }
    }
}

/// What is said of an attempt that was called back.
const WITHDRAWN: &str = "not sent: webhooks were held, or their settings changed, before it was written";

/// What is recorded of one HTTP try. None of it holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptReport {
    /// What came of it.
    pub result: AttemptResult,
    /// The address and port that it was sent to, if there was an answer.
    pub address: Option<String>,
    /// What the time went into, if there was an answer.
    pub phases: Phases,
    /// The beginning of the answer's text, unless it was accepted.
    pub answer: Option<String>,
    /// What the receiver's clock said when it answered (`Date`).
    pub receiver_clock: Option<Timestamp>,
}

impl AttemptReport {
    /// Of a try that got no answer.
    pub fn unanswered(result: AttemptResult) -> Self {
        Self { result, address: None, phases: Phases::default(), answer: None, receiver_clock: None }
    }
}

/// What the time of a try went into. The first three are absent if a connection could be used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Looking the name up; absent for a literal address as well.
    pub lookup: Option<Duration>,
    /// Opening the connection.
    pub connect: Option<Duration>,
    /// The TLS handshake; absent for plain http as well.
    pub tls: Option<Duration>,
    /// From the beginning of the try until the head of the answer was there.
    pub head: Option<Duration>,
}

/// What follows from an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The duty is done.
    Delivered,
    /// The next attempt is due then.
    Again(Timestamp),
    /// There will be no further attempt, and why.
    Ended(Ending, String),
}

/// The waits between attempts: 11 attempts within about 76 hours.
const RETRY_SCHEDULE: [Duration; 10] = [
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

/// The least wait after a failure that somebody has to mend.
pub const SLOW_WAIT: Duration = Duration::from_secs(5 * 60);

/// What follows from an attempt at this delivery, the `attempt`th (counted from 1) since it was recorded or replayed.
pub fn judge(delivery_id: DeliveryId, attempt: u32, result: &AttemptResult, now: Timestamp) -> Verdict {
    match result {
        AttemptResult::Accepted { .. } => Verdict::Delivered,
        AttemptResult::Withdrawn => Verdict::Again(now),
        AttemptResult::Final { ending, detail, .. } => Verdict::Ended(*ending, detail.clone()),
        AttemptResult::Refused { detail, retry_after, pace, .. } => {
            let step = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
            match RETRY_SCHEDULE.get(step) {
                None => {
                    let reason = format!("gave up after {attempt} attempts; the last one: {detail}");
                    Verdict::Ended(Ending::Failed, reason)
                }
                Some(wait) => {
                    let least = match pace {
                        Pace::Usual => Duration::ZERO,
                        Pace::Slow => SLOW_WAIT,
                    };
                    let wait = super::backoff::with_jitter(*wait.max(&least), delivery_id.0, attempt);
                    let asked = retry_after.unwrap_or(Duration::ZERO).min(RETRY_AFTER_MAX);
                    Verdict::Again(super::backoff::after(now, wait.max(asked)))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
