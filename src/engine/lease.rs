//! Keeps a daemon alive for the others that share its store, and lets it look who they are and what they have left to do.

use std::time::Duration;

use tokio::time::{Instant, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Wakes;
use crate::clock::Clock;
use crate::domain::lease::{BEAT_EVERY, LOOKS_EVERY};
use crate::store::{DueNow, Heartbeat, Sharing, Store, StoreError};

/// How often the others are told at most: what changes within this time is told together.
const TOLD_EVERY: Duration = Duration::from_millis(5);

/// Gives signs of life until it is stopped. What the daemon commits anyway is one, so there are more than are needed.
pub async fn run(
    store: Store,
    clock: Clock,
    wakes: Wakes,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    match store.heartbeat() {
        Some(heartbeat) => on_server(heartbeat, wakes, stop).await,
        None => in_file(store, clock, wakes, stop).await,
    }
}

/// Does so on a server, which says what there is to do, and lets daemons tell each other.
async fn on_server(
    mut heartbeat: Heartbeat,
    wakes: Wakes,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    let (mut wait, mut next_told) = (Duration::ZERO, Instant::now());
    loop {
        let beat = sleep(wait);
        tokio::pin!(beat);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = &mut beat => break,
                due = heartbeat.heard() => wakes.wake(due),
                hint = heartbeat.to_tell() => {
                    sleep_until(next_told).await;
                    heartbeat.tell(hint).await;
                    next_told = Instant::now() + TOLD_EVERY;
                }
            }
        }
        wakes.wake(heartbeat.beat().await?);
        wait = heartbeat.next_beat_in();
    }
}

/// Does so in a file, where nobody is told anything. Only tests share one.
async fn in_file(
    store: Store,
    clock: Clock,
    wakes: Wakes,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    let (mut beat, mut look) = (interval(BEAT_EVERY), interval(LOOKS_EVERY));
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            _ = beat.tick() => {
                if store.beat(clock.now()).await? {
                    wakes.wake(DueNow::ALL);
                }
            }
            _ = look.tick() => wakes.wake(DueNow::ALL),
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
