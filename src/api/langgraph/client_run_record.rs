//! Our record of a run that a client asked for, updated by the agent server's response to the request.

use crate::api::Api;
use crate::domain::ids::{BackendRunId, RunId, ThreadId};
use crate::domain::reason::{Reason, ReasonCode, RunEventKind};
use crate::domain::run::{Outcome, RunChange, Status};
use crate::store::{RunEnding, RunEvent, Step, StoreError};

pub(super) struct ClientRunRecord<'a> {
    api: &'a Api,
    run_id: RunId,
}

impl<'a> ClientRunRecord<'a> {
    /// The store must already have the run, in the phase `sending`.
    pub(super) fn new(api: &'a Api, run_id: RunId) -> Self {
        Self { api, run_id }
    }

    pub(super) fn run_id(&self) -> RunId {
        self.run_id
    }

    /// Records that the agent server has the run; the runner then follows it.
    pub(super) async fn accepted(&self, thread_id: ThreadId, backend_run_id: BackendRunId) {
        let now = self.api.clock.now();
        let change = RunChange::Accept { thread_id, backend_run_id, at: now };
        self.step(Step { act_at: Some(now), ..Step::of(self.run_id, change) }).await;
    }

    /// Records that the start is not confirmed; the runner then finds out whether the agent server has the run.
    pub(super) async fn unconfirmed(&self, why: String) {
        let now = self.api.clock.now();
        tracing::warn!(run_id = %self.run_id, why, "client run unconfirmed");
        let reason = Some(Reason::new(ReasonCode::StartUnconfirmed, why));
        let event = Some(RunEvent { at: now, event: RunEventKind::Unconfirmed, reason });
        self.step(Step { act_at: Some(now), event, ..Step::of(self.run_id, RunChange::Unconfirm) }).await;
    }

    /// Records that the agent server does not have the run. The client has its own error, so no webhook is sent.
    pub(super) async fn rejected(&self, why: String) {
        tracing::info!(run_id = %self.run_id, why, "client run rejected");
        let reason = Reason::new(ReasonCode::Rejected, why);
        let outcome = Outcome::without_backend(Status::Error, reason, self.api.clock.now());
        let run_id = self.run_id;
        let ending =
            RunEnding { run_id, outcome, delivery: None, discard: None, event: None, failure_limit: None };
        self.log_failure(self.api.store.end_run(ending).await);
    }

    async fn step(&self, step: Step) {
        self.log_failure(self.api.store.step_run(step).await.map(drop));
        self.api.wakes.runner.notify_one();
    }

    /// Logs that the record could not be written; at its next start the daemon treats the run as unconfirmed.
    fn log_failure(&self, written: Result<(), StoreError>) {
        if let Err(error) = written {
            tracing::error!(run_id = %self.run_id, %error, "client run not recorded");
        }
    }
}
