//! Signals of the operating system: the first asks for a graceful stop, the second for leaving at once.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio_util::sync::CancellationToken;

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
        for _ in signals.forever() {
            if told.graceful.is_cancelled() {
                told.now.cancel();
            }
            told.graceful.cancel();
        }
    })?;
    Ok(stop)
}
