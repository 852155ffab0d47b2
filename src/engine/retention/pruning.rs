//! What others see of the deletion of history, and how they ask for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::store::Deleted;

/// Asks for passes, and shows how far they are. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Pruning(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<PruneState>,
    wanted: Notify,
}

/// How far the deletion of history is. Passes are counted from 1 since the start of the daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PruneState {
    /// The pass that was begun last.
    pub begun: u64,
    /// The pass that has ended last.
    pub ended: u64,
    pub began_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// What the pass that was begun last has deleted so far.
    pub deleted: Deleted,
    /// How long the daemon must still run before it believes the clock: nothing is deleted until then.
    pub clock_doubted_for: Duration,
}

impl Pruning {
    /// Asks for a pass that begins after this call, and returns its number.
    pub fn request(&self) -> u64 {
        let next = self.lock().begun + 1;
        self.0.wanted.notify_one();
        next
    }

    /// Returns how far it is.
    pub fn state(&self) -> PruneState {
        *self.lock()
    }

    /// Waits until a pass is asked for.
    pub(super) async fn requested(&self) {
        self.0.wanted.notified().await;
    }

    pub(super) fn begin(&self, now: Timestamp) {
        let mut state = self.lock();
        let (begun, ended, ended_at) = (state.begun + 1, state.ended, state.ended_at);
        let began_at = Some(now);
        *state = PruneState { begun, ended, ended_at, began_at, ..PruneState::default() };
    }

    pub(super) fn add(&self, deleted: Deleted) {
        self.lock().deleted.add(deleted);
    }

    pub(super) fn deleted(&self) -> Deleted {
        self.lock().deleted
    }

    pub(super) fn end(&self, now: Timestamp, clock_doubted_for: Duration) {
        let mut state = self.lock();
        *state = PruneState { ended: state.begun, ended_at: Some(now), clock_doubted_for, ..*state };
    }

    fn lock(&self) -> MutexGuard<'_, PruneState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
