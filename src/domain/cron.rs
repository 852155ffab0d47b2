//! What a cron is, once settled: every field has been parsed and checked, nothing later can meet a bad one.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::calendar::Calendar;
use super::ids::{CronId, ThreadId};
use super::words::words;

/// A definition: when to fire, what to run where, and by which policies.
#[derive(Clone, Debug)]
pub struct Cron {
    /// Who it is; derived from the name for crons from files.
    pub cron_id: CronId,
    /// The word after `[cron.` in the file; of crons made through the HTTP API their metadata's `name`, or their id.
    pub name: String,
    /// Who wrote it, and so what its placeholders may stand for.
    pub source: CronSource,
    /// The instants that its schedule names.
    pub calendar: Calendar,
    /// Whether occurrences are fired at all.
    pub enabled: bool,
    /// No occurrence before this instant.
    pub start_time: Option<Timestamp>,
    /// No occurrence at or after this instant.
    pub end_time: Option<Timestamp>,
    /// What the agent server is asked to do.
    pub request: Request,
    /// Whom to tell when a run has ended; placeholders (`${{ … }}`) are still in it.
    pub webhook: Option<Template>,
    /// What to do when the world does not go by the calendar.
    pub policy: Policy,
}

/// What the agent server is asked to do at each occurrence.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Assistant id or graph name.
    pub assistant_id: String,
    /// Where the run happens.
    pub target: Target,
    /// Which of the server's three ways to run is used.
    pub mode: Mode,
    /// The server's own fields, by their own names (`input`, `config`, `context`, `durability`, …), placeholders
    /// still in them; `metadata` and `multitask_strategy` have their own places.
    pub payload: Map<String, Value>,
    /// The user's metadata; ours is added at firing time.
    pub metadata: Map<String, Value>,
    /// What the server does when the thread is busy; for stateless runs it is always `reject` (the fence needs it).
    pub multitask_strategy: Option<MultitaskStrategy>,
}

/// Where a run happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A *thread cron*: every run on this thread.
    Thread(ThreadId),
    /// A *stateless cron*: a new thread for every run.
    Stateless(OnRunCompleted),
}

/// A text with `${{ … }}` placeholders still in it. It may hold a token, so it does not show itself in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Template(pub String);

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Template(…)")
    }
}

/// Policies of a cron; defaults are settled already.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// An occurrence due while a run of the same cron is still going.
    pub overlap: Overlap,
    /// Occurrences found too late.
    pub catchup: Catchup,
    /// How far back catch-up looks.
    pub catchup_window: Duration,
    /// How long a run may wait for the backend to accept it; `None` means until the next occurrence, at most 1 h.
    pub start_deadline: Option<Duration>,
    /// How long a run may take before it is cancelled; `None` means as long as it wants.
    pub timeout: Option<Duration>,
    /// Occurrences are spread over this long after their time, each by a stable amount.
    pub jitter: Duration,
    /// Whole local days on which nothing fires, first and last inclusive.
    pub exclude: Vec<DayRange>,
    /// The cron pauses itself after this many failed runs in a row; `None` means never.
    pub pause_after_failures: Option<u32>,
}

/// Whole days, first and last inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayRange {
    /// First day.
    pub first: jiff::civil::Date,
    /// Last day, not before `first`.
    pub last: jiff::civil::Date,
}

words!(
    /// Where a cron's definition lives.
    CronSource {
        /// In a TOML file: edit it there.
        File = "file",
        /// Made through the HTTP API, by a client who must not learn what the daemon's environment holds.
        Api = "api",
    }
);
words!(
    /// What becomes of the thread of a stateless run.
    OnRunCompleted {
        /// Deleted once the outcome is recorded.
        Delete = "delete",
        /// Kept on the server.
        Keep = "keep",
    }
);
words!(
    /// The server's ways to run; the outcome is the same.
    Mode {
        /// `POST …/runs`, then followed.
        Background = "background",
        /// `POST …/runs/wait`: the answer is the outcome.
        Wait = "wait",
        /// `POST …/runs/stream`: events until the end.
        Stream = "stream",
    }
);
words!(
    /// What the server does with a run for a busy thread.
    MultitaskStrategy {
        /// Wait in line.
        Enqueue = "enqueue",
        /// Refuse it (409): the occurrence is skipped.
        Reject = "reject",
        /// Interrupt the run that is going.
        Interrupt = "interrupt",
        /// Interrupt it and undo what it did.
        Rollback = "rollback",
    }
);
words!(
    /// An occurrence due while a run of the same cron is still going.
    Overlap {
        /// The new one is recorded as skipped.
        Skip = "skip",
        /// Both run.
        Allow = "allow",
        /// The new one waits; at most one does.
        Queue = "queue",
        /// The one going is cancelled.
        Cancel = "cancel",
    }
);
words!(
    /// What is done about occurrences found too late.
    Catchup {
        /// Nothing: all are recorded as missed.
        None = "none",
        /// The latest one is fired, the others are recorded as missed.
        Latest = "latest",
        /// All within the window are fired.
        All = "all",
    }
);
