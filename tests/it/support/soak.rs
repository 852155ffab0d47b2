//! How long randomised tests run: `AGENTCRON_SOAK=30` repeats their random part thirty times.

use std::time::Duration;

/// Returns how often to repeat something: `quick` times, or more in a soak.
pub(crate) fn times(quick: usize) -> usize {
    soak().map_or(quick, |soak| soak.max(quick))
}

/// Returns `quick` in everyday runs and `soaking` in a soak, or what `AGENTCRON_SOAK_CRONS` says then.
pub(crate) fn count(quick: usize, soaking: usize) -> usize {
    soak().map_or(quick, |_| number("AGENTCRON_SOAK_CRONS").unwrap_or(soaking))
}

/// Returns `quick` in everyday runs and `soaking` in a soak.
pub(crate) fn length(quick: Duration, soaking: Duration) -> Duration {
    if soak().is_some() { soaking } else { quick }
}

fn soak() -> Option<usize> {
    number("AGENTCRON_SOAK")
}

#[expect(clippy::disallowed_methods, reason = "a switch of the test run, not a configuration")]
fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok()?.parse().ok()
}
