//! How long the tests take that repeat something by chance: `AGENTCRON_SOAK=30` repeats it thirty times.

use std::time::Duration;

/// So often; more if a soak asks for more.
pub(crate) fn times(quick: usize) -> usize {
    soak().map_or(quick, |soak| soak.max(quick))
}

/// The one in everyday runs, the other in a soak.
pub(crate) fn length(quick: Duration, soaking: Duration) -> Duration {
    if soak().is_some() { soaking } else { quick }
}

#[expect(clippy::disallowed_methods, reason = "a switch for whoever runs the tests, not a configuration")]
fn soak() -> Option<usize> {
    std::env::var("AGENTCRON_SOAK").ok()?.parse().ok()
}
