//! A cron after validation: every field has been parsed and checked, so that later code cannot meet a bad one.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::calendar::Calendar;
use super::ids::{CronId, ThreadId};
use super::retention::OwnRetention;
use super::words::words;

/// A definition: when to fire, what to run where, and by which policies.
#[derive(Clone, Debug)]
pub struct Cron {
    /// Derived from the name for crons from files.
    pub cron_id: CronId,
    /// The word after `[cron.` in the file. For crons made through the HTTP API it is the `name` in their metadata,
    /// or else their id.
    pub name: String,
    /// Where the cron is defined, which decides what its placeholders may name.
    pub source: CronSource,
    /// The schedule in its time zone.
    pub calendar: Calendar,
    pub enabled: bool,
    /// The cron has no occurrence before this instant.
    pub start_time: Option<Timestamp>,
    /// The cron has no occurrence at or after this instant.
    pub end_time: Option<Timestamp>,
    pub request: Request,
    /// The URL that receives a webhook when a run has ended. It still has its placeholders (`${{ … }}`).
    pub webhook: Option<Template>,
    /// The URL of a dead man's switch ([`ping`](super::ping)), with its placeholders.
    pub ping: Option<Template>,
    pub policy: Policy,
}

/// What the agent server is asked to do at each occurrence.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The id of an assistant, or the name of a graph.
    pub assistant_id: String,
    pub target: Target,
    pub mode: Mode,
    /// The agent server's own fields under their own names (`input`, `config`, `context`, `durability`, …), which still
    /// have their placeholders. `metadata` and `multitask_strategy` are not among them.
    pub payload: Map<String, Value>,
    /// The user's metadata; agentcron adds its own when an occurrence is fired.
    pub metadata: Map<String, Value>,
    /// What the server does when the thread is busy. For stateless runs it is always `reject`, which the fence needs.
    pub multitask_strategy: Option<MultitaskStrategy>,
}

/// The thread on which a run takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A *thread cron*: every run uses this thread.
    Thread(ThreadId),
    /// A *stateless cron*: every run gets a new thread.
    Stateless(OnRunCompleted),
}

/// A text whose `${{ … }}` placeholders are not filled yet. It may hold a token, so `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Template(pub String);

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Template(…)")
    }
}

/// The policies of a cron, with their defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// What happens to an occurrence that is due while a run of the same cron is in progress.
    pub overlap: Overlap,
    /// What happens to occurrences that are found too late.
    pub catchup: Catchup,
    /// How far back catch-up looks.
    pub catchup_window: Duration,
    /// How long a run may wait for the backend to accept it; `None` means until the next occurrence, at most 1 h.
    pub start_deadline: Option<Duration>,
    /// How long a run may take before it is cancelled; `None` means that it is never cancelled.
    pub timeout: Option<Duration>,
    /// Each occurrence is delayed by a stable amount of at most this much.
    pub jitter: Duration,
    /// Whole local days on which nothing fires.
    pub exclude: Vec<DayRange>,
    /// The cron pauses itself after this many failed runs in a row; `None` means never.
    pub pause_after_failures: Option<u32>,
    /// Whether and how a failed run is retried; `None` means that it is not.
    pub retry: Option<RetryPolicy>,
    /// How long its history is kept, as far as that is not as for all crons.
    pub retention: OwnRetention,
}

/// How the failed runs of a cron are retried.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// How many further runs an occurrence gets at most; not zero.
    pub max: u32,
    /// The wait before the first of them.
    pub backoff: Duration,
    /// Each wait is so many times as long as the one before.
    pub factor: f64,
    /// The ends that are retried.
    pub on: Vec<RetryOn>,
    /// How long each run may take; `None` means that only the cron's `timeout` counts.
    pub timeout_each: Option<Duration>,
    /// Whether each run sends a webhook, and not only the last.
    pub webhook_each: bool,
}

/// A range of whole days, first and last included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayRange {
    pub first: jiff::civil::Date,
    /// Not before `first`.
    pub last: jiff::civil::Date,
}

words!(
    /// Where a cron is defined.
    CronSource {
        /// In a TOML file, where it must be edited.
        File = "file",
        /// Through the HTTP API, by a client that must not learn what the daemon's environment holds.
        Api = "api",
    }
);
words!(
    /// What happens to the thread of a stateless run.
    OnRunCompleted {
        /// It is deleted once the outcome is recorded.
        Delete = "delete",
        /// It is kept on the server.
        Keep = "keep",
    }
);
words!(
    /// How the agent server is asked to execute a run. The outcome is the same for all.
    Mode {
        /// `POST …/runs`; the run is followed afterwards.
        Background = "background",
        /// `POST …/runs/wait`; the response is the outcome.
        Wait = "wait",
        /// `POST …/runs/stream`; the response is a stream of events until the run ends.
        Stream = "stream",
    }
);
words!(
    /// What the agent server does with a run for a busy thread.
    MultitaskStrategy {
        /// The run waits for its turn.
        Enqueue = "enqueue",
        /// The run is refused with 409, and the occurrence is skipped.
        Reject = "reject",
        /// The run in progress is interrupted.
        Interrupt = "interrupt",
        /// The run in progress is interrupted, and what it did is undone.
        Rollback = "rollback",
    }
);
words!(
    /// What happens to an occurrence that is due while a run of the same cron is in progress.
    Overlap {
        /// The occurrence is recorded as skipped.
        Skip = "skip",
        /// It is fired, and both runs are in progress.
        Allow = "allow",
        /// It waits; at most one does.
        Queue = "queue",
        /// It is fired, and the run in progress is cancelled.
        Cancel = "cancel",
    }
);
words!(
    /// What happens to occurrences that are found too late.
    Catchup {
        /// All are recorded as missed.
        None = "none",
        /// The latest one is fired, the others are recorded as missed.
        Latest = "latest",
        /// All within the catch-up window are fired.
        All = "all",
    }
);
words!(
    /// The status of a run that can be retried.
    RetryOn {
        /// The graph failed, or the agent server has lost the run.
        Error = "error",
        /// It ran longer than it is allowed to.
        Timeout = "timeout",
    }
);
