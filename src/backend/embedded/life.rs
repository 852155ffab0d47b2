//! The life of a run: started when it is due and its thread is free, ended when its node has had its time, or cancelled.

use std::cmp::Reverse;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::graph::{self, Fault};
use super::request::Lifetime;
use super::state::{Before, Event, Interrupt, Moment, RunStatus, Step, Thread, ThreadStatus, Work};
use super::wire;
use super::world::{Appointment, World};

/// How a run came to its end by itself.
enum Ending {
    Finished,
    Halted,
    Failed(Fault),
}

impl World {
    /// Does all that is due, in order, each at its own instant.
    pub(super) fn advance(&mut self, now: Moment) {
        while let Some(Reverse(first)) = self.agenda.peek()
            && first.at <= now.instant
        {
            let (at, thread_id) = (first.at, first.thread_id);
            self.agenda.pop();
            self.attend(now.back_at(at), thread_id);
        }
    }

    /// When something happens on a thread by itself.
    pub(super) fn next_instant(&self, thread_id: Uuid) -> Option<Instant> {
        self.threads.get(&thread_id)?.next_instant()
    }

    /// Ends and starts what is due on one thread.
    pub(super) fn attend(&mut self, now: Moment, thread_id: Uuid) {
        while let Some(thread) = self.threads.get_mut(&thread_id) {
            if let Some(work) = thread.work.take_if(|work| work.ends_at <= now.instant) {
                self.finish(now, thread_id, work);
            } else if thread.work.is_none()
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

    fn start(&mut self, now: Moment, thread_id: Uuid, run_id: Uuid) {
        self.set_status(run_id, RunStatus::Running, now.wall);
        let (Some(thread), Some(run)) = (self.threads.get_mut(&thread_id), self.runs.get_mut(&run_id)) else {
            return;
        };
        run.attempted = true;
        run.tell(|| Event::Started);
        let accepted = Arc::clone(&run.accepted);
        let messages = graph::count(thread.values.as_ref());
        let work = match graph::begin(&accepted.request, &mut thread.values, thread.before_node) {
            Ok(work) => work,
            Err(fault) => return self.end(now.wall, run_id, Ending::Failed(fault)),
        };
        run.tell(|| Event::Values(wire::bytes(&wire::values_or_empty(thread.values.as_ref()))));
        if matches!(work, graph::Work::Nothing) {
            return self.end(now.wall, run_id, Ending::Finished);
        }
        let number = thread.step.as_ref().map_or(0, |step| step.number + 1);
        let before = Before {
            messages,
            step: thread.step.replace(Step { by: Arc::clone(&accepted), number, at: now.wall }),
            before_node: std::mem::replace(&mut thread.before_node, true),
        };
        match work {
            graph::Work::Node { takes, answer } => {
                let ends_at = now.instant.checked_add(takes).unwrap_or(now.instant);
                thread.work = Some(Work { run_id, ends_at, answer, before });
                if ends_at > now.instant {
                    self.agenda.push(Reverse(Appointment {
                        at: ends_at,
                        sequence: accepted.sequence,
                        thread_id,
                    }));
                }
            }
            graph::Work::Halt { question } => {
                let interrupt = question.map(|question| Interrupt {
                    id: self.new_id().simple().to_string(),
                    task_id: self.new_id(),
                    question,
                });
                if let Some(thread) = self.threads.get_mut(&thread_id) {
                    thread.interrupt = interrupt;
                }
                self.end(now.wall, run_id, Ending::Halted);
            }
            graph::Work::Nothing => {}
        }
    }

    fn finish(&mut self, now: Moment, thread_id: Uuid, work: Work) {
        let Some(thread) = self.threads.get_mut(&thread_id) else { return };
        let ending = match work.answer {
            Err(fault) => Ending::Failed(fault),
            Ok(message) => {
                let update = json!({ "messages": [message] });
                graph::append(&mut thread.values, &[message]);
                thread.before_node = false;
                if let Some(step) = &mut thread.step {
                    step.number += 1;
                    step.at = now.wall;
                }
                if let Some(run) = self.runs.get(&work.run_id) {
                    let node = run.accepted.request.assistant.node();
                    run.tell(|| Event::Updates(wire::bytes(&json!({ node: update }))));
                    run.tell(|| Event::Values(wire::bytes(&wire::values_or_empty(thread.values.as_ref()))));
                }
                Ending::Finished
            }
        };
        self.end(now.wall, work.run_id, ending);
    }

    fn end(&mut self, at: Timestamp, run_id: Uuid, ending: Ending) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        let followers = std::mem::take(&mut run.followers);
        let accepted = Arc::clone(&run.accepted);
        let Some(thread) = self.threads.get_mut(&accepted.thread_id) else { return };
        let (status, thread_status) = match &ending {
            Ending::Finished => (RunStatus::Success, ThreadStatus::Idle),
            Ending::Halted => (RunStatus::Success, ThreadStatus::Interrupted),
            Ending::Failed(_) => (RunStatus::Error, ThreadStatus::Error),
        };
        if !matches!(ending, Ending::Halted) {
            thread.interrupt = None;
        }
        let values = thread.values.as_ref();
        let told = followers.first().map(|_| match &ending {
            Ending::Finished => vec![Event::Ended(wire::bytes(&wire::values_or_empty(values)))],
            Ending::Halted => halted_events(values, thread.interrupt.as_ref()),
            Ending::Failed(fault) => vec![
                Event::Failed(wire::bytes(&fault.to_json())),
                Event::Ended(wire::bytes(&json!({"__error__": fault.to_json()}))),
            ],
        });
        for (follower, event) in
            followers.iter().flat_map(|follower| told.iter().flatten().map(move |event| (follower, event)))
        {
            let _ = follower.send(event.clone());
        }
        thread.fault = match ending {
            Ending::Failed(fault) => Some(fault),
            Ending::Finished | Ending::Halted => None,
        };
        thread.reach_status(at, thread_status);
        self.set_status(run_id, status, at);
        if accepted.request.lifetime == Lifetime::Temporary {
            self.remove_thread(accepted.thread_id);
        }
    }

    /// Stops a run that has not ended, and says whether there was one. `rolls_back` deletes it with what it did.
    pub(super) fn cancel(&mut self, now: Moment, run_id: Uuid, rolls_back: bool) -> bool {
        let Some(run) = self.runs.get_mut(&run_id) else { return false };
        let (accepted, followers) = (Arc::clone(&run.accepted), std::mem::take(&mut run.followers));
        let Some(thread) = self.threads.get_mut(&accepted.thread_id) else { return false };
        let was_pending = thread.pending.remove(&(accepted.due, accepted.sequence, run_id));
        let work = thread.work.take_if(|work| work.run_id == run_id);
        if !was_pending && work.is_none() {
            return false;
        }
        for follower in followers {
            let _ = follower.send(Event::Ended(wire::bytes(&wire::values_or_empty(thread.values.as_ref()))));
        }
        match work {
            None => thread.updated_and_status(now.wall, ThreadStatus::Idle),
            Some(work) if rolls_back => {
                graph::truncate(&mut thread.values, work.before.messages);
                thread.step = work.before.step;
                thread.before_node = work.before.before_node;
                thread.fault = Some(cancelled("UserRollback", "rollback"));
                thread.reach_status(now.wall, ThreadStatus::Idle);
            }
            Some(_) => {
                thread.fault = Some(cancelled("UserInterrupt", "interrupt"));
                thread.reach_status(now.wall, ThreadStatus::Interrupted);
            }
        }
        self.set_status(run_id, RunStatus::Interrupted, now.wall);
        if rolls_back {
            self.remove_run(run_id);
        }
        if accepted.request.lifetime == Lifetime::Temporary {
            self.remove_thread(accepted.thread_id);
        }
        self.attend(now, accepted.thread_id);
        true
    }
}

impl Thread {
    /// A run has ended here.
    fn reach_status(&mut self, at: Timestamp, status: ThreadStatus) {
        self.was_used = true;
        self.state_updated_at = at;
        self.updated_and_status(at, status);
    }

    fn updated_and_status(&mut self, at: Timestamp, status: ThreadStatus) {
        self.updated_at = at;
        self.status = if self.is_occupied() { ThreadStatus::Busy } else { status };
    }
}

fn halted_events(values: Option<&Value>, interrupt: Option<&Interrupt>) -> Vec<Event> {
    let mut values = wire::values_or_empty(values);
    let Some(interrupt) = interrupt else { return vec![Event::Ended(wire::bytes(&values))] };
    let asked = json!([{"value": interrupt.question, "id": interrupt.id, "response_schema": null}]);
    values["__interrupt__"] = asked.clone();
    let whole = wire::bytes(&values);
    vec![
        Event::Updates(wire::bytes(&json!({ "__interrupt__": asked }))),
        Event::Values(whole.clone()),
        Event::Ended(whole),
    ]
}

fn cancelled(error: &'static str, action: &str) -> Fault {
    Fault::new(error, format!("{action} requested via POST /threads/{{thread_id}}/runs/{{run_id}}/cancel"))
}
