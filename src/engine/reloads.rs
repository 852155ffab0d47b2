//! How the configuration files were when they were last read, for others to see.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

/// How the last reading went. It is cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Reloads(Arc<Mutex<LastReload>>);

/// The last reading of the files, the one at the start among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastReload {
    /// Whether all of them was understood and is in force.
    pub succeeded: bool,
    /// When that was so last; `None` if it was not since the daemon started.
    pub succeeded_at: Option<Timestamp>,
}

impl Reloads {
    /// Records a reading.
    pub fn note(&self, succeeded: bool, now: Timestamp) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.succeeded = succeeded;
        if succeeded {
            last.succeeded_at = Some(now);
        }
    }

    pub fn last(&self) -> LastReload {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
