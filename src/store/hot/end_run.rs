//! The end of a run: its outcome, its delivery and the deletion of its thread are one transaction, so that
//! none of them exists without the others.

use std::time::Duration;

use super::claim_runs::looked_at;
use super::step_run::{RunEvent, insert_deletion, insert_event};
use crate::domain::backoff;
use crate::domain::cron::RetryPolicy;
use crate::domain::delivery::NewDelivery;
use crate::domain::ids::{CronId, FIRST_RUN, ThreadId};
use crate::domain::lease::THREADS_KEPT;
use crate::domain::reason::{Reason, ReasonCode, RunEventKind};
use crate::domain::retry::{AfterRun, after_run};
use crate::domain::run::{Outcome, Run, RunChange, RunState, Status};
use crate::store::counts::Tx;
use crate::store::cron_entries::run_ended;
use crate::store::definitions::Definitions;
use crate::store::edits::revise_waiting;
use crate::store::held_runs::HeldRun;
use crate::store::held_runs::run_to_change;
use crate::store::lease::Sharing;
use crate::store::new_deliveries::insert_delivery;
use crate::store::owed_webhooks::{self, Owed};
use crate::store::read_runs::ReadRun;
use crate::store::retry::insert_next;
use crate::store::rows::{OutcomeTexts, save_end};
use crate::store::waits_for::count_deadline_from;
use crate::store::write_queue::HeldChange;
use crate::store::{Store, StoreError};

/// Everything that becomes true when a run ends.
#[derive(Clone, Debug)]
pub struct RunEnding {
    pub run: HeldRun,
    pub outcome: Outcome,
    /// The webhook that reports the end.
    pub delivery: Option<NewDelivery>,
    /// The thread to be deleted on the agent server.
    pub discard: Option<ThreadId>,
    /// A last line for the run's timeline.
    pub event: Option<RunEvent>,
    /// `None` if failures do not pause the cron.
    pub failure_limit: Option<FailureLimit>,
    /// Tells a dead man's switch of the end of the occurrence.
    pub ping: Option<NewDelivery>,
}

impl RunEnding {
    /// Returns an end that nobody is told of, and from which nothing follows.
    pub fn of(run: HeldRun, outcome: Outcome) -> Self {
        Self { run, outcome, delivery: None, discard: None, event: None, failure_limit: None, ping: None }
    }
}

/// A limit to the failures in a row of a cron.
#[derive(Clone, Debug)]
pub struct FailureLimit {
    /// So many failures in a row pause the cron.
    pub limit: u32,
    /// The webhook to send instead of [`RunEnding::delivery`] if this end pauses the cron. Its body says so.
    pub delivery: Option<NewDelivery>,
}

/// What may be to do once the end of a run is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AfterEnd {
    /// A webhook may be due.
    pub may_notify: bool,
    /// A run may be due later than was known, or the plan of its cron may have waited for that.
    pub may_act: bool,
}

