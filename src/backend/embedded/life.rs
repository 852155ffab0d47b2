//! The life of a run: it starts when it is due and its thread is free, and ends when its node has taken its
//! time or when it is cancelled.

use std::cmp::Reverse;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::graph::{self, GraphAction, GraphError, GraphPosition};
use super::records::{ActiveRun, Interrupt, Present, RunStatus, StreamEvent, ThreadRecord, ThreadStatus};
use super::state::{ServerState, Timer};
use super::wire;

/// How a run ended, unless it was cancelled.
enum GraphResult {
    Finished,
    Halted,
    Failed(GraphError),
}

impl ServerState {
    /// Does everything that is due, in order, each at its own instant.
    pub(super) fn advance(&mut self, now: Present) {
        while let Some(Reverse(first)) = self.timers.peek()
            && first.at <= now.instant
        {
            let (at, thread_id) = (first.at, first.thread_id);
            self.timers.pop();
            self.advance_thread(now.rewound_to(at), thread_id);
        }
    }

    /// Returns when the next run on a thread starts or ends by itself.
    pub(super) fn next_instant(&self, thread_id: Uuid) -> Option<Instant> {
        self.threads.get(&thread_id)?.next_instant()
    }

    /// Ends and starts the runs that are due on one thread.
    pub(super) fn advance_thread(&mut self, now: Present, thread_id: Uuid) {
        while let Some(thread) = self.threads.get_mut(&thread_id) {
            if let Some(active) = thread.active.take_if(|active| active.ends_at <= now.instant) {
                self.finish(now, thread_id, active);
            } else if thread.active.is_none()
                && let Some(&(due, sequence, run_id)) = thread.pending.first()
                && due <= now.instant
            {
                thread.pending.remove(&(due, sequence, run_id));
                self.start(now, thread_id, run_id);
            } else {
                return;
            }
        }
    }

    fn start(&mut self, now: Present, thread_id: Uuid, run_id: Uuid) {
        self.set_status(run_id, RunStatus::Running, now.wall);
        let (Some(thread), Some(run)) = (self.threads.get_mut(&thread_id), self.runs.get_mut(&run_id)) else {
            return;
        };
        run.has_started = true;
        run.notify(|| StreamEvent::Started);
        let accepted = Arc::clone(&run.accepted);
        let action = match graph::begin(&accepted.request, &mut thread.values, thread.position) {
            Ok(action) => action,
            Err(error) => return self.end(now.wall, run_id, GraphResult::Failed(error)),
        };
        run.notify(|| StreamEvent::Values(wire::bytes(&wire::values_or_empty(thread.values.as_ref()))));
        if matches!(action, GraphAction::Nothing) {
            return self.end(now.wall, run_id, GraphResult::Finished);
        }
        thread.checkpoint = Some((Arc::clone(&accepted), now.wall));
        thread.position = GraphPosition::BeforeNode;
        match action {
            GraphAction::Node { takes, result } => {
                let ends_at = now.instant.checked_add(takes).unwrap_or(now.instant);
                thread.active = Some(ActiveRun { run_id, ends_at, result });
                if ends_at > now.instant {
                    let sequence = accepted.sequence;
                    self.timers.push(Reverse(Timer { at: ends_at, sequence, thread_id }));
                }
            }
            GraphAction::Halt { question } => {
                let interrupt = question.map(|question| Interrupt {
                    id: self.new_id().simple().to_string(),
                    task_id: self.new_id(),
                    question,
                });
                if let Some(thread) = self.threads.get_mut(&thread_id) {
                    thread.interrupt = interrupt;
                }
                self.end(now.wall, run_id, GraphResult::Halted);
            }
            GraphAction::Nothing => {}
        }
    }

    fn finish(&mut self, now: Present, thread_id: Uuid, active: ActiveRun) {
        let Some(thread) = self.threads.get_mut(&thread_id) else { return };
        let result = match active.result {
            Err(error) => GraphResult::Failed(error),
            Ok(message) => {
                graph::append(&mut thread.values, &[message]);
                thread.position = GraphPosition::AtEnd;
                if let Some((_, at)) = &mut thread.checkpoint {
                    *at = now.wall;
                }
                if let Some(run) = self.runs.get(&active.run_id) {
                    let values = wire::values_or_empty(thread.values.as_ref());
                    run.notify(|| StreamEvent::Values(wire::bytes(&values)));
                }
                GraphResult::Finished
            }
        };
        self.end(now.wall, active.run_id, result);
    }

