//! What the embedded server holds of one thread and of one run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;
use uuid::Uuid;

use super::graph::Fault;
use super::request::RunRequest;

/// The present, on both clocks: durations are measured on tokio's (which tests pause), timestamps come from the caller's.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) instant: Instant,
    pub(super) wall: Timestamp,
}

impl Moment {
    /// What the caller's clock would have shown at an instant that is already over.
    pub(super) fn back_at(self, instant: Instant) -> Moment {
        let ago = self.instant.saturating_duration_since(instant);
        Moment { instant, wall: later(self.wall, SignedDuration::try_from(ago).unwrap_or_default(), -1) }
    }
}

pub(super) fn later(wall: Timestamp, by: SignedDuration, sign: i32) -> Timestamp {
    wall.checked_add(by * sign).unwrap_or(wall)
}

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunStatus {
    /// Accepted, not started.
    Pending,
    /// Its graph is at work.
    Running,
    /// Ended, or stopped for a human: only the thread tells the two apart.
    Success,
    /// The graph failed.
    Error,
    /// Cancelled.
    Interrupted,
}

impl RunStatus {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            RunStatus::Pending => "pending",
            RunStatus::Running => "running",
            RunStatus::Success => "success",
            RunStatus::Error => "error",
            RunStatus::Interrupted => "interrupted",
        }
    }

    pub(super) fn has_ended(self) -> bool {
        match self {
            RunStatus::Pending | RunStatus::Running => false,
            RunStatus::Success | RunStatus::Error | RunStatus::Interrupted => true,
        }
    }
}

/// What a run was when it was accepted; the ledger, the thread and the run share it.
pub(super) struct Accepted {
    /// Counts accepted runs from 0; the ledger's order.
    pub(super) sequence: u64,
    pub(super) run_id: Uuid,
    pub(super) thread_id: Uuid,
    pub(super) request: RunRequest,
    pub(super) request_id: String,
    /// The request's metadata with what the server and the thread add.
    pub(super) metadata: Map<String, Value>,
    /// In the future for a delayed run, as on the real server.
    pub(super) created_at: Timestamp,
    pub(super) due: Instant,
}

pub(super) struct Run {
    pub(super) accepted: Arc<Accepted>,
    pub(super) status: RunStatus,
    pub(super) attempted: bool,
    pub(super) updated_at: Timestamp,
    pub(super) followers: Vec<UnboundedSender<Event>>,
}

/// What followers of a run are told; the bytes are JSON.
#[derive(Clone)]
pub(super) enum Event {
    Started,
    Values(Bytes),
    Updates(Bytes),
    Failed(Bytes),
    /// The last one, with the body that `wait` and `join` answer.
    Ended(Bytes),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ThreadStatus {
    Idle,
    Busy,
    Interrupted,
    Error,
}

/// A question of the graph to a human.
pub(super) struct Interrupt {
    pub(super) id: String,
    pub(super) task_id: Uuid,
    pub(super) question: Value,
}

/// The run whose graph is at work, and how that will end.
pub(super) struct Work {
    pub(super) run_id: Uuid,
    pub(super) ends_at: Instant,
    pub(super) answer: Result<Value, Fault>,
    pub(super) before: Before,
}

/// The thread as a run found it, for rollback.
pub(super) struct Before {
    pub(super) messages: Option<usize>,
    pub(super) step: Option<Step>,
    pub(super) before_node: bool,
}

/// The newest checkpoint.
#[derive(Clone)]
pub(super) struct Step {
    pub(super) by: Arc<Accepted>,
    pub(super) number: i64,
    pub(super) at: Timestamp,
}

pub(super) struct Thread {
    pub(super) thread_id: Uuid,
    pub(super) status: ThreadStatus,
    pub(super) metadata: Map<String, Value>,
    pub(super) config: Map<String, Value>,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) state_updated_at: Timestamp,
    pub(super) values: Option<Value>,
    pub(super) before_node: bool,
    pub(super) step: Option<Step>,
    /// A run has ended here, so the thread's JSON has `error` and `interrupts`.
    pub(super) was_used: bool,
    pub(super) fault: Option<Fault>,
    pub(super) interrupt: Option<Interrupt>,
    /// By sequence.
    pub(super) runs: BTreeMap<u64, Uuid>,
    /// In the order in which they may start.
    pub(super) pending: BTreeSet<(Instant, u64, Uuid)>,
    pub(super) work: Option<Work>,
}

impl Thread {
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
            before_node: false,
            step: None,
            was_used: false,
            fault: None,
            interrupt: None,
            runs: BTreeMap::new(),
            pending: BTreeSet::new(),
            work: None,
        }
    }

    pub(super) fn is_occupied(&self) -> bool {
        self.work.is_some() || !self.pending.is_empty()
    }

    /// When something happens here by itself.
    pub(super) fn next_instant(&self) -> Option<Instant> {
        match &self.work {
            Some(work) => Some(work.ends_at),
            None => self.pending.first().map(|&(due, ..)| due),
        }
    }
}

impl Run {
    /// Tells every follower; what is told is only made if somebody listens.
    pub(super) fn tell(&self, event: impl FnOnce() -> Event) {
        if self.followers.is_empty() {
            return;
        }
        let event = event();
        for follower in &self.followers {
            // A follower that hung up does not matter to the run.
            let _ = follower.send(event.clone());
        }
    }
}
