//! A list that grows while a test waits for its next entry.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// The longest that a test waits for anything; what takes longer on loopback never happens.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct GrowingList<T> {
    entries: Mutex<Vec<T>>,
    grown: Notify,
}

impl<T: Clone> GrowingList<T> {
    pub(crate) fn new() -> Self {
        Self { entries: Mutex::new(Vec::new()), grown: Notify::new() }
    }

    pub(crate) fn push(&self, entry: T) {
        self.lock().push(entry);
        self.grown.notify_waiters();
    }

    pub(crate) fn entries(&self) -> Vec<T> {
        self.lock().clone()
    }

    /// Waits until there are at least `count` entries and returns all of them.
    pub(crate) async fn wait_for(&self, count: usize, what: &str) -> Vec<T> {
        self.wait_until(what, |entries| entries.len() >= count).await
    }

    /// Waits until the entries satisfy a condition and returns all of them.
    pub(crate) async fn wait_until(&self, what: &str, holds: impl Fn(&[T]) -> bool) -> Vec<T> {
        let waiting = async {
            loop {
                // Created before the check, so that an entry that is pushed in between is not missed.
                let grown = self.grown.notified();
                let entries = self.entries();
                if holds(&entries) {
                    return entries;
                }
                grown.await;
            }
        };
        match timeout(PATIENCE, waiting).await {
            Ok(entries) => entries,
            Err(_) => {
                panic!("waited {PATIENCE:?} in vain for {what}; there are {} so far", self.lock().len())
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.entries.lock().unwrap()
    }
}
