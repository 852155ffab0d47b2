//! How a daemon of a store is described to a person.

use super::{Tone, counted};
use crate::domain::daemon::Life;

/// Returns how its state is shown.
pub fn tone(life: Life) -> Tone {
    match life {
        Life::Lost => Tone::Bad,
        Life::Draining => Tone::Attention,
        Life::Live => Tone::Good,
    }
}

/// Returns `2 runs, 1 webhook`, or `nothing`.
pub fn holds(runs: u64, webhooks: u64, threads: u64) -> String {
    let parts = [(runs, "run"), (webhooks, "webhook"), (threads, "thread")];
    let held: Vec<String> =
        parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| counted(count, what)).collect();
    if held.is_empty() { "nothing".to_owned() } else { held.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_held_is_named() {
        assert_eq!(holds(0, 0, 0), "nothing");
        assert_eq!(holds(2, 0, 1), "2 runs, 1 thread");
        assert_eq!(holds(1, 3, 0), "1 run, 3 webhooks");
    }
}
