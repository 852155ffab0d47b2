//! The life of a delivery: the duty to notify one URL of one ended run.

use std::time::Duration;

use jiff::Timestamp;

use super::bounds::{RETRY_AFTER_MAX, VALUE_LOOKED_UP_EVERY};
use super::ids::{DeliveryId, RunId};
use super::reason::DeliveryReasonCode;
use super::words::words;

words!(
    /// Where a delivery is in its life.
    DeliveryStatus {
        /// It waits for its next attempt.
        Pending = "pending",
        /// An attempt is being made.
        Sending = "sending",
        /// The receiver answered 2xx.
        Delivered = "delivered",
        /// The last attempt of the retry schedule failed.
        Failed = "failed",
        /// The receiver said that its URL is gone for good.
        Gone = "gone",
        /// The receiver does not want this webhook.
        Aborted = "aborted",
        /// The policy for URLs refuses it, or its URL cannot be used.
        Blocked = "blocked",
        /// It was recorded but not sent: webhooks were disabled, or it was discarded on request.
        Suppressed = "suppressed",
    }
);

impl DeliveryStatus {
    /// Returns whether no further attempt will be made.
    pub fn is_over(self) -> bool {
        match self {
            Self::Pending | Self::Sending => false,
            Self::Delivered | Self::Failed | Self::Gone => true,
            Self::Aborted | Self::Blocked | Self::Suppressed => true,
        }
    }
}

/// A delivery to be inserted: everything that is frozen when the run ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    pub delivery_id: DeliveryId,
    /// The run that it reports; `None` for a notification or a ping.
    pub run_id: Option<RunId>,
    /// Placeholders are not filled in yet.
    pub url: String,
    /// The exact bytes that every attempt sends.
    pub body: Vec<u8>,
    /// Whether the body stays when the delivery has ended.
    pub keeps_body: bool,
    /// `Pending`, or `Suppressed` when webhooks are disabled.
    pub status: DeliveryStatus,
}

/// The result of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// The receiver answered 2xx.
    Accepted { code: u16 },
    /// The attempt failed, and another one may follow.
    Refused {
        /// The HTTP status; `None` if there was no answer.
        code: Option<u16>,
        detail: String,
        /// How long the receiver asked us to wait.
        retry_after: Option<Duration>,
        fault: Fault,
    },
    /// It was withdrawn before anything was written; the retry schedule does not count it.
    Withdrawn,
    /// It could not be made, because a placeholder of the URL has no value now. It leaves no trace but this reason.
    NoValue { detail: String },
    /// The attempt failed, and no other may follow.
    Final {
        ending: Ending,
        /// The HTTP status; `None` if there was no answer.
        code: Option<u16>,
        detail: String,
    },
}

/// Where the fault lies, as far as the attempt shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There was no connection, whatever is behind the path of the URL.
    NoConnection,
    /// The TLS handshake failed; somebody has to repair something first.
    Tls,
    /// The receiver did not answer the request, or answered that it is in trouble.
    Trouble,
    /// The receiver does not take the request; somebody has to repair something first.
    Refused,
    /// Nothing was sent, because of something on our side.
    Ours,
}

impl Fault {
    /// Returns the least wait until another attempt may help.
    fn wait_least(self) -> Duration {
        match self {
            Self::Tls | Self::Refused => SLOW_WAIT,
            Self::NoConnection | Self::Trouble | Self::Ours => Duration::ZERO,
        }
    }
}

/// How a delivery ends without having been delivered; each variant is the [`DeliveryStatus`] of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Failed,
    Gone,
    Aborted,
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

    /// Returns the status that is recorded for it.
    pub fn status(self) -> DeliveryStatus {
        match self {
            Self::Failed => DeliveryStatus::Failed,
            Self::Gone => DeliveryStatus::Gone,
            Self::Aborted => DeliveryStatus::Aborted,
            Self::Blocked => DeliveryStatus::Blocked,
        }
    }
}

/// What an attempt shows about its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It answers, even if it refuses.
    Well,
    /// What is behind this URL does not answer, or says that it is in trouble.
    UrlIll,
    /// Nothing can be reached at this origin.
    OriginIll,
    /// Nothing was sent to it.
    Nothing,
}

