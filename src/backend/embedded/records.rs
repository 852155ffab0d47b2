//! The records that the embedded server keeps of one thread and of one run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;
use uuid::Uuid;

use super::graph::{GraphError, GraphPosition};
use super::request::NewRun;
use crate::domain::words::words;

/// The current time on both clocks: tokio's, which tests pause, measures durations, and the caller's gives
/// timestamps.
#[derive(Clone, Copy)]
pub(super) struct Present {
    pub(super) instant: Instant,
    pub(super) wall: Timestamp,
}

impl Present {
    /// Returns both clocks at an earlier instant.
    pub(super) fn rewound_to(self, instant: Instant) -> Present {
        let ago = self.instant.saturating_duration_since(instant);
        let wall = self.wall.checked_sub(SignedDuration::try_from(ago).unwrap_or_default());
        Present { instant, wall: wall.unwrap_or(self.wall) }
    }
}

words!(
    /// The status of a run. The names are the real server's.
    RunStatus {
        Pending = "pending",
        Running = "running",
        /// The run has ended, or it has stopped for a human: only the thread's status distinguishes the two.
        Success = "success",
        Error = "error",
        /// The run was cancelled.
        Interrupted = "interrupted",
    }
);

impl RunStatus {
    pub(super) fn has_ended(self) -> bool {
        match self {
            RunStatus::Pending | RunStatus::Running => false,
            RunStatus::Success | RunStatus::Error | RunStatus::Interrupted => true,
        }
    }
}

/// A run as it was accepted. The ledger, the thread's checkpoints and the run's record share it.
pub(super) struct AcceptedRun {
    /// The number of runs accepted before it, which is its position in the ledger.
    pub(super) sequence: u64,
    pub(super) run_id: Uuid,
    pub(super) thread_id: Uuid,
    pub(super) request: NewRun,
    pub(super) request_id: String,
    /// The request's metadata together with what the server and the thread add.
    pub(super) metadata: Map<String, Value>,
    /// For a delayed run this is in the future, as on the real server.
    pub(super) created_at: Timestamp,
    pub(super) due: Instant,
}

pub(super) struct RunRecord {
    pub(super) accepted: Arc<AcceptedRun>,
    pub(super) status: RunStatus,
    pub(super) has_started: bool,
    pub(super) updated_at: Timestamp,
    pub(super) followers: Vec<UnboundedSender<StreamEvent>>,
}

/// What the followers of a run receive. The bytes are JSON.
#[derive(Clone)]
pub(super) enum StreamEvent {
    Started,
    Values(Bytes),
    Failed(Bytes),
    /// The last event, with the body of `wait` and `join`.
    Ended(Bytes),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ThreadStatus {
    Idle,
    Busy,
    Interrupted,
    Error,
}

/// A question that the graph asks a human.
pub(super) struct Interrupt {
    pub(super) id: String,
    pub(super) task_id: Uuid,
    pub(super) question: Value,
}

/// The run whose node is executing, and how that will end.
pub(super) struct ActiveRun {
    pub(super) run_id: Uuid,
    pub(super) ends_at: Instant,
    pub(super) result: Result<Value, GraphError>,
}

pub(super) struct ThreadRecord {
    pub(super) thread_id: Uuid,
    pub(super) status: ThreadStatus,
    pub(super) metadata: Map<String, Value>,
    pub(super) config: Map<String, Value>,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) state_updated_at: Timestamp,
    pub(super) values: Option<Value>,
    pub(super) position: GraphPosition,
    /// The run that made the newest checkpoint, and when.
    pub(super) checkpoint: Option<(Arc<AcceptedRun>, Timestamp)>,
    /// Set once a run has ended here: only then does the thread's JSON have `error` and `interrupts`.
    pub(super) was_used: bool,
    pub(super) error: Option<GraphError>,
    pub(super) interrupt: Option<Interrupt>,
    /// The ids of the thread's runs, by their sequence.
    pub(super) runs: BTreeMap<u64, Uuid>,
    /// The due instant, sequence and id of each pending run, in the order in which they may start.
    pub(super) pending: BTreeSet<(Instant, u64, Uuid)>,
    pub(super) active: Option<ActiveRun>,
}

impl ThreadRecord {
    pub(super) fn new(thread_id: Uuid, metadata: Map<String, Value>, now: Timestamp) -> Self {
        Self {
            thread_id,
            status: ThreadStatus::Idle,
            metadata,
            config: Map::new(),
            created_at: now,
            updated_at: now,
            state_updated_at: now,
            values: None,
            position: GraphPosition::AtEnd,
            checkpoint: None,
            was_used: false,
            error: None,
            interrupt: None,
            runs: BTreeMap::new(),
            pending: BTreeSet::new(),
            active: None,
        }
    }

    pub(super) fn is_occupied(&self) -> bool {
        self.active.is_some() || !self.pending.is_empty()
    }

    /// Returns when the next run here starts or ends by itself.
    pub(super) fn next_instant(&self) -> Option<Instant> {
        match &self.active {
            Some(active) => Some(active.ends_at),
            None => self.pending.first().map(|&(due, ..)| due),
        }
    }
}

impl RunRecord {
    /// Sends an event to every follower. The event is built only if there is a follower.
    pub(super) fn notify(&self, event: impl FnOnce() -> StreamEvent) {
        if self.followers.is_empty() {
            return;
        }
        let event = event();
        for follower in &self.followers {
            // A follower that has disconnected does not affect the run.
            let _ = follower.send(event.clone());
        }
    }
}
