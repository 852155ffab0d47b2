//! The starts of a burst go first: while more runs could be sent at once than are being sent, no task waits
//! for the end of a run that was started already, and no other run is checked. Following a run to its end
//! takes three requests and starting one takes one, so the last runs of a large burst would start late for
//! the sake of ends that can wait.
//!
//! The priority is bounded: after a moment, starts and ends share the connections, even if the burst goes on.
//! And it never holds up what starts wait for: once `max_concurrent_runs` is reached, only an end
//! allows the next start, so that is not a burst.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Ends wait no longer than this, which is about what ten thousand starts take on a fast server.
const BURST_MAX: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct StartBurst {
    since: watch::Sender<Option<Instant>>,
}

impl StartBurst {
    pub(super) fn new() -> Self {
        Self { since: watch::Sender::new(None) }
    }

    /// Records that more starts are waiting than could be sent at once.
    pub(super) fn continues(&self) {
        self.since.send_if_modified(|since| {
            let begins = since.is_none();
            since.get_or_insert_with(Instant::now);
            begins
        });
    }

    /// Records that everything that can be sent is being sent.
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
        // Whether the burst has ended or has lasted long enough makes no difference.
        let _ = tokio::time::timeout_at(since + BURST_MAX, ends).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn without_a_burst_nothing_waits() {
        let start_burst = StartBurst::new();
        let before = Instant::now();
        start_burst.finished().await;
        assert_eq!(before.elapsed(), Duration::ZERO);
        assert!(!start_burst.is_on());
    }

    #[tokio::test(start_paused = true)]
    async fn ends_are_awaited_as_soon_as_the_starts_are_out() {
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
