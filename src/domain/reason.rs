//! Why a run or a delivery is in the state it is in: a closed set of codes for programs, each with a
//! human-readable sentence. No decision in agentcron depends on the sentence.
//!
//! Each doc begins with the state in which the code appears: the status of a run or delivery that has ended,
//! or `Waiting` or `Running`.

use super::words::words;

words!(
    /// Why a run has not started yet, ended as it did, or never ran.
    ReasonCode {
        /// Waiting: the backend could not be reached, or asked us to wait.
        BackendUnreachable = "backend_unreachable",
        /// Waiting or running or skipped or error: the agent server refuses our credentials, or answers and does not show us
        /// the run, so that it cannot be started or followed.
        BackendDenied = "backend_denied",
        /// Waiting: it was sent, and its start is not confirmed.
        StartUnconfirmed = "start_unconfirmed",
        /// Running or success: it started later than it was due.
        StartedLate = "started_late",
        /// Running or success: its start was unconfirmed until it was found on the backend.
        Adopted = "adopted",
        /// Skipped: a run of the same cron was in progress (`overlap = "skip"`).
        Overlap = "overlap",
        /// Skipped: one run was in progress and one was waiting already (`overlap = "queue"`).
        QueueFull = "queue_full",
        /// Skipped: its thread was busy (`multitask_strategy = "reject"`).
        ThreadBusy = "thread_busy",
        /// Skipped: it falls on an excluded day.
        Excluded = "excluded",
        /// Skipped: on request, by `skip-next`.
        SkipNext = "skip_next",
        /// Skipped: the cron was paused.
        Paused = "paused",
        /// Skipped: the cron was removed before the run was sent.
        Removed = "removed",
        /// Skipped: the cron was disabled before the run was sent (`enabled = false`).
        Disabled = "disabled",
        /// Skipped: the cron was edited before the run was sent, and does not name its instant after that.
        Edited = "edited",
        /// Skipped or error: the agent server was away, when nobody could tell whether a run of the same cron was in
        /// progress, or at its start deadline.
        BackendAway = "backend_away",
        /// Missed or error: the daemon was not running, when it was due or at its start deadline.
        DaemonDown = "daemon_down",
        /// Missed or error: the store could not commit, because the disk was full or another program had locked the file.
        DiskFull = "disk_full",
        /// Missed or error: the store could not commit, because its server could not be reached.
        StoreAway = "store_away",
        /// Missed: found too late, and `catchup = "none"`.
        CatchupNone = "catchup_none",
        /// Missed: found too late, and a later occurrence was caught up (`catchup = "latest"`).
        CatchupLatest = "catchup_latest",
        /// Missed: found later than `catchup_window` allows.
        CatchupWindow = "catchup_window",
        /// Missed or cancelled: the store was restored from an earlier backup, so that it is not known whether it has run, or what
        /// became of it.
        Restored = "restored",
        /// Error: it still waited to be sent at its start deadline.
        StartDeadline = "start_deadline",
        /// Error: the backend will never start this request.
        Rejected = "rejected",
        /// Error: a placeholder in the request could not be filled in.
        Placeholder = "placeholder",
        /// Error: the backend accepted it and no longer knows it.
        Lost = "lost",
        /// Error: it could not be determined whether it started, or how it ended.
        Unknown = "unknown",
        /// Error: a bug in agentcron.
        Internal = "internal",
        /// Error: the graph failed; `error` says how.
        GraphError = "graph_error",
        /// Error: the graph failed because a service that it uses was overloaded or has limits; `error` says how.
        Overloaded = "overloaded",
        /// Timeout: it ran longer than the cron's `timeout`, or its `retry.timeout_each`.
        Timeout = "timeout",
        /// Success or error or interrupted: it ended by itself after the cron's `timeout`, before it could be cancelled.
        AfterTimeout = "after_timeout",
        /// Timeout: it ran longer than the backend allows.
        BackendTimeout = "backend_timeout",
        /// Interrupted: the graph stopped at an interrupt or a breakpoint and waits for a human.
        HumanInput = "human_input",
        /// Interrupted: it was cancelled on the backend, or another run took its thread.
        BackendInterrupted = "backend_interrupted",
        /// Cancelled: it was rolled back on the agent server, which removed it.
        RolledBack = "rolled_back",
        /// Cancelled: on request.
        CancelRequest = "cancel_request",
        /// Cancelled: the next occurrence was due (`overlap = "cancel"`).
        CancelOverlap = "cancel_overlap",
        /// Success: its values were too large to be read or kept.
        ValuesTooLarge = "values_too_large",
        /// Success: its thread was gone or not served before its values were read.
        ValuesGone = "values_gone",
    }
);

