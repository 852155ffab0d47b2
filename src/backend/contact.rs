//! Whether the agent server answers. Every call reports it here, and somebody watches as long as anything depends on it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// What is known about whether the agent server answers. It is cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Contact(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    heard_at: Option<Instant>,
    silence: Option<Silence>,
    dependents: usize,
    /// When the first of the dependents came.
    needed_since: Option<Instant>,
}

/// The first call that was not answered, with no answer to any call since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// When that call began.
    pub since: Instant,
    /// What the latest call came to, human-readable.
    pub why: String,
}

/// As long as it exists, somebody depends on the agent server.
#[derive(Debug)]
pub struct Dependent(Contact);

impl Contact {
    /// Registers somebody who depends on the agent server.
    pub fn depend(&self) -> Dependent {
        let mut state = self.lock();
        state.dependents += 1;
        if state.dependents == 1 {
            state.needed_since = Some(Instant::now());
            self.0.changed.notify_one();
        }
        drop(state);
        Dependent(self.clone())
    }

    /// Returns since when somebody depends on the server and nothing was heard of it; `None` if nobody does.
    pub fn quiet_since(&self) -> Option<Instant> {
        let state = self.lock();
        (state.dependents > 0).then(|| state.needed_since.max(state.heard_at)).flatten()
    }

    /// Returns how long ago the server was heard last; `None` if it never was.
    pub fn heard_ago(&self) -> Option<Duration> {
        self.lock().heard_at.map(|at| at.elapsed())
    }

    /// Returns since when the server has not answered, if it did not answer the latest call.
    pub fn silence(&self) -> Option<Silence> {
        self.lock().silence.clone()
    }

    /// Waits until the first somebody depends on the server, or until it falls silent or is heard again.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    pub(super) fn heard(&self) {
        let mut state = self.lock();
        state.heard_at = Some(Instant::now());
        if state.silence.take().is_some() {
            self.0.changed.notify_one();
        }
    }

    /// Records that a call which began at `since` was not answered.
    pub(super) fn unanswered(&self, since: Instant, why: String) {
        let mut state = self.lock();
        // A call that began before the server was last heard says nothing about the time since then.
        if state.heard_at.is_some_and(|heard_at| heard_at > since) {
            return;
        }
        match &mut state.silence {
            Some(silence) => silence.why = why,
            None => {
                state.silence = Some(Silence { since, why });
                self.0.changed.notify_one();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Dependent {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.dependents = state.dependents.saturating_sub(1);
    }
}
