//! Deletes history that is kept no longer, in small batches beside the work of the daemon: it never makes an occurrence
//! wait for longer than one batch, and leaves the writer most of its time.

mod clock_doubt;
mod pruning;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::runner::NextWake;
use crate::clock::Clock;
use crate::config::Live;
use crate::domain::backoff;
use crate::domain::bounds::{
    DELETED_PER_COMMIT, DELETES_AFTER, DELETES_EVERY, DELETION_GIVES_WAY, DELETION_GIVES_WAY_MOST,
    DELETION_PAUSES, DELETION_TARGET, EXPIRED_PER_READ, UNDELETABLE_REMEMBERED, WALKS_BEGIN_ANEW_AFTER,
};
use crate::domain::retention::Retention as Rules;
use crate::store::{Deleted, DeletedBatch, Expired, Policies, Position, Store, StoreError, Walk, WalkFrom};
use clock_doubt::ClockDoubt;
pub use clock_doubt::doubt_after_absence;
pub use pruning::{PruneState, Pruning};

/// How often it looks whether it still has to give way.
const LOOKS_AGAIN: Duration = Duration::from_millis(5);

/// What retention needs.
pub struct Retention {
    pub store: Store,
    pub clock: Clock,
    /// The rules for everything that has none of its own.
    pub rules: Live<Rules>,
    pub next_wake: NextWake,
    /// Others ask for a pass there, and see how far it is.
    pub pruning: Pruning,
}

/// How far a walk through the history has come.
#[derive(Default)]
struct Progress {
    position: Position,
    /// Rows that it has passed and that had to wait.
    waiting: BTreeSet<i64>,
}

/// What is remembered from one pass to the next. Without it everything is looked at again.
struct Passes {
    walks: HashMap<Walk, Progress>,
    walks_began: Instant,
    /// How many runs one batch has, so that it takes about as long as it may.
    batch: usize,
}

/// Deletes until it is stopped.
pub async fn run(retention: Retention, stop: CancellationToken) -> Result<(), StoreError> {
    let mut doubt = ClockDoubt::begin(&retention.store, &retention.clock).await?;
    let mut passes = Passes { walks: HashMap::new(), walks_began: Instant::now(), batch: 1 };
    let mut wait = DELETES_AFTER;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = retention.pruning.requested() => {}
            () = tokio::time::sleep(wait) => {}
        }
        retention.pruning.begin(retention.clock.now());
        let doubted_for = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            done = pass(&retention, &mut passes, &mut doubt) => done?,
        };
        retention.pruning.end(retention.clock.now(), doubted_for);
        wait = DELETES_EVERY;
    }
}

/// Deletes everything that is to go now, and returns for how much longer the clock is not believed.
async fn pass(
    retention: &Retention,
    passes: &mut Passes,
    doubt: &mut ClockDoubt,
) -> Result<Duration, StoreError> {
    let Retention { store, clock, rules, pruning, .. } = retention;
    let doubted_for = doubt.look(store, clock).await?;
    if !doubted_for.is_zero() {
        return Ok(doubted_for);
    }
    if passes.walks_began.elapsed() >= WALKS_BEGIN_ANEW_AFTER {
        (passes.walks, passes.walks_began) = (HashMap::new(), Instant::now());
    }
    // A clock that is set while the pass lasts changes nothing about it.
    let now = clock.now();
    let policies = Arc::new(store.retention_policies((*rules.now()).clone()).await?);
    let walks = policies.walks();
    passes.walks.retain(|walk, _| walks.contains(walk));
    for walk in walks {
        let mut progress = passes.walks.remove(&walk).unwrap_or_default();
        passes.batch = go(retention, &policies, walk, &mut progress, now, passes.batch).await?;
        // Which records are the newest differs each time.
        if !matches!(walk, Walk::Most(..)) {
            passes.walks.insert(walk, progress);
        }
    }
    let deleted = pruning.deleted();
    if deleted != Deleted::default() {
        let (runs, webhooks, values) = (deleted.runs, deleted.deliveries, deleted.values);
        tracing::info!(runs, webhooks, values_of_runs = values, "history deleted");
    }
    Ok(Duration::ZERO)
}

/// Goes on with a walk until its end, and returns how many runs the next batch should have.
async fn go(
    retention: &Retention,
    policies: &Arc<Policies>,
    walk: Walk,
    progress: &mut Progress,
    now: Timestamp,
    mut batch: usize,
) -> Result<usize, StoreError> {
    let waiting: Vec<i64> = std::mem::take(&mut progress.waiting).into_iter().collect();
    for rows in waiting.chunks(EXPIRED_PER_READ) {
        let again = WalkFrom::Rows(rows.to_vec());
        let step = step(retention, policies, walk, again, now, &mut batch).await?;
        progress.waiting.extend(step.waiting);
    }
    loop {
        let behind = WalkFrom::Behind(progress.position);
        let step = step(retention, policies, walk, behind, now, &mut batch).await?;
        if progress.waiting.len() + step.waiting.len() > UNDELETABLE_REMEMBERED {
            // It goes on from here once they are through.
            return Ok(batch);
        }
        progress.waiting.extend(step.waiting);
        let Some(position) = step.position else { return Ok(batch) };
        progress.position = position;
    }
}

/// Takes one step of a walk: finds what goes, and deletes it in batches. Returns what it has found, with everything that has
/// to wait after all.
async fn step(
    retention: &Retention,
    policies: &Arc<Policies>,
    walk: Walk,
    from: WalkFrom,
    now: Timestamp,
    batch: &mut usize,
) -> Result<Expired, StoreError> {
    let Retention { store, pruning, .. } = retention;
    let mut found = store.find_expired(Arc::clone(policies), walk, from, now).await?;
    let mut rows = found.rows.as_slice();
    while !rows.is_empty() {
        let (next, rest) = rows.split_at((*batch).min(rows.len()));
        give_way(retention).await;
        let began = Instant::now();
        let done = store.delete_expired(Arc::clone(policies), walk, next.to_vec(), now).await?;
        let DeletedBatch { deleted, waiting, took } = done;
        found.waiting.extend(waiting);
        pruning.add(deleted);
        *batch = next_batch(*batch, took);
        rows = rest;
        tokio::time::sleep(began.elapsed() * DELETION_PAUSES).await;
    }
    Ok(found)
}

/// Returns how many runs to delete in one batch after a batch of `size` runs took so long. It grows slowly and shrinks at
/// once.
fn next_batch(size: usize, took: Duration) -> usize {
    let fits = DELETION_TARGET.as_secs_f64() / took.as_secs_f64().max(1e-6);
    let fitting = (size as f64 * fits) as usize;
    fitting.clamp(1, size * 2).min(DELETED_PER_COMMIT)
}

/// Waits while an occurrence is due or something waits for the writer, but not for ever.
async fn give_way(retention: &Retention) {
    let began = Instant::now();
    let is_in_the_way = || {
        let soon = backoff::after(retention.clock.now(), DELETION_GIVES_WAY);
        retention.store.queued() > 0 || retention.next_wake.next().is_some_and(|next| next <= soon)
    };
    while is_in_the_way() && began.elapsed() < DELETION_GIVES_WAY_MOST {
        tokio::time::sleep(LOOKS_AGAIN).await;
    }
}

#[cfg(test)]
mod tests;
