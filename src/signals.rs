//! Signals of the operating system: the first SIGTERM or SIGINT asks for a graceful stop, the second for an
//! immediate one, and SIGHUP asks to reload the configuration.

use std::sync::Arc;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::backoff;

/// A second signal sooner than this counts as a repetition of the first: `timeout(1)` and some supervisors
/// signal a process and then its whole group.
const SAME_REQUEST_WITHIN: Duration = Duration::from_millis(500);

/// What the stop signals have asked for so far.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Finish the work in progress, then end.
    pub graceful: CancellationToken,
    /// End immediately.
    pub now: CancellationToken,
}

/// Listens for SIGTERM and SIGINT on its own thread until the process ends, and returns the tokens that they
/// cancel.
///
/// # Errors
/// Fails if the operating system refuses the handlers.
pub fn listen() -> std::io::Result<Stop> {
    let stop = Stop::default();
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let requested = stop.clone();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let clock = Clock::system();
        let mut first = None;
        for _ in signals.forever() {
            let now = clock.now();
            let since = backoff::between(*first.get_or_insert(now), now);
            if requested.graceful.is_cancelled() && since > SAME_REQUEST_WITHIN {
                requested.now.cancel();
            }
            requested.graceful.cancel();
        }
    })?;
    Ok(stop)
}

/// Listens for SIGHUP on its own thread, and returns what it notifies. Several signals in a row may notify
/// only once.
///
/// # Errors
/// Fails if the operating system refuses the handler.
pub fn hangups() -> std::io::Result<Arc<Notify>> {
    let hangup = Arc::new(Notify::new());
    let mut signals = Signals::new([SIGHUP])?;
    let notified = Arc::clone(&hangup);
    std::thread::Builder::new().name("hangups".to_owned()).spawn(move || {
        for _ in signals.forever() {
            notified.notify_one();
        }
    })?;
    Ok(hangup)
}
