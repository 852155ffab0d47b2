//! Commands that go on until something happens, or until a signal ends them.

use std::time::Duration;

use tokio::runtime::Runtime;

use super::Failure;
use crate::signals::{self, Stop};

/// How often it is checked whether anything was committed: a look at a number in memory.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

pub(in crate::cli) struct Watcher {
    runtime: Runtime,
    stop: Stop,
}

impl Watcher {
    /// Listens for signals from now on.
    pub(in crate::cli) fn begin() -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::Failed(format!("cannot follow: {error}"));
        let stop = signals::listen().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
        Ok(Self { runtime, stop })
    }

    /// Waits until it is time to look at the database again. Returns whether no signal has arrived.
    pub(in crate::cli) fn wait_for_commits(&self) -> bool {
        self.wait(POLL_INTERVAL)
    }

    /// Waits for so long, or until a signal arrives. Returns whether none has.
    pub(in crate::cli) fn wait(&self, most: Duration) -> bool {
        self.runtime.block_on(async {
            tokio::select! {
                () = tokio::time::sleep(most) => {}
                () = self.stop.graceful.cancelled() => {}
            }
        });
        !self.stop.graceful.is_cancelled()
    }
}
