//! Our record of a run that a client has asked for, as the answer to its request changes it.

use crate::api::Api;
use crate::domain::ids::{BackendRunId, RunId, ThreadId};
use crate::domain::reason::{Reason, ReasonCode, RunEventKind};
use crate::domain::run::{Outcome, RunChange, Status};
use crate::store::{RunEnding, RunEvent, Step, StoreError};

pub(super) struct Record<'a> {
    api: &'a Api,
    run_id: RunId,
}

impl<'a> Record<'a> {
    /// The run is on record as being sent.
    pub(super) fn new(api: &'a Api, run_id: RunId) -> Self {
        Self { api, run_id }
    }

    /// Which.
    pub(super) fn run_id(&self) -> RunId {
        self.run_id
    }

    /// The agent server has it: the runner is to follow it.
    pub(super) async fn accepted(&self, thread_id: ThreadId, backend_run_id: BackendRunId) {
        let now = self.api.clock.now();
        let change = RunChange::Accept { thread_id, backend_run_id, at: now };
        self.step(Step { act_at: Some(now), ..Step::of(self.run_id, change) }).await;
    }

    /// The runner is to find out whether the agent server has it.
    pub(super) async fn unconfirmed(&self, why: String) {
        let now = self.api.clock.now();
        tracing::warn!(run_id = %self.run_id, why, "not known whether, or where, a client's run has started");
        let reason = Some(Reason::new(ReasonCode::StartUnconfirmed, why));
        let event = Some(RunEvent { at: now, event: RunEventKind::Unconfirmed, reason });
        self.step(Step { act_at: Some(now), event, ..Step::of(self.run_id, RunChange::Unconfirm) }).await;
    }

    /// The agent server does not have it, and the client knows.
    pub(super) async fn rejected(&self, why: String) {
        tracing::info!(run_id = %self.run_id, why, "a client's run was not started");
        let reason = Reason::new(ReasonCode::Rejected, format!("rejected: {why}"));
        let outcome = Outcome::without_backend(Status::Error, reason, self.api.clock.now());
        let run_id = self.run_id;
        let ending =
            RunEnding { run_id, outcome, delivery: None, discard: None, event: None, failure_limit: None };
        self.note(self.api.store.end_run(ending).await);
    }

    async fn step(&self, step: Step) {
        self.note(self.api.store.step_run(step).await.map(drop));
        self.api.wakes.runner.notify_one();
    }

    /// What could not be written is in doubt at the next start.
    fn note(&self, written: Result<(), StoreError>) {
        if let Err(error) = written {
            tracing::error!(run_id = %self.run_id, %error, "what became of a client's run could not be recorded");
        }
    }
}
