//! Deletes threads on the agent server that are no longer needed: those of stateless runs whose outcome is
//! recorded, unless they are kept, and fenced ones. A deletion is repeated until the thread is gone.

use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Denials, Wakes};
use crate::backend::{AgentClient, Deleted, Denial};
use crate::clock::Clock;
use crate::crash::crash_point;
use crate::domain::backoff;
use crate::domain::bounds::DELETIONS_IN_FLIGHT;
use crate::pulse::Pulse;
use crate::store::{DueDeletion, Store, StoreError};

/// How many threads are deleted at once.
const BATCH: usize = 64;
/// The waits between two attempts to delete the same thread.
const WAIT_FIRST: Duration = Duration::from_secs(1);
const WAIT_MOST: Duration = Duration::from_secs(600);

/// What the janitor needs.
pub struct Janitor {
    pub store: Store,
    pub backend: AgentClient,
    pub clock: Clock,
    pub wakes: Wakes,
    pub denials: Denials,
}

/// Deletes threads until it is stopped.
pub async fn run(janitor: Janitor, pulse: Pulse, stop: CancellationToken) -> Result<(), StoreError> {
    loop {
        let next = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            next = pass(&janitor, &pulse) => next?,
        };
        pulse.idle();
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = janitor.wakes.janitor.notified() => {}
            () = janitor.clock.sleep_until(next) => {}
        }
    }
}

/// Deletes what is due, and returns when the next deletion is due.
async fn pass(janitor: &Janitor, pulse: &Pulse) -> Result<Option<Timestamp>, StoreError> {
    loop {
        pulse.busy();
        let due = janitor.store.claim_deletions(janitor.clock.now(), BATCH).await?;
        if due.threads.is_empty() {
            return Ok(due.next_due_at);
        }
        crash_point("deletion_due").await;
        // Each of these requests has a timeout.
        pulse.idle();
        let results: Vec<(DueDeletion, Deleted)> = futures_util::stream::iter(due.threads)
            .map(|deletion| async move {
                let deleted = match janitor.store.may_act() {
                    true => janitor.backend.delete_thread(deletion.thread_id).await,
                    false => Ok(Deleted::NotYet("this daemon may not act any more".to_owned())),
                };
                (deletion, deleted.unwrap_or_else(|error| Deleted::NotYet(error.to_string())))
            })
            .buffer_unordered(DELETIONS_IN_FLIGHT)
            .collect()
            .await;
        pulse.busy();
        crash_point("deletion_answered").await;
        record(janitor, results).await?;
    }
}

async fn record(janitor: &Janitor, results: Vec<(DueDeletion, Deleted)>) -> Result<(), StoreError> {
    let mut gone = Vec::new();
    for (deletion, deleted) in results {
        let (detail, denied) = match deleted {
            Deleted::Gone => {
                janitor.denials.lift(deletion.thread_id.0);
                gone.push(deletion);
                continue;
            }
            Deleted::Denied(denial) => {
                record_denial(janitor, &deletion, &denial).await?;
                (denial.to_string(), true)
            }
            Deleted::NotYet(detail) => (detail, false),
        };
        let wait = backoff::doubling(WAIT_FIRST, WAIT_MOST, deletion.failures.saturating_add(1));
        let wait = backoff::with_jitter(wait, deletion.thread_id.0, deletion.failures);
        tracing::debug!(thread_id = %deletion.thread_id, detail, "thread not deleted yet");
        let again = backoff::after(janitor.clock.now(), wait);
        janitor.store.postpone_deletion(deletion, again, denied).await?;
    }
    if gone.is_empty() { Ok(()) } else { janitor.store.threads_deleted(gone).await }
}

async fn record_denial(janitor: &Janitor, deletion: &DueDeletion, denial: &Denial) -> Result<(), StoreError> {
    if !janitor.denials.record(deletion.thread_id.0, "threads cannot be deleted", denial) {
        return Ok(());
    }
    let message = format!("its thread cannot be deleted: {denial}");
    janitor.store.record_not_deleted(deletion.run_id, janitor.clock.now(), message).await
}
