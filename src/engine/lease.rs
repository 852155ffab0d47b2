//! Keeps a daemon alive for the others that share its store, and lets it look who they are and what they have left to do.

use tokio_util::sync::CancellationToken;

use super::Wakes;
use crate::clock::Clock;
use crate::domain::lease::{BEAT_EVERY, LOOKS_EVERY};
use crate::store::{Sharing, Store, StoreError};

/// Gives signs of life until it is stopped. What the daemon commits anyway is one, so there are more than are needed.
pub async fn run(
    store: Store,
    clock: Clock,
    wakes: Wakes,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    let (mut beat, mut look) = (tokio::time::interval(BEAT_EVERY), tokio::time::interval(LOOKS_EVERY));
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            _ = beat.tick() => {
                if store.beat(clock.now()).await? {
                    wake_all(&wakes);
                }
            }
            _ = look.tick() => wake_all(&wakes),
        }
    }
}

/// Gives signs of life until one is refused, and returns why. A daemon that ends needs them for as long as it finishes what it
/// has begun.
pub async fn live_on(store: &Store) -> StoreError {
    loop {
        tokio::time::sleep(BEAT_EVERY).await;
        if store.sharing() == Sharing::Shared
            && let Err(error) = store.commit_nothing().await
        {
            return error;
        }
    }
}

fn wake_all(wakes: &Wakes) {
    [&wakes.runner, &wakes.courier, &wakes.janitor].iter().for_each(|wake| wake.notify_one());
}
