//! Tells people what has changed: looks at the store when something was committed, and lets it insert deliveries. The courier
//! sends them.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Wakes;
use crate::clock::Clock;
use crate::domain::backoff;
use crate::domain::bounds::{NOTIFIER_LOOKS_EVERY, NOTIFIER_LOOKS_IDLY_EVERY};
use crate::pulse::Pulse;
use crate::store::{Notified, Notifying, Store, StoreError};
use crate::webhook::LiveSettings;

/// What the notifier needs.
pub struct Notifier {
    pub store: Store,
    pub clock: Clock,
    pub wakes: Wakes,
    /// The targets, and whether anything is sent.
    pub settings: LiveSettings,
    /// The machine of this daemon.
    pub host: String,
}

/// Notifies until it is stopped.
pub async fn run(notifier: Notifier, pulse: Pulse, stop: CancellationToken) -> Result<(), StoreError> {
    let started_at = notifier.clock.now();
    let mut commits = notifier.store.commits();
    let (mut settings, mut next_at) = (notifier.settings.clone(), None);
    loop {
        let has_targets = !notifier.settings.now().notify.is_empty();
        if has_targets {
            pulse.busy();
            let now = notifier.clock.now();
            let found = pass(&notifier, started_at, now).await?;
            pulse.idle();
            if found.deliveries > 0 {
                notifier.wakes.courier.notify_one();
            }
            next_at = found.next_at.map(|at| at.max(backoff::after(now, NOTIFIER_LOOKS_EVERY)));
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = settings.changed() => {}
            () = committed(&mut commits), if has_targets => {}
            () = notifier.clock.sleep_until(next_at), if has_targets => {}
            // What other daemons commit, and what is late by now.
            () = sleep(NOTIFIER_LOOKS_IDLY_EVERY), if has_targets => {}
        }
    }
}

/// Returns a while after a commit, when there may be more of them.
async fn committed(commits: &mut watch::Receiver<()>) {
    // The store outlives the loops.
    let _ = commits.changed().await;
    sleep(NOTIFIER_LOOKS_EVERY).await;
}

async fn pass(notifier: &Notifier, started_at: Timestamp, now: Timestamp) -> Result<Notified, StoreError> {
    let settings = notifier.settings.now();
    let notifying = Notifying {
        targets: Arc::new(settings.notify.clone()),
        disabled: settings.disabled,
        host: notifier.host.clone(),
        started_at,
    };
    notifier.store.notify(now, notifying).await
}
