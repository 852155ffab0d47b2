//! The feeds that are open, and what ends them all.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::domain::bounds::FEEDS_MAX;

/// Bounds the number of feeds, and ends them when the daemon stops. Cheap to clone.
#[derive(Clone)]
pub struct Feeds {
    places: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Feeds {
    /// Returns places for feeds that end with this token.
    pub fn until(stop: CancellationToken) -> Self {
        Self { places: Arc::new(Semaphore::new(FEEDS_MAX)), stop }
    }

    /// Takes a place, which is given back when it is dropped; `None` if there is none left.
    pub(super) fn enter(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Returns once all feeds are to end.
    pub(super) async fn stopped(&self) {
        self.stop.cancelled().await;
    }
}
