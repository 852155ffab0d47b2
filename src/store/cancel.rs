//! Cancelling a run on request.

use jiff::Timestamp;

use super::rows::{millis, run};
use super::{Store, StoreError, acts};
use crate::domain::act::{Act, ActKind, Actor, Subject};
use crate::domain::ids::RunId;
use crate::domain::run::{CancelCause, Phase, Run, RunState};

/// The run that a request to cancel named, as it was before, and the effect of the request.
#[derive(Clone, Debug)]
pub struct CancelledRun {
    pub run: Run,
    pub effect: CancelEffect,
}

/// What a request to cancel a run leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelEffect {
    /// The run was pending, and will not be started.
    NotStarted,
    /// The run is being sent. It is cancelled once it is known whether it has started.
    OnceKnown,
    /// The backend is asked to cancel the run.
    Requested,
    /// Nothing: the run has ended already.
    AlreadyEnded,
}

impl Store {
    /// Cancels a run, unless it has ended already. Returns `None` if there is no such run.
    pub async fn cancel_run(
        &self,
        now: Timestamp,
        by: Actor,
        run_id: RunId,
    ) -> Result<Option<CancelledRun>, StoreError> {
        self.write(move |tx| {
            let run = match run(tx, run_id) {
                Ok(run) => run,
                Err(StoreError::NotFound(_)) => return Ok(None),
                Err(error) => return Err(error),
            };
            let effect = match &run.state {
                RunState::Pending { .. } => CancelEffect::NotStarted,
                RunState::Sending { .. } | RunState::Unconfirmed { .. } => CancelEffect::OnceKnown,
                RunState::Running(_) => CancelEffect::Requested,
                RunState::Ended { .. } => {
                    return Ok(Some(CancelledRun { run, effect: CancelEffect::AlreadyEnded }));
                }
            };
            // A run that is being sent stays claimed by the task that sends it.
            tx.execute(
                "UPDATE runs SET cancelling = coalesce(cancelling, ?2), \
                 act_at = iif(phase IN ('pending', 'running'), ?3, act_at) WHERE run_id = ?1",
                (run_id.to_string(), CancelCause::Request.as_str(), millis(now)),
            )?;
            let (by, what, subject) = (by.clone(), ActKind::Cancelled, Subject::run(&run));
            acts::record(tx, &Act { at: now, by, what, subject, note: None })?;
            Ok(Some(CancelledRun { run, effect }))
        })
        .await
    }
}

impl CancelEffect {
    /// Describes the effect on `run` in a human-readable sentence.
    pub fn message(self, run: &Run) -> String {
        match self {
            CancelEffect::NotStarted => "it was pending and will not be started".to_owned(),
            CancelEffect::OnceKnown => {
                "it is being sent, and is cancelled as soon as the agent server has accepted it".to_owned()
            }
            CancelEffect::Requested => "the agent server is being asked to cancel it".to_owned(),
            CancelEffect::AlreadyEnded => {
                let status = run.state.status().map_or(Phase::Ended.as_str(), |status| status.as_str());
                format!("it is over already ({status})")
            }
        }
    }
}
