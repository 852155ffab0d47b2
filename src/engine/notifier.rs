//! Tells people what has changed: looks at the store when something was committed, and lets it insert deliveries. The courier
//! sends them.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
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
pub async fn run(mut notifier: Notifier, pulse: Pulse, stop: CancellationToken) -> Result<(), StoreError> {
    let started_at = notifier.clock.now();
    let (mut looked_at, mut next) = (Timestamp::MIN, Timestamp::MIN);
    loop {
        let now = notifier.clock.now();
        let has_targets = !notifier.settings.now().notify.is_empty();
        // The clock may have been set back.
        let is_due = now >= next || now < looked_at || notifier.store.last_commit() >= looked_at;
        if has_targets && is_due {
            pulse.busy();
            let Notified { deliveries, next_at } = pass(&notifier, started_at, now).await?;
            pulse.idle();
            if deliveries > 0 {
                notifier.wakes.courier.notify_one();
            }
            looked_at = now;
            next = backoff::after(now, NOTIFIER_LOOKS_IDLY_EVERY).min(next_at.unwrap_or(Timestamp::MAX));
        }
        let wait = if has_targets { NOTIFIER_LOOKS_EVERY } else { Duration::MAX };
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = notifier.settings.changed() => next = Timestamp::MIN,
            () = tokio::time::sleep(wait) => {}
        }
    }
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
