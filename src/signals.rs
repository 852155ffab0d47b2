//! Signals of the operating system: the first SIGTERM or SIGINT asks for a graceful stop, the second for leaving at
//! once; SIGHUP asks to read the configuration again.

use std::sync::Arc;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::backoff;

/// A second signal sooner than this is the first one once more: `timeout(1)` and some supervisors signal a process and
/// then its whole group.
const SAME_REQUEST_WITHIN: Duration = Duration::from_millis(500);

/// What signals ask for.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Finish what is in flight and end.
    pub graceful: CancellationToken,
    /// End now.
    pub now: CancellationToken,
}

/// Listens for SIGTERM and SIGINT on a thread of its own until the process ends.
///
/// # Errors
/// If the operating system refuses the handlers.
pub fn listen() -> std::io::Result<Stop> {
    let stop = Stop::default();
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let told = stop.clone();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let clock = Clock::system();
        let mut first = None;
        for _ in signals.forever() {
            let now = clock.now();
            let since = backoff::between(*first.get_or_insert(now), now);
            if told.graceful.is_cancelled() && since > SAME_REQUEST_WITHIN {
                told.now.cancel();
            }
            told.graceful.cancel();
        }
    })?;
    Ok(stop)
}

/// A nudge for every SIGHUP; many that come at once are one.
///
/// # Errors
/// If the operating system refuses the handler.
pub fn hangups() -> std::io::Result<Arc<Notify>> {
    let nudge = Arc::new(Notify::new());
    let mut signals = Signals::new([SIGHUP])?;
    let nudged = Arc::clone(&nudge);
    std::thread::Builder::new().name("hangups".to_owned()).spawn(move || {
        for _ in signals.forever() {
            nudged.notify_one();
        }
    })?;
    Ok(nudge)
}
