//! Fairness between receivers: each origin has a few permits and a circuit breaker, so that one origin that
//! hangs or is down takes nothing from the others. The URLs of clients have permits and breakers apart from those of
//! files, also at the same origin: what a client's receiver answers decides nothing about the webhooks of files.
//!
//! All of it is kept in memory. A restart forgets it, which costs a dead origin at most a handful of attempts
//! until its breaker is open again. When each delivery is due is kept in the store, and that is what must not
//! be forgotten.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::backoff::{self, Wait};
use crate::domain::bounds::{ATTEMPTS_PER_ORIGIN, CLIENT_ATTEMPTS_IN_FLIGHT, ORIGINS_REMEMBERED};
use crate::domain::cron::CronSource;
use crate::domain::delivery::{AttemptResult, OriginHealth};
use crate::webhook::Origin;

/// How many failures in a row open the breaker.
const FAILURES_MAX: u32 = 5;
/// The waits before a probe: each is twice the one before, up to the longest.
const PROBE_WAIT_FIRST: Duration = Duration::from_secs(30);
const PROBE_WAIT_MOST: Duration = Duration::from_secs(15 * 60);

/// The state of all origins. It is cheap to clone.
#[derive(Clone, Default)]
pub struct OriginLimiter(Arc<Mutex<HashMap<Lane, OriginState>>>);

/// An origin, as it is reached by the URLs of files or by those of clients.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Lane {
    pub(super) origin: Origin,
    pub(super) source: CronSource,
}

/// The state of one lane. An origin that is well and has nothing in flight needs no entry.
#[derive(Default)]
struct OriginState {
    in_flight: usize,
    failures_in_a_row: u32,
    /// How many times in a row the breaker has opened; 0 while it is closed.
    openings: u32,
    /// When an open breaker lets the next probe through.
    probe: Option<Wait>,
    /// The end of the wait that the receiver asked for with `Retry-After`.
    asked_to_wait: Option<Wait>,
}

/// The permission to make one attempt at an origin; it is returned when it is dropped.
pub(super) struct Permit {
    origins: OriginLimiter,
    lane: Lane,
}

/// Reports that an attempt has opened the breaker of its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BreakerOpened {
    pub(super) until: Timestamp,
}

impl OriginLimiter {
    /// Returns how many origins have an open circuit breaker.
    pub fn open_breakers(&self) -> usize {
        self.lock().values().filter(|state| state.openings > 0).count()
    }

    /// Returns a permit for this lane, unless it is at its limit, its breaker is open, or it asked us to wait.
    pub(super) fn admit(&self, lane: Lane, now: Timestamp) -> Option<Permit> {
        let mut states = self.lock();
        if states.len() >= ORIGINS_REMEMBERED && !states.contains_key(&lane) {
            states.retain(|_, state| state.in_flight > 0 || state.is_waiting(now));
        }
        if lane.source == CronSource::Api {
            let of_clients = states.iter().filter(|(lane, _)| lane.source == CronSource::Api);
            if of_clients.map(|(_, state)| state.in_flight).sum::<usize>() >= CLIENT_ATTEMPTS_IN_FLIGHT {
                return None;
            }
        }
        let state = states.entry(lane.clone()).or_default();
        if !state.admits(now) {
            return None;
        }
        state.in_flight += 1;
        drop(states);
        Some(Permit { origins: self.clone(), lane })
    }

    /// Returns how many attempts are in flight at all origins together.
    pub(super) fn in_flight(&self) -> usize {
        self.lock().values().map(|state| state.in_flight).sum()
    }

    /// Returns when the next origin that admits no attempt now will admit one.
    pub(super) fn next_opening(&self, now: Timestamp) -> Option<Timestamp> {
        self.lock().values().filter_map(|state| state.waits_until(now)).min()
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Lane, OriginState>> {
        // No panic under the lock can leave the map in an invalid state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Records the result of the attempt, and returns whether it opened the breaker.
    pub(super) fn judge(&self, result: &AttemptResult, now: Timestamp) -> Option<BreakerOpened> {
        let mut states = self.origins.lock();
        states.get_mut(&self.lane)?.judge(result, now)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut states = self.origins.lock();
        let Some(state) = states.get_mut(&self.lane) else { return };
        state.in_flight = state.in_flight.saturating_sub(1);
        if state.in_flight == 0 && state.failures_in_a_row == 0 && state.asked_to_wait.is_none() {
            states.remove(&self.lane);
        }
    }
}

impl OriginState {
    fn admits(&mut self, now: Timestamp) -> bool {
        if self.asked_to_wait.is_some_and(|wait| wait.is_over(now)) {
            self.asked_to_wait = None;
        }
        // An open breaker lets one probe through when it is due.
        let permits = if self.openings > 0 { 1 } else { ATTEMPTS_PER_ORIGIN };
        self.in_flight < permits && !self.is_waiting(now)
    }

    fn is_waiting(&self, now: Timestamp) -> bool {
        self.waits_until(now).is_some()
    }

    fn waits_until(&self, now: Timestamp) -> Option<Timestamp> {
        let waits = [self.probe, self.asked_to_wait].into_iter().flatten();
        waits.filter(|wait| !wait.is_over(now)).map(|wait| wait.until).max()
    }

    fn judge(&mut self, result: &AttemptResult, now: Timestamp) -> Option<BreakerOpened> {
        if let AttemptResult::Refused { retry_after: Some(asked), .. } = result {
            self.asked_to_wait = self.asked_to_wait.max(Some(Wait::begin(now, *asked)));
        }
        match result.origin_health() {
            OriginHealth::Unknown => None,
            OriginHealth::Well => {
                (self.failures_in_a_row, self.openings, self.probe) = (0, 0, None);
                None
            }
            OriginHealth::Ill => {
                self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
                // Attempts that were in flight when the breaker opened show nothing new.
                let is_open = self.probe.is_some_and(|wait| !wait.is_over(now));
                if self.failures_in_a_row < FAILURES_MAX || is_open {
                    return None;
                }
                self.openings = self.openings.saturating_add(1);
                let wait = backoff::doubling(PROBE_WAIT_FIRST, PROBE_WAIT_MOST, self.openings);
                let wait = Wait::begin(now, wait);
                self.probe = Some(wait);
                Some(BreakerOpened { until: wait.until })
            }
        }
    }
}
