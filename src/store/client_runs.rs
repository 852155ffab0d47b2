//! Runs that clients start at the agent server through us. They are recorded before the request is forwarded.

use jiff::Timestamp;

use super::held_runs::{FIRST_CLAIM, HeldRun};
use super::rows::{millis, parsed, parsed_option};
use super::sql::{Transaction, named_params};
use super::{Store, StoreError};
use crate::domain::cron::{OnRunCompleted, Target, Template};
use crate::domain::ids::{DaemonNumber, RunId};
use crate::domain::run::{Phase, Trigger};
use crate::domain::run_spec::ClientRunSpec;

impl Store {
    /// Commits the intention to forward a client's request for these runs, and returns under which claims this daemon holds
    /// them. If it stops before their next step, they become unconfirmed.
    pub async fn insert_client_runs(
        &self,
        now: Timestamp,
        runs: Vec<(RunId, ClientRunSpec)>,
    ) -> Result<Vec<HeldRun>, StoreError> {
        let daemon = self.number;
        self.write_hot(move |tx| {
            runs.iter().map(|(run_id, spec)| insert(tx, daemon, now, *run_id, spec)).collect()
        })
        .await
    }
}

fn insert(
    tx: &Transaction<'_>,
    daemon: DaemonNumber,
    now: Timestamp,
    run_id: RunId,
    spec: &ClientRunSpec,
) -> Result<HeldRun, StoreError> {
    tx.execute(
        "INSERT INTO runs (run_id, trigger, scheduled_for, due_at, start_before, exclusive, phase, \
         start_number, send_count, sent_at, held_by, claim) \
         VALUES (:run_id, :trigger, :now, :now, :now, 0, :phase, 1, 1, :now, :held_by, :claim)",
        named_params! {
            ":run_id": run_id.to_string(),
            ":trigger": Trigger::Api.as_str(),
            ":phase": Phase::Sending.as_str(),
            ":now": millis(now),
            ":held_by": daemon.0,
            ":claim": FIRST_CLAIM,
        },
    )?;
    insert_client_run_spec(tx, run_id, spec)?;
    Ok(HeldRun { run_id, claim: FIRST_CLAIM })
}

fn insert_client_run_spec(
    tx: &Transaction<'_>,
    run_id: RunId,
    spec: &ClientRunSpec,
) -> Result<(), StoreError> {
    let request = spec.request();
    let (thread_id, completed) = match request.target {
        Target::Thread(thread_id) => (Some(thread_id), OnRunCompleted::Keep),
        Target::Stateless(completed) => (None, completed),
    };
    tx.execute(
        "INSERT INTO client_runs (run_id, assistant_id, thread_id, on_run_completed, webhook) \
         VALUES (:run_id, :assistant_id, :thread_id, :on_run_completed, :webhook)",
        named_params! {
            ":run_id": run_id.to_string(),
            ":assistant_id": request.assistant_id,
            ":thread_id": thread_id.map(|thread_id| thread_id.to_string()),
            ":on_run_completed": completed.as_str(),
            ":webhook": spec.webhook().0,
        },
    )?;
    Ok(())
}

/// Returns the specification of a client's run.
///
/// # Errors
/// [`StoreError::BadRow`] if the run has none, or if it cannot be read back.
pub(super) fn client_run_spec(tx: &Transaction<'_>, run_id: RunId) -> Result<ClientRunSpec, StoreError> {
    let sql = "SELECT assistant_id, thread_id, on_run_completed, webhook FROM client_runs WHERE run_id = ?1";
    tx.query_opt(sql, [run_id.to_string()], |row| {
        let (assistant_id, webhook) = (row.get("assistant_id")?, Template(row.get("webhook")?));
        let (thread_id, completed) = (parsed_option(row, "thread_id")?, parsed(row, "on_run_completed")?);
        Ok(ClientRunSpec::new(assistant_id, thread_id, completed, webhook))
    })?
    .ok_or_else(|| StoreError::BadRow(format!("run {run_id} has no row in client_runs")))
}
