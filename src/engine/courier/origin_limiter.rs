//! Fairness between receivers: each origin has a few places and a breaker, so that one that hangs or is down takes
//! nothing from the others.
//!
//! It is kept in memory. A restart forgets it, which costs a dead origin at most a handful of attempts until its
//! breaker is open again; when each delivery is due stands in the store, and that is what must not be forgotten.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::backoff;
use crate::domain::bounds::{ATTEMPTS_PER_ORIGIN, ORIGINS_REMEMBERED};
use crate::domain::delivery::{AttemptResult, OriginHealth};
use crate::webhook::Origin;

/// So many failures in a row open the breaker.
const FAILURES_MAX: u32 = 5;
/// The first probe comes after this, and each further one after twice the wait before, up to the other.
const PROBE_WAIT_FIRST: Duration = Duration::from_secs(30);
const PROBE_WAIT_MOST: Duration = Duration::from_secs(15 * 60);

/// How all origins stand. Cheap to clone.
#[derive(Clone, Default)]
pub struct OriginLimiter(Arc<Mutex<HashMap<Origin, OriginState>>>);

/// How one origin stands. An origin that is well and has nothing in flight needs no entry.
#[derive(Default)]
struct OriginState {
    in_flight: usize,
    failures_in_a_row: u32,
    /// How often in a row the breaker has opened: 0 if it is closed.
    openings: u32,
    /// The breaker's next probe.
    probe_at: Option<Timestamp>,
    /// What the receiver has asked for by `Retry-After`.
    retry_not_before: Option<Timestamp>,
}

/// The right to one attempt at an origin; given back when it is dropped.
pub(super) struct Permit {
    origins: OriginLimiter,
    origin: Origin,
}

/// That an attempt has opened the breaker of its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BreakerOpened {
    pub(super) until: Timestamp,
}

impl OriginLimiter {
    /// How many are left alone but for a probe now and then.
    pub fn open_breakers(&self) -> usize {
        self.lock().values().filter(|state| state.openings > 0).count()
    }

    /// A place at this origin, unless it has none left or is not to be troubled now.
    pub(super) fn admit(&self, origin: Origin, now: Timestamp) -> Option<Permit> {
        let mut states = self.lock();
        if states.len() >= ORIGINS_REMEMBERED && !states.contains_key(&origin) {
            states.retain(|_, state| state.in_flight > 0 || state.is_closed(now));
        }
        let state = states.entry(origin.clone()).or_default();
        if !state.admits(now) {
            return None;
        }
        state.in_flight += 1;
        drop(states);
        Some(Permit { origins: self.clone(), origin })
    }

    /// Attempts that are being made, at all of them.
    pub(super) fn in_flight(&self) -> usize {
        self.lock().values().map(|state| state.in_flight).sum()
    }

    /// When the next origin that is left alone now may be troubled again.
    pub(super) fn next_opening(&self, now: Timestamp) -> Option<Timestamp> {
        self.lock().values().filter_map(OriginState::closed_until).filter(|until| *until > now).min()
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Origin, OriginState>> {
        // Nothing that is done under the lock can leave it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Takes account of what came of the attempt.
    pub(super) fn judge(&self, result: &AttemptResult, now: Timestamp) -> Option<BreakerOpened> {
        let mut states = self.origins.lock();
        states.get_mut(&self.origin)?.judge(result, now)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut states = self.origins.lock();
        let Some(state) = states.get_mut(&self.origin) else { return };
        state.in_flight = state.in_flight.saturating_sub(1);
        if state.in_flight == 0 && state.failures_in_a_row == 0 && state.retry_not_before.is_none() {
            states.remove(&self.origin);
        }
    }
}

impl OriginState {
    fn admits(&mut self, now: Timestamp) -> bool {
        if self.retry_not_before.is_some_and(|until| until <= now) {
            self.retry_not_before = None;
        }
        // An open breaker lets one probe through at its time.
        let places = if self.openings > 0 { 1 } else { ATTEMPTS_PER_ORIGIN };
        self.in_flight < places && !self.is_closed(now)
    }

    fn is_closed(&self, now: Timestamp) -> bool {
        self.closed_until().is_some_and(|until| until > now)
    }

    fn closed_until(&self) -> Option<Timestamp> {
        self.probe_at.max(self.retry_not_before)
    }

    fn judge(&mut self, result: &AttemptResult, now: Timestamp) -> Option<BreakerOpened> {
        if let AttemptResult::Refused { retry_after: Some(asked), .. } = result {
            self.retry_not_before = self.retry_not_before.max(Some(backoff::after(now, *asked)));
        }
        match result.origin_health() {
            OriginHealth::Unknown => None,
            OriginHealth::Well => {
                (self.failures_in_a_row, self.openings, self.probe_at) = (0, 0, None);
                None
            }
            OriginHealth::Ill => {
                self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
                // What was in flight when the breaker opened says nothing new.
                let is_open = self.probe_at.is_some_and(|probe_at| probe_at > now);
                if self.failures_in_a_row < FAILURES_MAX || is_open {
                    return None;
                }
                self.openings = self.openings.saturating_add(1);
                let wait = backoff::doubling(PROBE_WAIT_FIRST, PROBE_WAIT_MOST, self.openings);
                let until = backoff::after(now, wait);
                self.probe_at = Some(until);
                Some(BreakerOpened { until })
            }
        }
    }
}
