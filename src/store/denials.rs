//! What the agent server refuses us about a run: it is noted on the run while it lasts.

use jiff::Timestamp;

use super::held_runs::HeldRun;
use super::held_runs::demand_held;
use super::outages::restate_overlaps;
use super::rows::{millis, reason_from_row};
use super::sql::{Transaction, named_params};
use super::{Store, StoreError};
use crate::domain::ids::RunId;
use crate::domain::reason::{Reason, ReasonCode, RunEventKind};

impl Store {
    /// Adds a denial to the timeline of a run, unless it is there already, and makes it the reason of a run that is
    /// running, and of what was skipped for it since the agent server has shown it last. Returns the reason that it
    /// replaces.
    pub async fn record_denial(
        &self,
        held: HeldRun,
        unseen_since: Timestamp,
        at: Timestamp,
        message: String,
    ) -> Result<Option<Reason>, StoreError> {
        let (run_id, daemon) = (held.run_id, self.number);
        self.write(move |tx| {
            demand_held(tx, held, daemon)?;
            insert_once(tx, run_id, at, RunEventKind::BackendDenied, &message)?;
            let denied = Reason::new(ReasonCode::BackendDenied, message.clone());
            restate_overlaps(tx, Some(run_id), unseen_since, &denied)?;
            let replaced = tx.query_opt(
                "SELECT reason_code, reason FROM runs WHERE run_id = ?1 AND phase = 'running'",
                [run_id.to_string()],
                reason_from_row,
            )?;
            let Some(replaced) = replaced else { return Ok(None) };
            set_reason(tx, run_id, Some(&denied))?;
            Ok(replaced)
        })
        .await
    }

    /// Adds to the timeline of a run that has ended that its thread cannot be deleted, unless it is there already.
    pub async fn record_not_deleted(
        &self,
        run_id: RunId,
        at: Timestamp,
        message: String,
    ) -> Result<(), StoreError> {
        self.write(move |tx| insert_once(tx, run_id, at, RunEventKind::BackendDenied, &message)).await
    }

    /// Gives a reason to what was skipped for a run since the agent server has shown it last.
    pub async fn restate_overlaps(
        &self,
        held: HeldRun,
        unseen_since: Timestamp,
        because: Reason,
    ) -> Result<(), StoreError> {
        let daemon = self.number;
        self.write(move |tx| {
            demand_held(tx, held, daemon)?;
            restate_overlaps(tx, Some(held.run_id), unseen_since, &because)
        })
        .await
    }

    /// Adds to the timeline of a run that the agent server did not answer at once when it was told to cancel the run.
    pub async fn record_not_cancelled(
        &self,
        held: HeldRun,
        at: Timestamp,
        detail: String,
    ) -> Result<(), StoreError> {
        let daemon = self.number;
        self.write(move |tx| {
            demand_held(tx, held, daemon)?;
            insert_once(tx, held.run_id, at, RunEventKind::NotCancelled, &detail)
        })
        .await
    }

    /// Gives a running run back the reason that a denial has replaced.
    pub async fn lift_denial(&self, held: HeldRun, earlier: Option<Reason>) -> Result<(), StoreError> {
        let daemon = self.number;
        self.write(move |tx| {
            demand_held(tx, held, daemon)?;
            set_reason(tx, held.run_id, earlier.as_ref())
        })
        .await
    }
}

fn insert_once(
    tx: &Transaction<'_>,
    run_id: RunId,
    at: Timestamp,
    event: RunEventKind,
    detail: &str,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO run_events (run_id, at, event, detail) \
         SELECT run_id, :at, :event, :detail FROM runs WHERE run_id = :run_id AND NOT EXISTS \
         (SELECT 1 FROM run_events WHERE run_id = :run_id AND event = :event AND detail = :detail)",
        named_params! {
            ":run_id": run_id.to_string(),
            ":at": millis(at),
            ":event": event.as_str(),
            ":detail": detail,
        },
    )?;
    Ok(())
}

fn set_reason(tx: &Transaction<'_>, run_id: RunId, reason: Option<&Reason>) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE runs SET reason_code = :code, reason = :reason WHERE run_id = :run_id AND phase = 'running'",
        named_params! {
            ":run_id": run_id.to_string(),
            ":code": reason.map(|reason| reason.code.as_str()),
            ":reason": reason.and_then(|reason| reason.message.as_deref()),
        },
    )?;
    Ok(())
}
