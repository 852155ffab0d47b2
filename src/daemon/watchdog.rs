//! Looks whether all loops live, from a thread of its own, which lives even if the whole runtime hangs. Only while they do is the
//! service manager told so; it restarts a daemon that says nothing.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::bounds::{STUCK_AFTER, STUCK_LOOKED_FOR_EVERY};
use crate::pulse::{Pulse, Pulses};
use crate::store::{Store, StoreError};

/// How the daemon is watched.
#[derive(Clone, Copy, Debug)]
pub struct Watchdog {
    /// How long a loop may be busy with one thing.
    pub patience: Duration,
    pub looks_every: Duration,
    /// Tells the service manager that all is well; `None` if it does not want to know.
    pub alive: Option<fn()>,
}

impl Watchdog {
    /// Returns how it is watched under a service manager that wants to hear of it within this time, by `alive`, or under none.
    /// Twice in that time is often enough.
    pub fn of_service(within: Option<Duration>, alive: fn()) -> Self {
        match within {
            Some(within) => Self { patience: within, looks_every: within / 2, alive: Some(alive) },
            None => Self { patience: STUCK_AFTER, looks_every: STUCK_LOOKED_FOR_EVERY, alive: None },
        }
    }
}

/// Ends the watch when it is dropped.
pub(super) struct Watching(Option<mpsc::Sender<()>>, Option<std::thread::JoinHandle<()>>);

impl Drop for Watching {
    fn drop(&mut self) {
        drop(self.0.take());
        if let Some(thread) = self.1.take() {
            let _ = thread.join();
        }
    }
}

/// Begins to watch the loops of a daemon that is ready.
pub(super) fn begin(watchdog: Watchdog, pulses: Pulses, store: Store, stop: CancellationToken) -> Watching {
    let (end, ended) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("watchdog".to_owned())
        .spawn(move || watch(watchdog, &pulses, &store, &stop, &ended));
    if let Err(error) = &thread {
        tracing::error!(%error, "watchdog not started; nobody notices a loop that is stuck");
    }
    Watching(Some(end), thread.ok())
}

fn watch(
    watchdog: Watchdog,
    pulses: &Pulses,
    store: &Store,
    stop: &CancellationToken,
    ended: &mpsc::Receiver<()>,
) {
    let (mut forgiven, mut was_stuck) = (Instant::now(), false);
    loop {
        let slept_from = Instant::now();
        if ended.recv_timeout(watchdog.looks_every) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        let now = Instant::now();
        let was_stopped = now.saturating_duration_since(slept_from) > watchdog.looks_every * 2;
        // A full disk is waited for, a stop has a limit of its own, and a process that was stopped for a while did nothing.
        if was_stopped || store.trouble().is_some() || stop.is_cancelled() {
            forgiven = now;
        }
        let stuck = pulses.look(watchdog.patience, forgiven, now);
        if !was_stuck {
            for stuck in &stuck {
                let busy_for = now.saturating_duration_since(stuck.since);
                tracing::error!(name = stuck.name, ?busy_for, "a loop of the daemon is stuck; this is a bug");
            }
        }
        if was_stuck && stuck.is_empty() {
            tracing::info!("no loop of the daemon is stuck any more");
        }
        was_stuck = !stuck.is_empty();
        if let (false, Some(alive)) = (was_stuck, watchdog.alive) {
            alive();
        }
    }
}

/// Shows that the runtime runs tasks at all, until it is stopped.
pub(super) async fn beat(pulse: Pulse, every: Duration, stop: CancellationToken) -> Result<(), StoreError> {
    loop {
        pulse.busy();
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(every) => {}
        }
    }
}
