//! The loops. Each acts on what is due, asks the store when something is due next, and sleeps until then.
//! They meet only in the store, and nudge each other with wakes that carry no data. Recovery is the first
//! pass of each.

pub mod backend_watch;
pub mod backups;
pub mod courier;
mod denials;
pub mod janitor;
pub mod lacking;
pub mod lease;
pub mod maintenance;
pub mod notifier;
pub mod outages;
pub mod pinger;
pub mod reloads;
pub mod retention;
pub mod runner;

use std::sync::Arc;

use tokio::sync::Notify;

pub use denials::Denials;

use crate::pulse::Pulses;
use crate::store::DueNow;

/// The health of the loops, for the API. It is kept in memory only, and the loops do not depend on it.
#[derive(Clone, Default)]
pub struct Health {
    pub backend_breaker: Arc<runner::BackendBreaker>,
    pub next_wake: runner::NextWake,
    pub origins: courier::OriginLimiter,
    pub outages: outages::Outages,
    pub pruning: retention::Pruning,
    pub reloads: reloads::Reloads,
    pub pulses: Pulses,
}

/// Wakes one loop each: there may be something to do. A wake may be lost or doubled without harm.
#[derive(Clone, Debug, Default)]
pub struct Wakes {
    /// Crons or runs have changed, or runs have ended.
    pub runner: Arc<Notify>,
    /// Deliveries were inserted, or may be sent again.
    pub courier: Arc<Notify>,
    /// There are threads to be deleted.
    pub janitor: Arc<Notify>,
    /// Another daemon that shares the store has adopted files, or has said something about itself.
    pub files: Arc<Notify>,
}

impl Wakes {
    fn wake(&self, due: DueNow) {
        let DueNow { runner, courier, janitor, files } = due;
        let wakes = [&self.runner, &self.courier, &self.janitor, &self.files];
        for (wake, is_due) in wakes.into_iter().zip([runner, courier, janitor, files]) {
            if is_due {
                wake.notify_one();
            }
        }
    }
}
