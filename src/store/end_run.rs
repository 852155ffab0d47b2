//! The end of a run: its outcome, its delivery and the deletion of its thread are one transaction, so that
//! none of them exists without the others.

use jiff::Timestamp;
use rusqlite::named_params;

use super::counts::{Counted, Tx};
use super::cron_entries::count_failure;
use super::rows::{millis, run, save_run};
use super::step_run::{RunEvent, insert_deletion, insert_event};
use super::{Store, StoreError, delivery_mode, suspended};
use crate::domain::delivery::{DeliveryStatus, NewDelivery};
use crate::domain::ids::{RunId, ThreadId};
use crate::domain::reason::DeliveryReasonCode;
use crate::domain::run::{Outcome, RunChange};

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
    /// Commits the end of a run.
    ///
    /// # Errors
    /// [`StoreError::IllegalTransition`] if the run has ended already.
    pub async fn end_run(&self, ending: RunEnding) -> Result<(), StoreError> {
        let paused = self
            .write(move |tx| {
                let mut run = run(tx, ending.run_id)?;
                let ended_at = ending.outcome.ended_at;
                run.state = run.state.apply(RunChange::End(ending.outcome.clone()))?;
                save_run(tx, &run, None)?;
                tx.count_end(&run);
                if let Some(event) = &ending.event {
                    insert_event(tx, ending.run_id, event)?;
                }
                let failure_limit = ending.failure_limit.as_ref();
                let paused = count_failure(tx, &run, failure_limit.map(|failure| failure.limit), ended_at)?;
                let delivery = match (failure_limit, &paused) {
                    (Some(failure_limit), Some(_)) => &failure_limit.delivery,
                    (_, None) | (None, Some(_)) => &ending.delivery,
                };
                if let Some(delivery) = delivery {
                    insert_delivery(tx, delivery, ended_at)?;
                }
                if let Some(thread_id) = ending.discard {
                    insert_deletion(tx, ending.run_id, thread_id, ended_at)?;
                }
                Ok(paused)
            })
            .await?;
        if let Some(paused) = paused {
            let failures = paused.failures;
            tracing::warn!(cron = paused.cron_name, failures, "cron paused after too many failures in a row");
        }
        Ok(())
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
