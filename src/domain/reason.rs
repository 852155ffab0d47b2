//! Why something is as it is: a closed set of codes for programs, each beside a sentence for people. Nothing in agentcron
//! decides by the sentence.

use super::words::words;

words!(
    /// Why a run is as it is: why it has not started yet, ended as it did, or never ran.
    ReasonCode {
        /// Waiting: the backend could not be reached, or asked us to wait.
        BackendUnreachable = "backend_unreachable",
        /// Waiting: the backend refused our credentials.
        BackendDenied = "backend_denied",
        /// Waiting: it was sent, and the answer does not say whether it started.
        StartUnconfirmed = "start_unconfirmed",
        /// Running or ended: it started later than it was due.
        StartedLate = "started_late",
        /// Running or ended: its start was unconfirmed until it was found on the backend.
        Adopted = "adopted",
        /// Skipped: a run of the same cron was in progress (`overlap = "skip"`).
        Overlap = "overlap",
        /// Skipped: one run was in progress and one was waiting (`overlap = "queue"`).
        QueueFull = "queue_full",
        /// Skipped: its thread was busy (`multitask_strategy = "reject"`).
        ThreadBusy = "thread_busy",
        /// Skipped: it falls on an excluded day.
        Excluded = "excluded",
        /// Skipped on request, by `skip-next`.
        SkipNext = "skip_next",
        /// Skipped: the cron was paused.
        Paused = "paused",
        /// Skipped: the cron was removed while the run waited.
        Removed = "removed",
        /// Missed: found too late, and `catchup = "none"`.
        CatchupNone = "catchup_none",
        /// Missed: found too late, and a later occurrence was caught up (`catchup = "latest"`).
        CatchupLatest = "catchup_latest",
        /// Missed: found later than `catchup_window` allows.
        CatchupWindow = "catchup_window",
        /// Error: not accepted before its start deadline.
        StartDeadline = "start_deadline",
        /// Error: the backend will never start this request.
        Rejected = "rejected",
        /// Error: a placeholder in the request could not be filled in.
        Placeholder = "placeholder",
        /// Error: the backend accepted it and does not know it any more.
        Lost = "lost",
        /// Error: it cannot be found out what became of it.
        Unknown = "unknown",
        /// Error: a bug in agentcron.
        Internal = "internal",
        /// Error: the graph failed; `error` says how.
        GraphError = "graph_error",
        /// Timeout: it ran longer than the cron's `timeout`.
        Timeout = "timeout",
        /// Timeout: it ran longer than the backend allows.
        BackendTimeout = "backend_timeout",
        /// Interrupted: the graph stopped at an interrupt and waits for a human.
        HumanInput = "human_input",
        /// Interrupted on the backend: cancelled there, or another run took its thread.
        BackendInterrupted = "backend_interrupted",
        /// Cancelled on request.
        CancelRequest = "cancel_request",
        /// Cancelled for the next occurrence (`overlap = "cancel"`).
        CancelOverlap = "cancel_overlap",
        /// Ended, but its values were too large to be read.
        ValuesTooLarge = "values_too_large",
        /// Ended, but its thread was gone before its values were read.
        ValuesGone = "values_gone",
    }
);

words!(
    /// Why a delivery is as it is.
    DeliveryReasonCode {
        /// Waiting: the last attempt failed.
        AttemptFailed = "attempt_failed",
        /// Waiting: an attempt was withdrawn before anything was written.
        Withdrawn = "withdrawn",
        /// Waiting: replayed on request.
        Replayed = "replayed",
        /// Failed: the last attempt of the retry schedule failed.
        RetriesExhausted = "retries_exhausted",
        /// Gone: the receiver said that its URL is gone for good.
        UrlGone = "url_gone",
        /// Gone: its URL had been suspended before it was sent.
        UrlSuspended = "url_suspended",
        /// Aborted: the receiver does not want this webhook.
        Declined = "declined",
        /// Blocked: the policy for URLs refuses it, or its URL cannot be used.
        Policy = "policy",
        /// Suppressed: webhooks were disabled.
        Disabled = "disabled",
        /// Suppressed: discarded by a release on request.
        Discarded = "discarded",
    }
);

words!(
    /// What happened to a run between being due and its end, beyond the usual.
    RunEventKind {
        /// It started later than it was due.
        StartedLate = "started_late",
        /// The backend certainly did not take it.
        NotSent = "not_sent",
        /// It was sent, and the answer does not say whether it started.
        Unconfirmed = "unconfirmed",
        /// Whether it started could not be found out yet.
        StillUnconfirmed = "still_unconfirmed",
        /// It was found on the backend.
        Adopted = "adopted",
        /// It was shown never to start; another start may follow.
        RuledOut = "ruled_out",
        /// It ran longer than its cron's `timeout`.
        Timeout = "timeout",
    }
);

impl RunEventKind {
    /// Returns the event as a person reads it in a timeline.
    pub fn phrase(self) -> &'static str {
        match self {
            RunEventKind::StartedLate => "started late",
            RunEventKind::NotSent => "not sent",
            RunEventKind::Unconfirmed => "start not confirmed",
            RunEventKind::StillUnconfirmed => "start still not confirmed",
            RunEventKind::Adopted => "found on the agent server",
            RunEventKind::RuledOut => "shown not to have started",
            RunEventKind::Timeout => "timeout",
        }
    }
}

/// A reason for people and for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason<Code = ReasonCode> {
    pub code: Code,
    /// A sentence for people; `None` where the code says it all.
    pub message: Option<String>,
}

impl<Code> Reason<Code> {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }

    /// Returns the sentence for people, or nothing where there is none.
    pub fn text(&self) -> &str {
        self.message.as_deref().unwrap_or_default()
    }

    /// A reason whose code says it all.
    pub fn bare(code: Code) -> Self {
        Self { code, message: None }
    }
}
