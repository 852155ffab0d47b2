//! The right of a daemon to act. Whoever has a store alone always has it; where several share one, it ends some time after
//! the last sign of life that was committed.
//!
//! Each start of a process gets a number (`daemons`). Every commit renews its sign of life, and `engine/lease.rs` commits one
//! every two seconds. Eight seconds after the last one a daemon begins nothing any more, by a clock that nobody sets: it asks
//! [`Store::may_act`] before it sends, and the body of a request asks once more when it is written (`transport/guard.rs`). After
//! ten seconds the others recover what it held (`recovery.rs`), unless they could not commit for a while either: then nobody could. If it comes back, its first commit finds that out
//! ([`StoreError::Ousted`]), and it begins anew with another number. What it said meanwhile about a run that another holds does
//! not count ([`StoreError::NotHeld`]). Whoever stops in good order hands over at once.
//!
//! [`Store::may_act`]: super::Store::may_act
//! [`StoreError::Ousted`]: super::StoreError::Ousted
//! [`StoreError::NotHeld`]: super::StoreError::NotHeld

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Clock;
use crate::domain::daemon::DaemonName;
use crate::domain::ids::DaemonNumber;
use crate::domain::lease::{ACTS_WITHIN, INTERRUPTED_AFTER};

/// Who may have a store at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// One daemon, which a lock on a file beside the store ensures.
    Alone,
    /// Several daemons, each of which is gone for the others once it gives no sign of life.
    Shared,
}

/// A daemon that recovers what others held, and what it knows about itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Survivor {
    pub(super) number: DaemonNumber,
    pub(super) sharing: Sharing,
    /// Since when it has been able to commit, if it could not for a while.
    pub(super) able_since: Option<Timestamp>,
}

pub(super) struct Lease {
    clock: Clock,
    /// What the daemon is called, if several share the store.
    name: Option<DaemonName>,
    told: Mutex<LifeSigns>,
}

#[derive(Clone, Copy)]
struct LifeSigns {
    /// When the latest commit began that has told that this daemon is alive, by [`Clock::since_boot`].
    last: Duration,
    /// Since when there has been one again and again; `None` if that has always been so.
    able_since: Option<Timestamp>,
}

impl Lease {
    /// Returns the lease of a daemon whose registration began at `began`. `waited` says whether it could not register before.
    pub(super) fn new(clock: Clock, name: Option<DaemonName>, began: Duration, waited: bool) -> Self {
        let told = LifeSigns { last: began, able_since: waited.then(|| clock.now()) };
        Self { clock, name, told: Mutex::new(told) }
    }

    pub(super) fn name(&self) -> Option<&DaemonName> {
        self.name.as_ref()
    }

    /// Returns the present instant, for [`Lease::renew`].
    pub(super) fn now(&self) -> Duration {
        self.clock.since_boot()
    }

    /// Takes note that a commit that began at this instant has told that the daemon is alive.
    pub(super) fn renew(&self, began: Duration) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if began.saturating_sub(told.last) > INTERRUPTED_AFTER {
            told.able_since = Some(self.clock.now());
        }
        told.last = began;
    }

    /// Returns since when this daemon has been able to commit, if it could not for a while; a commit that takes long now is
    /// such a while.
    pub(super) fn able_since(&self) -> Option<Timestamp> {
        let told = self.told();
        let is_interrupted = self.now().saturating_sub(told.last) > INTERRUPTED_AFTER;
        if is_interrupted { Some(self.clock.now()) } else { told.able_since }
    }

    pub(super) fn holds(&self) -> bool {
        self.name.is_none() || self.now().saturating_sub(self.told().last) < ACTS_WITHIN
    }

    fn told(&self) -> LifeSigns {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
