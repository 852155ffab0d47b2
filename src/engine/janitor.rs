//! Deletes threads on the agent server that nobody needs any more: of stateless runs whose outcome is recorded, and
//! fenced ones. Tried until they are gone.

use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::Wakes;
use crate::backend::{AgentClient, Deleted};
use crate::clock::Clock;
use crate::crash::crash_point;
use crate::domain::backoff;
use crate::domain::bounds::DELETIONS_IN_FLIGHT;
use crate::store::{DueDeletion, Store, StoreError};

/// Threads deleted in one pass.
const BATCH: usize = 64;
/// Between two tries for the same thread.
const FIRST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(600);

/// What the janitor needs.
pub struct Janitor {
    /// Where the duties are.
    pub store: Store,
    /// Where the threads are.
    pub backend: AgentClient,
    /// The time.
    pub clock: Clock,
    /// Its nudge.
    pub wakes: Wakes,
}

/// Deletes until told to stop.
pub async fn run(janitor: Janitor, stop: CancellationToken) -> Result<(), StoreError> {
    loop {
        let next = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            next = pass(&janitor) => next?,
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = janitor.wakes.janitor.notified() => {}
            () = janitor.clock.sleep_until(next) => {}
        }
    }
}

/// Deletes what is due; answers when the next is.
async fn pass(janitor: &Janitor) -> Result<Option<Timestamp>, StoreError> {
    loop {
        let due = janitor.store.due_deletions(janitor.clock.now(), BATCH).await?;
        if due.threads.is_empty() {
            return Ok(due.next_due_at);
        }
        crash_point("deletion_due").await;
        let tried: Vec<(DueDeletion, Option<String>)> = futures_util::stream::iter(due.threads)
            .map(|deletion| async {
                let still_there = match janitor.backend.delete_thread(deletion.thread_id).await {
                    Ok(Deleted::Gone) => None,
                    Ok(Deleted::NotYet(detail)) => Some(detail),
                    Err(error) => Some(error.to_string()),
                };
                (deletion, still_there)
            })
            .buffer_unordered(DELETIONS_IN_FLIGHT)
            .collect()
            .await;
        crash_point("deletion_answered").await;
        record(janitor, tried).await?;
    }
}

async fn record(janitor: &Janitor, tried: Vec<(DueDeletion, Option<String>)>) -> Result<(), StoreError> {
    let mut gone = Vec::new();
    for (deletion, still_there) in tried {
        let Some(detail) = still_there else {
            gone.push(deletion.thread_id);
            continue;
        };
        let wait = backoff::doubling(FIRST, MOST, deletion.failures.saturating_add(1));
        let wait = backoff::with_jitter(wait, deletion.thread_id.0, deletion.failures);
        tracing::debug!(thread_id = %deletion.thread_id, detail, "a thread could not be deleted yet");
        let again = backoff::after(janitor.clock.now(), wait);
        janitor.store.postpone_deletion(deletion.thread_id, again).await?;
    }
    if gone.is_empty() { Ok(()) } else { janitor.store.threads_deleted(gone).await }
}
