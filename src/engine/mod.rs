//! The loops. Each acts on what is due, asks when the next thing is due, and sleeps until then; they meet only in
//! the store, and nudge each other with wakes that carry no data. Recovery is the first pass of each.

pub mod courier;
pub mod janitor;
pub mod maintenance;
pub mod runner;
pub mod scheduler;

use std::sync::Arc;

use tokio::sync::Notify;

/// How the loops are, for those who ask. Kept in memory only; nobody decides by it.
#[derive(Clone, Default)]
pub struct Health {
    /// Whether the backend takes runs.
    pub backend_breaker: Arc<runner::BackendBreaker>,
    /// When a calendar next names an instant.
    pub next_wake: scheduler::NextWake,
    /// Whether receivers are left alone.
    pub origins: courier::OriginLimiter,
}

/// Nudges: "look, there may be something for you". One may be lost or doubled without harm.
#[derive(Clone, Debug, Default)]
pub struct Wakes {
    /// Crons were changed.
    pub scheduler: Arc<Notify>,
    /// Runs were planned, changed or have ended.
    pub runner: Arc<Notify>,
    /// Deliveries were made.
    pub courier: Arc<Notify>,
    /// Threads are to be deleted.
    pub janitor: Arc<Notify>,
}
