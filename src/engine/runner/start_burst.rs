//! A burst's starts go out first: while more runs could be sent at once than are being sent, nobody listens for the
//! end of those that were started already, nor looks at others. Listening costs three requests for the one of a
//! start, so whoever stood last in a large burst would start late for the sake of ends that can wait.
//!
//! It is bounded: after a moment, starts and ends share what there is, however long the burst goes on. And it never
//! holds up what starts wait for: when all places on the backend are taken, only ends make new ones, so that is no rush.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Ends are not looked for longer than this: about what ten thousand starts take on a fast server.
const BURST_MAX: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct StartBurst {
    since: watch::Sender<Option<Instant>>,
}

impl StartBurst {
    pub(super) fn new() -> Self {
        Self { since: watch::Sender::new(None) }
    }

    /// Starts are waiting that could be sent.
    pub(super) fn continues(&self) {
        self.since.send_if_modified(|since| {
            let begins = since.is_none();
            since.get_or_insert_with(Instant::now);
            begins
        });
    }

    /// All that can be sent is being sent.
    pub(super) fn ends(&self) {
        self.since.send_if_modified(|since| since.take().is_some());
    }

    pub(super) fn is_on(&self) -> bool {
        self.since.borrow().is_some_and(|since| since.elapsed() < BURST_MAX)
    }

    /// Waits until starts no longer go first.
    pub(super) async fn finished(&self) {
        let Some(since) = *self.since.borrow() else { return };
        let mut changes = self.since.subscribe();
        let ends = changes.wait_for(Option::is_none);
        // However it ends: by itself, or because it has lasted long enough.
        let _ = tokio::time::timeout_at(since + BURST_MAX, ends).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn without_a_burst_nobody_waits() {
        let start_burst = StartBurst::new();
        let before = Instant::now();
        start_burst.finished().await;
        assert_eq!(before.elapsed(), Duration::ZERO);
        assert!(!start_burst.is_on());
    }

    #[tokio::test(start_paused = true)]
    async fn ends_are_looked_for_as_soon_as_the_starts_are_out() {
        let start_burst = StartBurst::new();
        start_burst.continues();
        let before = Instant::now();
        let out = async {
            tokio::time::sleep(Duration::from_millis(70)).await;
            start_burst.ends();
        };
        tokio::join!(start_burst.finished(), out);
        assert_eq!(before.elapsed(), Duration::from_millis(70));
        assert!(!start_burst.is_on());
    }

    #[tokio::test(start_paused = true)]
    async fn an_endless_burst_holds_up_the_ends_for_a_moment_only() {
        let start_burst = StartBurst::new();
        start_burst.continues();
        let before = Instant::now();
        start_burst.finished().await;
        assert_eq!(before.elapsed(), BURST_MAX);
        start_burst.continues();
        assert!(!start_burst.is_on(), "it is still the same burst");
        start_burst.finished().await;
        assert_eq!(before.elapsed(), BURST_MAX);
        start_burst.ends();
        start_burst.continues();
        assert!(start_burst.is_on(), "this is the next one");
    }
}
