//! Our records of the runs that one request of a client asked for, updated by the agent server's response.

use crate::api::Api;
use crate::domain::ids::{BackendRunId, InstallationId, RunId, ThreadId};
use crate::domain::reason::{Reason, ReasonCode, RunEventKind};
use crate::domain::run::{Outcome, RunChange, Status};
use crate::store::{HeldRun, RunEnding, RunEvent, Step, StoreError};

pub(super) struct ClientRunRecords<'a> {
    api: &'a Api,
    runs: &'a [HeldRun],
}

impl<'a> ClientRunRecords<'a> {
    /// The store must already have the runs, in the phase `sending`.
    pub(super) fn new(api: &'a Api, runs: &'a [HeldRun]) -> Self {
        Self { api, runs }
    }

    pub(super) fn installation_id(&self) -> InstallationId {
        self.api.store.installation_id()
    }

    /// Records that the agent server has this run; the runner then follows it.
    pub(super) async fn accepted(&self, run: HeldRun, thread_id: ThreadId, backend_run_id: BackendRunId) {
        let now = self.api.clock.now();
        let change = RunChange::Accept { thread_id, backend_run_id, at: now };
        self.step(Step { act_at: Some(now), ..Step::of(run, change) }).await;
    }

    /// Records that the start of this run is not confirmed; the runner then finds out whether the agent server has it.
    pub(super) async fn unconfirmed(&self, run: HeldRun, why: String) {
        let now = self.api.clock.now();
        tracing::warn!(run_id = %run.run_id, why, hourly = "", "client run unconfirmed");
        let reason = Some(Reason::new(ReasonCode::StartUnconfirmed, why));
        let event = Some(RunEvent { at: now, event: RunEventKind::Unconfirmed, reason });
        self.step(Step { act_at: Some(now), event, ..Step::of(run, RunChange::Unconfirm) }).await;
    }

    /// Records that no start is confirmed.
    pub(super) async fn all_unconfirmed(&self, why: &str) {
        for run in self.runs {
            self.unconfirmed(*run, why.to_owned()).await;
        }
    }

    /// Records that the agent server has none of the runs. The client has its own error, so no webhook is sent.
    pub(super) async fn all_rejected(&self, why: &str) {
        for run in self.runs {
            let reason = Reason::new(ReasonCode::Rejected, why);
            let outcome = Outcome::without_backend(Status::Error, reason, self.api.clock.now());
            let ending = RunEnding::of(*run, outcome);
            log_failure(run.run_id, self.api.store.end_run(ending).await.map(drop));
        }
    }

    async fn step(&self, step: Step) {
        let run_id = step.run.run_id;
        log_failure(run_id, self.api.store.step_run(step).await.map(drop));
        self.api.wakes.runner.notify_one();
    }
}

/// Logs that a record could not be written; at its next start the daemon treats the run as unconfirmed.
fn log_failure(run_id: RunId, written: Result<(), StoreError>) {
    if let Err(error) = written {
        tracing::error!(%run_id, %error, "client run not recorded");
    }
}
