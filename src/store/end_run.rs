//! The end of a run: its outcome, its delivery and the deletion of its thread are one transaction, so that
//! none of them exists without the others.

use jiff::Timestamp;
use rusqlite::named_params;

use super::claim_runs::looked_at;
use super::counts::{Counted, Tx};
use super::cron_entries::count_failure;
use super::edits::revise_waiting;
use super::rows::{millis, run, save_run};
use super::step_run::{RunEvent, insert_deletion, insert_event};
use super::waits_for::count_deadline_from;
use super::{Store, StoreError, delivery_mode, suspended};
use crate::domain::delivery::{DeliveryStatus, NewDelivery};
use crate::domain::ids::{RunId, ThreadId};
use crate::domain::reason::DeliveryReasonCode;
use crate::domain::run::{Outcome, RunChange, RunState};

/// Everything that becomes true when a run ends.
#[derive(Clone, Debug)]
pub struct RunEnding {
    pub run_id: RunId,
    pub outcome: Outcome,
    /// The webhook that reports the end.
    pub delivery: Option<NewDelivery>,
    /// The thread to be deleted on the agent server.
    pub discard: Option<ThreadId>,
    /// A last line for the run's timeline.
    pub event: Option<RunEvent>,
    /// `None` if failures do not pause the cron.
    pub failure_limit: Option<FailureLimit>,
}

/// A limit to the failures in a row of a cron.
#[derive(Clone, Debug)]
pub struct FailureLimit {
    /// So many failures in a row pause the cron.
    pub limit: u32,
    /// The webhook to send instead of [`RunEnding::delivery`] if this end pauses the cron. Its body says so.
    pub delivery: Option<NewDelivery>,
}

impl Store {
    /// Commits the end of a run. Returns whether the plan of its cron may have waited for that.
    ///
    /// # Errors
    /// [`StoreError::IllegalTransition`] if the run has ended already.
    pub async fn end_run(&self, ending: RunEnding) -> Result<bool, StoreError> {
        let cache = self.definitions.clone();
        let (paused, was_waited_for) = self
            .write(move |tx| {
                let mut run = run(tx, ending.run_id)?;
                let now = ending.outcome.learnt_at;
                let was_sent = !matches!(run.state, RunState::Pending { start_number: 1 });
                run.state = run.state.apply(RunChange::End(ending.outcome.clone()))?;
                save_run(tx, &run, None)?;
                tx.count_end(&run);
                if let Some(event) = &ending.event {
                    insert_event(tx, ending.run_id, event)?;
                }
                let failure_limit = ending.failure_limit.as_ref();
                let paused = count_failure(tx, &run, failure_limit.map(|failure| failure.limit), now)?;
                if let Some(cron_id) = run.cron_id().filter(|_| was_sent) {
                    count_deadline_from(tx, &cache, cron_id, now)?;
                }
                if let (Some(_), Some(cron_id)) = (&paused, run.cron_id()) {
                    revise_waiting(tx, &cache, cron_id, now)?;
                }
                let delivery = match (failure_limit, &paused) {
                    (Some(failure_limit), Some(_)) => &failure_limit.delivery,
                    (_, None) | (None, Some(_)) => &ending.delivery,
                };
                if let Some(delivery) = delivery {
                    insert_delivery(tx, delivery, now)?;
                }
                if let Some(thread_id) = ending.discard {
                    insert_deletion(tx, ending.run_id, thread_id, now)?;
                }
                Ok((paused, looked_at(tx, ending.run_id)?))
            })
            .await?;
        if let Some(paused) = paused {
            let failures = paused.failures;
            tracing::warn!(cron = paused.cron_name, failures, "cron paused after too many failures in a row");
        }
        Ok(was_waited_for)
    }
}

fn insert_delivery(tx: &Tx<'_>, delivery: &NewDelivery, now: Timestamp) -> Result<(), StoreError> {
    let suppressed = delivery.status == DeliveryStatus::Suppressed;
    let inserted = tx.prepare_cached(
        "INSERT INTO deliveries (delivery_id, run_id, url, body, status, due_at, created_at, ended_at, \
         reason_code, reason, of_client) \
         VALUES (:delivery_id, :run_id, :url, :body, :status, :due_at, :now, :ended_at, :reason_code, :reason, \
         (SELECT cron_source IS NOT 'file' FROM runs WHERE run_id = :run_id)) \
         ON CONFLICT DO NOTHING",
    )?
    .execute(named_params! {
        ":delivery_id": delivery.delivery_id.to_string(),
        ":run_id": delivery.run_id.to_string(),
        ":url": delivery.url,
        ":body": delivery.body,
        ":status": delivery.status.as_str(),
        ":due_at": (!suppressed).then(|| millis(now)),
        ":now": millis(now),
        ":ended_at": suppressed.then(|| millis(now)),
        ":reason_code": suppressed.then_some(DeliveryReasonCode::Disabled.as_str()),
        ":reason": suppressed.then_some(delivery_mode::DISABLED),
    })?;
    if suppressed {
        tx.count(Counted::NeverSent { status: delivery.status, deliveries: inserted });
        return Ok(());
    }
    suspended::end_waiting_to(tx, &delivery.url, now)
}