    fn end(&mut self, at: Timestamp, run_id: Uuid, result: GraphResult) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        let followers = std::mem::take(&mut run.followers);
        let accepted = Arc::clone(&run.accepted);
        let Some(thread) = self.threads.get_mut(&accepted.thread_id) else { return };
        let (status, thread_status) = match &result {
            GraphResult::Finished => (RunStatus::Success, ThreadStatus::Idle),
            GraphResult::Halted => (RunStatus::Success, ThreadStatus::Interrupted),
            GraphResult::Failed(_) => (RunStatus::Error, ThreadStatus::Error),
        };
        if !matches!(result, GraphResult::Halted) {
            thread.interrupt = None;
        }
        let values = thread.values.as_ref();
        let events = followers.first().map(|_| match &result {
            GraphResult::Finished => vec![StreamEvent::Ended(wire::bytes(&wire::values_or_empty(values)))],
            GraphResult::Halted => halted_events(values, thread.interrupt.as_ref()),
            GraphResult::Failed(error) => vec![
                StreamEvent::Failed(wire::bytes(&error.to_json())),
                StreamEvent::Ended(wire::bytes(&json!({"__error__": error.to_json()}))),
            ],
        });
        for (follower, event) in
            followers.iter().flat_map(|follower| events.iter().flatten().map(move |event| (follower, event)))
        {
            let _ = follower.send(event.clone());
        }
        thread.error = match result {
            GraphResult::Failed(error) => Some(error),
            GraphResult::Finished | GraphResult::Halted => None,
        };
        thread.run_ended(at, thread_status);
        self.set_status(run_id, status, at);
    }

    /// Cancels a run, and returns whether it had not ended yet.
    pub(super) fn cancel(&mut self, now: Present, run_id: Uuid) -> bool {
        let Some(run) = self.runs.get_mut(&run_id) else { return false };
        let (accepted, followers) = (Arc::clone(&run.accepted), std::mem::take(&mut run.followers));
        let Some(thread) = self.threads.get_mut(&accepted.thread_id) else { return false };
        let was_pending = thread.pending.remove(&(accepted.due, accepted.sequence, run_id));
        let active = thread.active.take_if(|active| active.run_id == run_id);
        if !was_pending && active.is_none() {
            return false;
        }
        for follower in followers {
            let _ = follower
                .send(StreamEvent::Ended(wire::bytes(&wire::values_or_empty(thread.values.as_ref()))));
        }
        if active.is_some() {
            let message = "interrupt requested via POST /threads/{thread_id}/runs/{run_id}/cancel";
            thread.error = Some(GraphError::new("UserInterrupt", message));
            thread.run_ended(now.wall, ThreadStatus::Interrupted);
        } else {
            thread.set_status(now.wall, ThreadStatus::Idle);
        }
        self.set_status(run_id, RunStatus::Interrupted, now.wall);
        self.advance_thread(now, accepted.thread_id);
        true
    }
}

impl ThreadRecord {
    /// Records that a run on this thread has ended.
    fn run_ended(&mut self, at: Timestamp, status: ThreadStatus) {
        self.was_used = true;
        self.state_updated_at = at;
        self.set_status(at, status);
    }

    fn set_status(&mut self, at: Timestamp, status: ThreadStatus) {
        self.updated_at = at;
        self.status = if self.is_occupied() { ThreadStatus::Busy } else { status };
    }
}

fn halted_events(values: Option<&Value>, interrupt: Option<&Interrupt>) -> Vec<StreamEvent> {
    let mut values = wire::values_or_empty(values);
    let Some(interrupt) = interrupt else { return vec![StreamEvent::Ended(wire::bytes(&values))] };
    let questions = json!([{"value": interrupt.question, "id": interrupt.id, "response_schema": null}]);
    values["__interrupt__"] = questions;
    let whole = wire::bytes(&values);
    vec![StreamEvent::Values(whole.clone()), StreamEvent::Ended(whole)]
}
