//! Leaves a run to another daemon that shares the store and has the values that it needs. Usually it is not even claimed
//! ([`crate::engine::lacking`]); this is for what has become known since.

use super::request::needed_values;
use super::{NextStep, RunTask};
use crate::domain::missing_values::{Names, is_left_to_others};
use crate::domain::reason::{Reason, ReasonCode, RunEventKind};
use crate::domain::run::RunChange;
use crate::store::{RunEvent, Sharing, Step, StoreError};

/// Returns whether this daemon lacks a value that the run needs, while another that is alive has all of them.
pub(super) async fn are_of_others(task: &RunTask<'_>) -> Result<bool, StoreError> {
    let runner = task.runner;
    if runner.store.sharing() == Sharing::Alone {
        return Ok(false);
    }
    let needed = needed_values(task.claimed);
    let others = runner.store.published_by_others(runner.clock.now()).await?;
    let others: Vec<Names> = others.into_iter().map(|other| other.missing).collect();
    Ok(is_left_to_others(&needed, &runner.environment.lacks(&needed), &others))
}

/// Gives the run back at once, and claims none of its cron any more as long as that is so.
pub(super) async fn leave_to_others(task: &RunTask<'_>, why: String) -> Result<NextStep, StoreError> {
    let (runner, at) = (task.runner, task.runner.clock.now());
    if let Some(cron_id) = task.claimed.run.cron_id() {
        runner.store.leave_cron_to_others(cron_id);
    }
    let reason = Reason::new(ReasonCode::Placeholder, format!("left to another daemon: {why}"));
    let event = Some(RunEvent { at, event: RunEventKind::NotSent, reason: Some(reason) });
    let step = Step { act_at: Some(at), event, ..Step::of(task.claimed.held(), RunChange::NotSent) };
    runner.store.step_run(step).await?;
    Ok(NextStep::Leave)
}
