//! Connections to receivers that wait to be used again, for seconds: a burst of webhooks to one receiver shares them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::connection::Connection;
use crate::domain::bounds::ATTEMPTS_PER_ORIGIN;

/// Receivers close idle connections whenever they like; a young one has rarely been closed.
const IDLE: Duration = Duration::from_secs(4);

/// Cheap to clone. Once the last clone is gone, its connections are closed.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<Connections>>);

#[derive(Default)]
struct Connections {
    /// The last of each is the youngest.
    by_origin: HashMap<String, Vec<(Instant, Connection)>>,
    is_swept: bool,
}

impl Pool {
    /// The youngest that is still open.
    pub(super) fn take(&self, origin: &str) -> Option<Connection> {
        let mut connections = lock(&self.0);
        let waiting = connections.by_origin.get_mut(origin)?;
        while let Some((since, mut connection)) = waiting.pop() {
            if since.elapsed() < IDLE && connection.is_open() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps it for the next request, if there is a place and its far end wants to go on.
    pub(super) fn keep(&self, origin: &str, mut connection: Connection) {
        if !connection.is_open() {
            return;
        }
        let mut connections = lock(&self.0);
        let waiting = connections.by_origin.entry(origin.to_owned()).or_default();
        if waiting.len() < ATTEMPTS_PER_ORIGIN {
            waiting.push((Instant::now(), connection));
        }
        if !std::mem::replace(&mut connections.is_swept, true) {
            #[expect(
                clippy::disallowed_methods,
                reason = "no loop: it ends with the last waiting connection"
            )]
            tokio::spawn(sweep(Arc::downgrade(&self.0)));
        }
    }
}

/// Closes what nobody has used again, so that no receiver holds connections of ours for nothing.
async fn sweep(connections: Weak<Mutex<Connections>>) {
    loop {
        sleep(IDLE).await;
        let Some(connections) = connections.upgrade() else { return };
        let mut connections = lock(&connections);
        connections.by_origin.retain(|_, waiting| {
            waiting.retain(|(since, _)| since.elapsed() < IDLE);
            !waiting.is_empty()
        });
        if connections.by_origin.is_empty() {
            connections.is_swept = false;
            return;
        }
    }
}

fn lock(connections: &Mutex<Connections>) -> MutexGuard<'_, Connections> {
    // Nothing that is done under the lock can leave it half done.
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}
