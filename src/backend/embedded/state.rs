//! The whole state of the embedded server: threads, runs, timers and the ledger.
//!
//! Nothing runs in the background. Every access to the state first brings it up to the present (`life.rs`),
//! in the order of the timers. So a run ends when its time has come although nobody waits for it, and
//! simulated time is enough.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;
use uuid::Uuid;

use super::assistant::Assistant;
use super::records::{AcceptedRun, Present, RunRecord, RunStatus, StreamEvent, ThreadRecord, ThreadStatus};
use super::request::{NewRun, RequestError, thread_or_assistant_absent};
use super::wire;
use crate::domain::cron::MultitaskStrategy;

/// An instant at which something may be due on a thread. A superfluous timer does no harm.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timer {
    pub(super) at: Instant,
    pub(super) sequence: u64,
    pub(super) thread_id: Uuid,
}

pub(super) struct ServerState {
    pub(super) threads: HashMap<Uuid, ThreadRecord>,
    pub(super) runs: HashMap<Uuid, RunRecord>,
    pub(super) timers: BinaryHeap<Reverse<Timer>>,
    pub(super) ledger: VecDeque<(Arc<AcceptedRun>, RunStatus, Timestamp)>,
    runs_max: usize,
    next_sequence: u64,
    namespace: Uuid,
    ids_made: u64,
}

impl ServerState {
    /// Returns an empty state. `created_at` salts the ids, so that two servers in one test generate different
    /// ids, while a simulation stays repeatable.
    pub(super) fn new(created_at: Timestamp, runs_max: usize) -> Self {
        Self {
            threads: HashMap::new(),
            runs: HashMap::new(),
            timers: BinaryHeap::new(),
            ledger: VecDeque::new(),
            runs_max,
            next_sequence: 0,
            namespace: Uuid::new_v5(&Uuid::NAMESPACE_OID, &created_at.as_nanosecond().to_be_bytes()),
            ids_made: 0,
        }
    }

    pub(super) fn new_id(&mut self) -> Uuid {
        self.ids_made += 1;
        Uuid::new_v5(&self.namespace, &self.ids_made.to_be_bytes())
    }

    pub(super) fn thread(&self, thread_id: Uuid) -> Result<&ThreadRecord, RequestError> {
        self.threads.get(&thread_id).ok_or_else(|| RequestError::no_such_thread(thread_id))
    }

    /// Returns a run if it belongs to that thread.
    pub(super) fn run(&self, thread_id: Uuid, run_id: Uuid) -> Option<&RunRecord> {
        self.runs.get(&run_id).filter(|run| run.accepted.thread_id == thread_id)
    }

    pub(super) fn create_thread(
        &mut self,
        thread_id: Uuid,
        metadata: Map<String, Value>,
        now: Timestamp,
    ) -> &ThreadRecord {
        self.threads.entry(thread_id).or_insert_with(|| ThreadRecord::new(thread_id, metadata, now))
    }

    /// Accepts a run as pending. It starts when the state is next brought up to the present, and `follower`
    /// receives all its events.
    pub(super) fn accept(
        &mut self,
        now: Present,
        thread_id: Uuid,
        request: NewRun,
        follower: Option<UnboundedSender<StreamEvent>>,
    ) -> Result<Arc<AcceptedRun>, RequestError> {
        let metadata = self.prepare_thread(now, thread_id, &request)?;
        let (run_id, sequence) = (self.new_id(), self.next_sequence);
        self.next_sequence += 1;
        let request_id = request.request_id.clone().unwrap_or_else(|| self.new_id().to_string());
        let after = SignedDuration::try_from(request.after).unwrap_or_default();
        let due = now.instant.checked_add(request.after).unwrap_or(now.instant);
        let created_at = now.wall.checked_add(after).unwrap_or(now.wall);
        let accepted = Arc::new(AcceptedRun {
            sequence,
            run_id,
            thread_id,
            request,
            request_id,
            metadata,
            created_at,
            due,
        });
        let run = RunRecord {
            accepted: Arc::clone(&accepted),
            status: RunStatus::Pending,
            has_started: false,
            updated_at: now.wall,
            followers: follower.into_iter().collect(),
        };
        self.runs.insert(run_id, run);
        if let Some(thread) = self.threads.get_mut(&thread_id) {
            thread.runs.insert(sequence, run_id);
            thread.pending.insert((due, sequence, run_id));
            thread.status = ThreadStatus::Busy;
            thread.updated_at = now.wall;
        }
        self.timers.push(Reverse(Timer { at: due, sequence, thread_id }));
        self.ledger.push_back((Arc::clone(&accepted), RunStatus::Pending, now.wall));
        self.forget_oldest();
        Ok(accepted)
    }

