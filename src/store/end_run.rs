//! The end of a run: outcome, deliveries and the deletion of its thread in one transaction, so that none of them
//! can be without the others.

use jiff::Timestamp;
use rusqlite::named_params;

use super::counts::{Counted, Tx};
use super::cron_state::run_ended;
use super::rows::{millis, run, save_run};
use super::step_run::{RunEvent, insert_deletion, insert_event};
use super::{Store, StoreError, delivery_mode, suspended};
use crate::domain::delivery::{DeliveryStatus, NewDelivery};
use crate::domain::ids::{RunId, ThreadId};
use crate::domain::reason::DeliveryReasonCode;
use crate::domain::run::{Outcome, RunChange};

/// Everything that is to be true once a run is over.
#[derive(Clone, Debug)]
pub struct RunEnding {
    /// Whose.
    pub run_id: RunId,
    /// How it ended.
    pub outcome: Outcome,
    /// Whom to tell.
    pub delivery: Option<NewDelivery>,
    /// The thread that is not to be kept.
    pub discard: Option<ThreadId>,
    /// A last line in its timeline.
    pub event: Option<RunEvent>,
    /// Whether failures pause its cron.
    pub failure_limit: Option<FailureLimit>,
}

/// A limit to failures in a row.
#[derive(Clone, Debug)]
pub struct FailureLimit {
    /// This many pause the cron.
    pub limit: u32,
    /// Whom to tell instead, if this run is the one that pauses it: the body says so.
    pub delivery: Option<NewDelivery>,
}

impl Store {
    /// Commits the end of a run.
    pub async fn end_run(&self, ending: RunEnding) -> Result<(), StoreError> {
        self.write(move |tx| {
            let mut run = run(tx, ending.run_id)?;
            let ended_at = ending.outcome.ended_at;
            run.state = run.state.apply(RunChange::End(ending.outcome.clone()))?;
            save_run(tx, &run, None)?;
            tx.count_end(&run);
            if let Some(event) = &ending.event {
                insert_event(tx, ending.run_id, event)?;
            }
            let failure_limit = ending.failure_limit.as_ref();
            let paused =
                run_ended(tx, &run, failure_limit.map(|failure_limit| failure_limit.limit), ended_at)?;
            let told = failure_limit
                .filter(|_| paused)
                .map_or(&ending.delivery, |failure_limit| &failure_limit.delivery);
            if let Some(delivery) = told {
                insert_delivery(tx, delivery, ended_at)?;
            }
            if let Some(thread_id) = ending.discard {
                insert_deletion(tx, ending.run_id, thread_id, ended_at)?;
            }
            Ok(())
        })
        .await
    }
}

fn insert_delivery(tx: &Tx<'_>, delivery: &NewDelivery, now: Timestamp) -> Result<(), StoreError> {
    let suppressed = delivery.status == DeliveryStatus::Suppressed;
    let inserted = tx.prepare_cached(
        "INSERT INTO deliveries (delivery_id, run_id, url, body, status, due_at, created_at, ended_at, reason_code, reason) \
         VALUES (:delivery_id, :run_id, :url, :body, :status, :due_at, :now, :ended_at, :reason_code, :reason) \
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
