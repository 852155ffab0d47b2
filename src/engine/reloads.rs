//! How the configuration files were when they were last read, for others to see; and how others ask that they be read.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

/// How the last reading went. It is cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Reloads {
    last: Arc<Mutex<LastReload>>,
    /// Notified when a reading is asked for; `None` if nothing here reads them again.
    requested: Option<Arc<Notify>>,
    /// The readings that were asked for.
    asked_for: watch::Sender<AskedFor>,
}

/// The last reading of the files, the one at the start among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastReload {
    /// Whether all of them was understood and is in force.
    pub succeeded: bool,
    /// When that was so last; `None` if it was not since the daemon started.
    pub succeeded_at: Option<Timestamp>,
}

/// What a reading found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Why not all of the files is in force.
    pub problem: Option<String>,
    /// The settings of the files that a restart puts in force.
    pub needs_restart: Vec<&'static str>,
}

#[derive(Clone, Debug, Default)]
struct AskedFor {
    begun: u64,
    ended: u64,
    outcome: Outcome,
}

impl Reloads {
    pub fn new(requested: Option<Arc<Notify>>) -> Self {
        Self { requested, ..Self::default() }
    }

    /// Records a reading.
    pub fn note(&self, succeeded: bool, now: Timestamp) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.succeeded = succeeded;
        if succeeded {
            last.succeeded_at = Some(now);
        }
    }

    pub fn last(&self) -> LastReload {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a reading begins that was asked for.
    pub fn begin(&self) {
        self.asked_for.send_modify(|asked_for| asked_for.begun += 1);
    }

    /// Records what it found.
    pub fn end(&self, outcome: Outcome) {
        self.asked_for.send_modify(|asked_for| {
            asked_for.ended = asked_for.begun;
            asked_for.outcome = outcome;
        });
    }

    /// Asks for a reading, and returns what it found once it has ended. One that has begun already may have missed the last
    /// change, so it does not count. Returns `None` if nothing here reads the files again.
    pub async fn request(&self) -> Option<Outcome> {
        let requested = self.requested.as_ref()?;
        let mut seen = self.asked_for.subscribe();
        let begun = seen.borrow_and_update().begun;
        requested.notify_one();
        // The sender is `self`, so it is not gone.
        seen.wait_for(|asked_for| asked_for.ended > begun).await.ok().map(|found| found.outcome.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_reading_that_begins_after_the_request_answers_it() {
        let notify = Arc::new(Notify::new());
        let reloads = Reloads::new(Some(Arc::clone(&notify)));
        let outcome = |problem: &str| Outcome { problem: Some(problem.to_owned()), ..Outcome::default() };
        reloads.begin();
        let readings = async {
            notify.notified().await;
            reloads.end(outcome("of the one before"));
            tokio::task::yield_now().await;
            reloads.begin();
            reloads.end(outcome("of this one"));
        };
        let (found, ()) = tokio::join!(reloads.request(), readings);
        assert_eq!(found, Some(outcome("of this one")));
        assert_eq!(Reloads::default().request().await, None);
    }
}