    /// Finds or creates the thread of a new run, makes room on it, and returns the metadata that the run will
    /// have.
    fn prepare_thread(
        &mut self,
        now: Present,
        thread_id: Uuid,
        request: &NewRun,
    ) -> Result<Map<String, Value>, RequestError> {
        let mut metadata = Map::from_iter([("created_by".to_owned(), json!("system"))]);
        match self.threads.get(&thread_id) {
            None if !request.creates_thread => return Err(thread_or_assistant_absent()),
            None => {
                self.create_thread(thread_id, request.metadata.clone(), now.wall);
            }
            Some(thread) => {
                if thread.is_occupied() && request.strategy == MultitaskStrategy::Reject {
                    let detail = "Thread is already running a task. Wait for it to finish or choose a different \
                                  multitask strategy.";
                    return Err(RequestError::new(StatusCode::CONFLICT, detail));
                }
                metadata.extend(thread.metadata.clone());
                metadata.insert("graph_id".to_owned(), json!(request.assistant.graph_id()));
            }
        }
        metadata.extend(request.metadata.clone());
        metadata.insert("assistant_id".to_owned(), json!(request.assistant.id().to_string()));
        if let Some(thread) = self.threads.get_mut(&thread_id) {
            bind(thread, request.assistant, &request.config);
        }
        Ok(metadata)
    }

    pub(super) fn set_status(&mut self, run_id: Uuid, status: RunStatus, at: Timestamp) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        run.status = status;
        run.updated_at = at;
        let first = self.ledger.front().map_or(0, |(accepted, ..)| accepted.sequence);
        let index = run.accepted.sequence.checked_sub(first).and_then(|index| usize::try_from(index).ok());
        if let Some((_, recorded, since)) = index.and_then(|index| self.ledger.get_mut(index)) {
            (*recorded, *since) = (status, at);
        }
    }

    /// Removes a run from its thread. Its followers get the same error as for a run that does not exist.
    pub(super) fn remove_run(&mut self, run_id: Uuid) {
        let Some(run) = self.runs.remove(&run_id) else { return };
        if let Some(thread) = self.threads.get_mut(&run.accepted.thread_id) {
            thread.runs.remove(&run.accepted.sequence);
            thread.pending.remove(&(run.accepted.due, run.accepted.sequence, run_id));
            thread.active.take_if(|active| active.run_id == run_id);
        }
        run.notify(|| StreamEvent::Failed(wire::bytes(&wire::run_not_found())));
        run.notify(|| StreamEvent::Ended(wire::bytes(&json!({"__error__": wire::run_not_found()}))));
    }

    pub(super) fn remove_thread(&mut self, thread_id: Uuid) {
        let Some(thread) = self.threads.remove(&thread_id) else { return };
        for run_id in thread.runs.into_values() {
            self.remove_run(run_id);
        }
    }

    /// Bounds the memory: removes the oldest runs beyond the limit, and each thread that has lost its last
    /// run.
    fn forget_oldest(&mut self) {
        while self.ledger.len() > self.runs_max {
            let Some((oldest, status, _)) = self.ledger.pop_front() else { return };
            if !status.has_ended() {
                continue;
            }
            self.remove_run(oldest.run_id);
            if self.threads.get(&oldest.thread_id).is_some_and(|thread| thread.runs.is_empty()) {
                self.remove_thread(oldest.thread_id);
            }
        }
    }
}

/// Records the graph and the configuration of a run on its thread.
fn bind(thread: &mut ThreadRecord, assistant: Assistant, config: &Map<String, Value>) {
    thread.metadata.insert("graph_id".to_owned(), json!(assistant.graph_id()));
    thread.metadata.insert("assistant_id".to_owned(), json!(assistant.id().to_string()));
    thread.config.extend(config.clone());
    thread.config.insert("configurable".to_owned(), json!({}));
}