impl AttemptResult {
    /// Returns what this result shows about the receiver.
    pub fn shown(&self) -> Shown {
        match self {
            Self::Withdrawn | Self::NoValue { .. } | Self::Final { ending: Ending::Blocked, .. } => {
                Shown::Nothing
            }
            Self::Accepted { .. } | Self::Final { .. } => Shown::Well,
            Self::Refused { fault, .. } => match fault {
                Fault::NoConnection | Fault::Tls => Shown::OriginIll,
                Fault::Trouble => Shown::UrlIll,
                Fault::Refused => Shown::Well,
                Fault::Ours => Shown::Nothing,
            },
        }
    }

    /// Returns the HTTP status, or `None` if there was no answer.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Accepted { code } => Some(*code),
            Self::Withdrawn | Self::NoValue { .. } => None,
            Self::Refused { code, .. } | Self::Final { code, .. } => *code,
        }
    }

    /// Returns what happened, or `None` if the attempt was accepted.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Accepted { .. } => None,
            Self::Withdrawn => Some(WITHDRAWN),
            Self::NoValue { detail } | Self::Refused { detail, .. } | Self::Final { detail, .. } => {
                Some(detail)
            }
        }
    }
}

/// The detail of an attempt that was withdrawn.
const WITHDRAWN: &str = "not sent: webhooks were held, or their settings changed, before it was written";

/// What is recorded of one attempt. None of it holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptReport {
    pub result: AttemptResult,
    /// The address and port that it was sent to; `None` if there was no answer.
    pub address: Option<String>,
    /// Empty if there was no answer.
    pub phases: Phases,
    /// The beginning of the answer's text; `None` if the attempt was accepted or not answered.
    pub answer: Option<String>,
    /// The time on the receiver's clock when it answered (the `Date` header).
    pub receiver_clock: Option<Timestamp>,
}

impl AttemptReport {
    /// Returns the report of an attempt that got no answer.
    pub fn unanswered(result: AttemptResult) -> Self {
        Self { result, address: None, phases: Phases::default(), answer: None, receiver_clock: None }
    }
}

/// How long the phases of an attempt took. The first three are absent if a connection was reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// The DNS lookup; absent for a literal address as well.
    pub lookup: Option<Duration>,
    pub connect: Option<Duration>,
    /// The TLS handshake; absent for plain HTTP as well.
    pub tls: Option<Duration>,
    /// From the beginning of the attempt until the head of the answer had arrived.
    pub head: Option<Duration>,
}

/// What follows from an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Delivered,
    /// The next attempt is due at this instant.
    Again(Timestamp),
    /// There will be no further attempt; the text says why.
    Ended(Ending, String),
}

/// The retry schedule: the waits between attempts, which make 11 attempts within about 76 hours.
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

/// The least wait after a failure that somebody has to fix.
const SLOW_WAIT: Duration = Duration::from_secs(5 * 60);

/// When an attempt was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// At this step of the retry schedule, counted from 1 since the delivery was recorded or replayed.
    Step(u32),
    /// Before its turn, which is then, to see whether the receiver is back.
    Early(Timestamp),
}

/// Returns what follows from an attempt at this delivery.
pub fn judge(delivery_id: DeliveryId, turn: Turn, result: &AttemptResult, now: Timestamp) -> Verdict {
    match result {
        AttemptResult::Accepted { .. } => Verdict::Delivered,
        AttemptResult::Withdrawn => Verdict::Again(match turn {
            Turn::Step(_) => now,
            Turn::Early(turn) => turn,
        }),
        AttemptResult::NoValue { .. } => Verdict::Again(super::backoff::after(now, VALUE_LOOKED_UP_EVERY)),
        AttemptResult::Final { ending, detail, .. } => Verdict::Ended(*ending, detail.clone()),
        AttemptResult::Refused { detail, retry_after, fault, .. } => {
            let asked = retry_after.unwrap_or(Duration::ZERO).min(RETRY_AFTER_MAX);
            let step = match turn {
                Turn::Step(step) => step,
                Turn::Early(turn) => return Verdict::Again(turn.max(super::backoff::after(now, asked))),
            };
            let index = usize::try_from(step.saturating_sub(1)).unwrap_or(usize::MAX);
            match RETRY_SCHEDULE.get(index) {
                None => {
                    let reason =
                        format!("gave up at the end of the retry schedule; the last attempt: {detail}");
                    Verdict::Ended(Ending::Failed, reason)
                }
                Some(wait) => {
                    let wait = *wait.max(&fault.wait_least());
                    let wait = super::backoff::with_jitter(wait, delivery_id.0, step);
                    Verdict::Again(super::backoff::after(now, wait.max(asked)))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