impl ReasonCode {
    /// Whether it is unknown when a run ended that had started.
    pub fn leaves_end_unknown(self) -> bool {
        matches!(self, Self::Lost | Self::Unknown)
    }

    /// Whether a run that ended as an error had still waited to be sent at its start deadline.
    pub fn is_too_late(self) -> bool {
        matches!(
            self,
            Self::StartDeadline
                | Self::BackendAway
                | Self::BackendDenied
                | Self::DaemonDown
                | Self::DiskFull
                | Self::StoreAway
        )
    }
}

words!(
    /// Why a delivery is waiting, or ended without having been delivered.
    DeliveryReasonCode {
        /// Waiting: the last attempt failed.
        AttemptFailed = "attempt_failed",
        /// Waiting: an attempt was withdrawn before anything was written.
        Withdrawn = "withdrawn",
        /// Waiting: a placeholder of its URL has no value.
        NoValue = "no_value",
        /// Waiting: it is replayed on request.
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
        /// Suppressed: discarded on request when webhooks were released.
        Discarded = "discarded",
    }
);

words!(
    /// What happened to a run, beyond the usual, between the instant it was due and its end.
    RunEventKind {
        /// It started later than it was due.
        StartedLate = "started_late",
        /// The backend certainly did not take it.
        NotSent = "not_sent",
        /// It was sent, and its start is not confirmed.
        Unconfirmed = "unconfirmed",
        /// A reconciliation could not determine whether it started.
        StillUnconfirmed = "still_unconfirmed",
        /// It was found on the backend.
        Adopted = "adopted",
        /// The unconfirmed start was shown never to happen; another start may follow.
        RuledOut = "ruled_out",
        /// It ran longer than its cron's `timeout`.
        Timeout = "timeout",
        /// It was refused to us to follow it, or to delete its thread; the agent server answers, and does not show it.
        BackendDenied = "backend_denied",
        /// It was to be cancelled, and the agent server did not answer at once.
        NotCancelled = "not_cancelled",
        /// It failed, and its occurrence gets a further run.
        Retried = "retried",
        /// It failed, and its occurrence gets no further run although its cron has `retry`.
        NotRetried = "not_retried",
    }
);

impl RunEventKind {
    /// Returns the human-readable name of the event, as timelines show it.
    pub fn phrase(self) -> &'static str {
        match self {
            RunEventKind::StartedLate => "started late",
            RunEventKind::NotSent => "not sent",
            RunEventKind::Unconfirmed => "start not confirmed",
            RunEventKind::StillUnconfirmed => "start still not confirmed",
            RunEventKind::Adopted => "found on the agent server",
            RunEventKind::RuledOut => "had not started after all, which was unclear",
            RunEventKind::Timeout => "timeout",
            RunEventKind::BackendDenied => "no access",
            RunEventKind::NotCancelled => "not cancelled yet",
            RunEventKind::Retried => "to be retried",
            RunEventKind::NotRetried => "not retried",
        }
    }
}

/// A code for programs and a sentence for humans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason<Code = ReasonCode> {
    pub code: Code,
    /// The human-readable sentence; `None` where the code says it all.
    pub message: Option<String>,
}

impl Reason {
    /// Whether the backend refuses us.
    pub fn is_denial(&self) -> bool {
        self.code == ReasonCode::BackendDenied
    }
}

impl<Code> Reason<Code> {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }

    /// Returns the human-readable sentence, or an empty text if there is none.
    pub fn text(&self) -> &str {
        self.message.as_deref().unwrap_or_default()
    }

    /// Returns a reason whose code says it all.
    pub fn bare(code: Code) -> Self {
        Self { code, message: None }
    }
}
