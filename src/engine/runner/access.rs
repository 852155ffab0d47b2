//! Whether the agent server lets us follow a run. While it refuses us, the run says so.

use std::time::Duration;

use jiff::Timestamp;

use super::RunTask;
use super::backend_breaker::{DENIED_FIRST, DENIED_MOST};
use crate::backend::Denial;
use crate::domain::backoff;
use crate::domain::reason::Reason;
use crate::domain::run::RunState;
use crate::store::StoreError;

/// How the log describes what the denials lead to.
pub(super) const EFFECT: &str = "runs cannot be followed";

pub(super) struct Access {
    /// How often in a row the server has refused us.
    denials: u32,
    /// The HTTP status because of which the run's reason says that we are refused; 0 if a former process has noted it.
    noted: Option<u16>,
    /// The reason that the note replaced; unknown after a restart.
    earlier: Option<Reason>,
}

impl Access {
    pub(super) fn of(task: &RunTask<'_>) -> Self {
        let run = &task.claimed.run;
        let is_running = matches!(run.state, RunState::Running(_));
        let is_noted = is_running && run.reason.as_ref().is_some_and(Reason::is_denial);
        Self { denials: 0, noted: is_noted.then_some(0), earlier: None }
    }

    /// Notes on the run that our credentials are refused. `impossible` says what cannot be done, such as `cannot be
    /// followed`, and the run was not seen since `unseen_since`.
    pub(super) async fn denied(
        &mut self,
        task: &RunTask<'_>,
        impossible: &str,
        denial: &Denial,
        unseen_since: Timestamp,
    ) -> Result<(), StoreError> {
        self.denials = self.denials.saturating_add(1);
        task.runner.denials.record(task.claimed.run.run_id.0, EFFECT, denial);
        self.note(task, impossible, denial, unseen_since).await
    }

    /// Notes on the run that the server answers, and does not show it.
    pub(super) async fn note(
        &mut self,
        task: &RunTask<'_>,
        impossible: &str,
        denial: &Denial,
        unseen_since: Timestamp,
    ) -> Result<(), StoreError> {
        let (runner, held) = (task.runner, task.claimed.held());
        if self.noted.replace(denial.code) != Some(denial.code) {
            let message = format!("{impossible}: {denial}");
            let replaced =
                runner.store.record_denial(held, unseen_since, runner.clock.now(), message).await?;
            self.earlier = replaced.filter(|reason| !reason.is_denial()).or(self.earlier.take());
        }
        Ok(())
    }

    /// Takes the note back, once the server lets us follow the run.
    pub(super) async fn granted(&mut self, task: &RunTask<'_>) -> Result<(), StoreError> {
        let held = task.claimed.held();
        self.denials = 0;
        task.runner.denials.lift(held.run_id.0);
        match self.noted.take() {
            Some(_) => task.runner.store.lift_denial(held, self.earlier.take()).await,
            None => Ok(()),
        }
    }

    /// Returns how long to wait before the server is asked again, or `None` if it has not refused our credentials.
    pub(super) fn wait(&self) -> Option<Duration> {
        (self.denials > 0).then(|| backoff::doubling(DENIED_FIRST, DENIED_MOST, self.denials))
    }
}