impl Store {
    /// Commits the end of a run, and what follows: a further run of its occurrence, or the webhook of the occurrence. A
    /// run that is retried is no failure of its cron yet, and has no webhook unless each run has one.
    ///
    /// # Errors
    /// [`StoreError::NotHeld`] if this daemon does not hold the run any more.
    pub async fn end_run(&self, mut ending: RunEnding) -> Result<AfterEnd, StoreError> {
        let (cache, daemon) = (self.definitions.clone(), self.number);
        let threads_kept = match self.sharing() {
            Sharing::Alone => Duration::ZERO,
            Sharing::Shared => THREADS_KEPT,
        };
        // The writer is one thread for all runs, and none of its decisions depends on what the graph returned.
        let texts = OutcomeTexts::take_from(&mut ending.outcome);
        let (paused, after) = self
            .write_about(HeldChange { run_id: ending.run.run_id, with_cron: true }, move |tx| {
                let run_id = ending.run.run_id;
                let ReadRun { mut run, is_awaited, .. } = run_to_change(tx, ending.run, daemon)?;
                let now = ending.outcome.learnt_at;
                let was_sent = !matches!(run.state, RunState::Pending { start_number: 1 });
                run.state = run.state.apply(RunChange::End(ending.outcome.clone()))?;
                save_end(tx, run_id, &ending.outcome, &texts)?;
                if let Some(event) = &ending.event {
                    insert_event(tx, run_id, event)?;
                }
                if let Some(thread_id) = ending.discard {
                    insert_deletion(tx, run_id, thread_id, backoff::after(now, threads_kept))?;
                }
                let may_notify = ending.delivery.is_some() || ending.ping.is_some() || run.retry > FIRST_RUN;
                let owed = owed_webhooks::settle(tx, &run, now)?;
                let retry = insert_retry(tx, &cache, &run, &ending.outcome)?;
                tx.count_end(&run, retry.is_some());
                if let Some(retry) = retry {
                    match &ending.delivery {
                        Some(delivery) if retry.webhook_each => insert_delivery(tx, delivery, now)?,
                        Some(delivery) => owed_webhooks::owe(tx, delivery)?,
                        None => {}
                    }
                    // The cron may have been edited, paused or removed since it was sent.
                    if let Some(cron_id) = run.cron_id() {
                        revise_waiting(tx, &cache, cron_id, now)?;
                    }
                    if is_awaited {
                        looked_at(tx, run_id)?;
                    }
                    return Ok((None, AfterEnd { may_notify, may_act: true }));
                }
                if let Some(ping) = &ending.ping {
                    insert_delivery(tx, ping, now)?;
                }
                let failure_limit = ending.failure_limit.as_ref();
                let paused = run_ended(tx, &run, failure_limit.map(|failure| failure.limit), now)?;
                // A retry that was never sent ends an occurrence that others have waited for.
                let may_wait = |cron_id: &CronId| tx.cron_ahead(*cron_id).is_none_or(|cron| cron.has_waiting);
                let cron_id = run.cron_id().filter(|_| was_sent || run.retry > FIRST_RUN);
                if let Some(cron_id) = cron_id.filter(may_wait) {
                    count_deadline_from(tx, &cache, cron_id, now)?;
                }
                if let (Some(_), Some(cron_id)) = (&paused, run.cron_id()) {
                    revise_waiting(tx, &cache, cron_id, now)?;
                }
                let delivery = match (failure_limit, &paused) {
                    (Some(failure_limit), Some(_)) => &failure_limit.delivery,
                    (_, None) | (None, Some(_)) => &ending.delivery,
                };
                if let Some(delivery) = delivery.as_ref().filter(|_| owed == Owed::Nothing) {
                    insert_delivery(tx, delivery, now)?;
                }
                let may_act = is_awaited && looked_at(tx, run_id)? || paused.is_some();
                Ok((paused, AfterEnd { may_notify, may_act }))
            })
            .await?;
        if let Some(paused) = paused {
            let failures = paused.failures;
            tracing::warn!(cron = paused.cron_name, failures, "cron paused after too many failures in a row");
        }
        Ok(after)
    }
}

/// Inserts the further run that the occurrence of an ended run gets, and returns the policy by which it gets one, or
/// `None` if it gets none. The run's timeline says why, or why not, if its cron retries anything.
fn insert_retry(
    tx: &Tx<'_>,
    cache: &Definitions,
    run: &Run,
    outcome: &Outcome,
) -> Result<Option<RetryPolicy>, StoreError> {
    let (Some(version), Status::Error | Status::Timeout) = (&run.cron, outcome.status) else {
        return Ok(None);
    };
    let cron = cache.get(tx, version.definition_id, &version.name)?;
    let Some(retry) = &cron.policy.retry else { return Ok(None) };
    let after = after_run(&cron.policy, run, outcome);
    let (event, message) = match &after {
        AfterRun::Retry(next) => (
            RunEventKind::Retried,
            format!("retry {} of {} is due at {}", next.retry, retry.max, next.due_at),
        ),
        AfterRun::Final(why) => (RunEventKind::NotRetried, why.to_string()),
    };
    let code = outcome.reason.as_ref().map_or(ReasonCode::GraphError, |reason| reason.code);
    let event = RunEvent { at: outcome.learnt_at, event, reason: Some(Reason::new(code, message)) };
    insert_event(tx, run.run_id, &event)?;
    match after {
        AfterRun::Retry(next) => {
            insert_next(tx, cache, run, next)?;
            Ok(Some(retry.clone()))
        }
        AfterRun::Final(_) => Ok(None),
    }
}
