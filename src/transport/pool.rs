//! Idle connections to receivers, kept for a few seconds, so that a burst of webhooks to one receiver shares
//! them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::connection::Connection;
use crate::domain::bounds::{ATTEMPTS_IN_FLIGHT, ATTEMPTS_PER_ORIGIN};

/// A receiver may close an idle connection at any time, but rarely closes one that has been idle for less
/// than this.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// Idle connections by origin. The pool is cheap to clone; when the last clone is dropped, its connections
/// are closed.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<IdleConnections>>);

#[derive(Default)]
struct IdleConnections {
    /// Per origin, the connections and when each became idle, the most recent last.
    by_origin: HashMap<String, Vec<(Instant, Connection)>>,
    is_swept: bool,
}

impl Pool {
    /// Takes the most recently used connection that is still open.
    pub(super) fn take(&self, origin: &str) -> Option<Connection> {
        let mut connections = lock(&self.0);
        let idle = connections.by_origin.get_mut(origin)?;
        while let Some((since, mut connection)) = idle.pop() {
            if since.elapsed() < IDLE_MAX && connection.is_open() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request, if there is room for it and the receiver has not closed it: a few for each
    /// origin, and many in all.
    pub(super) fn keep(&self, origin: &str, mut connection: Connection) {
        if !connection.is_open() {
            return;
        }
        let mut connections = lock(&self.0);
        let in_all = connections.by_origin.values().map(Vec::len).sum::<usize>();
        let idle = connections.by_origin.entry(origin.to_owned()).or_default();
        if idle.len() < ATTEMPTS_PER_ORIGIN || in_all < ATTEMPTS_IN_FLIGHT / 2 {
            idle.push((Instant::now(), connection));
        }
        if !std::mem::replace(&mut connections.is_swept, true) {
            #[expect(clippy::disallowed_methods, reason = "no loop: it ends with the last idle connection")]
            tokio::spawn(sweep(Arc::downgrade(&self.0)));
        }
    }
}

/// Closes connections that were not used again, so that no receiver keeps connections of ours open for
/// nothing.
async fn sweep(connections: Weak<Mutex<IdleConnections>>) {
    loop {
        sleep(IDLE_MAX).await;
        let Some(connections) = connections.upgrade() else { return };
        let mut connections = lock(&connections);
        connections.by_origin.retain(|_, idle| {
            idle.retain(|(since, _)| since.elapsed() < IDLE_MAX);
            !idle.is_empty()
        });
        if connections.by_origin.is_empty() {
            connections.is_swept = false;
            return;
        }
    }
}

fn lock(connections: &Mutex<IdleConnections>) -> MutexGuard<'_, IdleConnections> {
    // A panic under the lock cannot leave the map half changed, so a poisoned lock is usable.
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}
