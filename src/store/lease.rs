//! The right of a daemon to act. Whoever has a store alone always has it; where several share one, it ends some time after
//! the last sign of life that was committed.
//!
//! Each start of a process gets a number (`daemons`). Every commit renews its sign of life, and `engine/lease.rs` commits one
//! every two seconds. Eight seconds after the last one a daemon begins nothing any more, by a clock that nobody sets: it asks
//! [`Store::may_act`] before it sends, and the body of a request asks once more when it is written (`transport/guard.rs`). After
//! ten seconds the others recover what it held (`recovery.rs`). If it comes back, its first commit finds that out
//! ([`StoreError::Ousted`]), and it begins anew with another number. What it said meanwhile about a run that another holds does
//! not count ([`StoreError::NotHeld`]). Whoever stops in good order hands over at once.
//!
//! [`Store::may_act`]: super::Store::may_act
//! [`StoreError::Ousted`]: super::StoreError::Ousted
//! [`StoreError::NotHeld`]: super::StoreError::NotHeld

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::lease::ACTS_WITHIN;

/// Who may have a store at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// One daemon, which a lock on a file beside the store ensures.
    Alone,
    /// Several daemons, each of which is gone for the others once it gives no sign of life.
    Shared,
}

pub(super) struct Lease {
    clock: Clock,
    sharing: Sharing,
    /// When the latest commit began that has told that this daemon is alive, by [`Clock::since_boot`].
    told: Mutex<Duration>,
}

impl Lease {
    /// Returns the lease of a daemon whose registration began at `began`.
    pub(super) fn new(clock: Clock, sharing: Sharing, began: Duration) -> Self {
        Self { clock, sharing, told: Mutex::new(began) }
    }

    /// Returns the present instant, for [`Lease::renew`].
    pub(super) fn now(&self) -> Duration {
        self.clock.since_boot()
    }

    /// Takes note that a commit that began at this instant has told that the daemon is alive.
    pub(super) fn renew(&self, began: Duration) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = began;
    }

    pub(super) fn holds(&self) -> bool {
        let told = *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match self.sharing {
            Sharing::Alone => true,
            Sharing::Shared => self.now().saturating_sub(told) < ACTS_WITHIN,
        }
    }
}
