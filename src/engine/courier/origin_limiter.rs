//! Fairness between receivers: each origin and each URL has a few permits and a circuit breaker, so that a receiver that
//! hangs or is down takes nothing from the others. The URLs of clients have permits and breakers apart from those of
//! files, also at the same origin: what a client's receiver answers decides nothing about the webhooks of files.
//!
//! What keeps us from connecting concerns the whole origin. What an attempt that was sent comes to concerns its URL: only
//! if one URL after the other begins to fail, and nothing succeeds in between, is the origin away as well. So a URL that
//! is known to fail says nothing about its neighbours, and of thousands at an origin that is down a handful is tried.
//! Likewise a delivery that fails again says nothing new about its URL.
//!
//! All of it is kept in memory. A restart forgets it, which costs a dead origin at most a handful of attempts
//! until its breaker is open again. When each delivery is due is kept in the store, and that is what must not
//! be forgotten.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::backoff::Wait;
use crate::domain::bounds::{
    ATTEMPTS_IF_FAST, ATTEMPTS_IN_FLIGHT, ATTEMPTS_PER_ORIGIN, ATTEMPTS_PER_URL, CLIENT_ATTEMPTS_IN_FLIGHT,
    EARLY_PER_PASS, FAST_ANSWER, RECEIVERS_REMEMBERED,
};
use crate::domain::breaker::{Absence, Breaker, Ended, Scope};
use crate::domain::cron::CronSource;
use crate::domain::delivery::{AttemptResult, Shown};
use crate::domain::ids::DeliveryId;
use crate::domain::members::Members;
use crate::store::{Admission, ReceiverAway};
use crate::webhook::Origin;

/// How long a probe of an origin that is due waits for a URL of which nothing bad is known.
const PROBE_FOR_OTHERS: Duration = Duration::from_millis(100);

/// How long a receiver keeps its further attempts while none is in flight: longer than a commit.
const EXTRA_KEPT: Duration = Duration::from_secs(1);

/// The state of all receivers. It is cheap to clone.
#[derive(Clone, Default)]
pub struct OriginLimiter(Arc<Mutex<State>>);

/// Receivers that are well, have nothing in flight and have not just answered fast need no entry.
#[derive(Default)]
struct State {
    origins: HashMap<Lane, Level>,
    urls: HashMap<(Lane, Arc<str>), Level>,
    /// How many attempts are in flight at all origins together, and how many of these are for clients.
    in_flight: usize,
    of_clients: usize,
}

impl State {
    fn levels(&mut self) -> impl Iterator<Item = &mut Level> {
        self.origins.values_mut().chain(self.urls.values_mut())
    }
}

/// An origin, as it is reached by the URLs of files or by those of clients.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Lane {
    pub(super) origin: Origin,
    pub(super) source: CronSource,
}

/// What is known of one origin or one URL.
#[derive(Default)]
struct Level {
    in_flight: usize,
    /// Of an origin: how many of these are attempts at URLs that are known to fail.
    failing_in_flight: usize,
    /// How many attempts more than usual it gets at once, because it answers fast, and for how long.
    extra: usize,
    extra_kept: Option<Wait>,
    /// Of an origin that is away because its URLs fail: until when the next probe is for a URL of which nothing bad is known.
    for_others: Option<Wait>,
    breaker: Breaker,
    cause: Cause,
    /// The end of the wait that the receiver asked for with `Retry-After`.
    asked_to_wait: Option<Wait>,
}

/// What shows that it is away, if it is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Cause {
    /// Nothing does: it is well, or some URLs of an origin fail.
    #[default]
    None,
    NoConnection,
    /// What attempts came to.
    Trouble,
}

/// The permission to make one attempt; it is returned when it is dropped.
pub(super) struct Permit {
    origins: OriginLimiter,
    lane: Lane,
    url: Arc<str>,
    was_failing: bool,
    began: Timestamp,
}

/// What an attempt has changed: of the origin, and of the URL.
pub(super) struct Changes(pub(super) [(Scope, Change); 2]);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// It is away, or may be, and is asked again then.
    Away(Absence, Timestamp),
    /// It is back.
    Back(Absence),
}

impl OriginLimiter {
    /// Returns how many origins and URLs have an open circuit breaker.
    pub fn open_breakers(&self) -> usize {
        self.lock().levels().filter(|level| level.breaker.is_open()).count()
    }

    /// Returns a permit for a URL, unless it or its origin is at its limit, has an open breaker, or asked us to wait.
    pub(super) fn admit(&self, lane: &Lane, url: &str, now: Timestamp) -> Admission<Permit> {
        let mut state = self.lock();
        let State { origins, urls, in_flight, of_clients } = &mut *state;
        let key = (lane.clone(), Arc::from(url));
        make_room(origins, lane, now);
        make_room(urls, &key, now);
        let for_client = lane.source == CronSource::Api;
        if for_client && *of_clients >= CLIENT_ATTEMPTS_IN_FLIGHT {
            return Admission::ReceiverWaits;
        }
        let has_room = *in_flight < ATTEMPTS_IN_FLIGHT / 2
            && !(for_client && *of_clients >= CLIENT_ATTEMPTS_IN_FLIGHT / 2);
        let origin = origins.entry(lane.clone()).or_default();
        let url = urls.entry(key.clone()).or_default();
        let is_failing = url.breaker.absence().is_some();
        // Some of its permits are left to URLs of which nothing bad is known.
        if is_failing && origin.failing_in_flight >= ATTEMPTS_PER_ORIGIN / 2 {
            return Admission::UrlWaits;
        }
        let is_free = if url.failed_before(origin) {
            origin.in_flight < ATTEMPTS_PER_ORIGIN + origin.extra(ATTEMPTS_PER_ORIGIN, has_room, now)
        } else {
            origin.admits(ATTEMPTS_PER_ORIGIN, has_room, now)
        };
        if !is_free {
            return Admission::ReceiverWaits;
        }
        if !url.admits(ATTEMPTS_PER_URL, has_room, now) || is_failing && origin.prefers_others(now) {
            return Admission::UrlWaits;
        }
        origin.in_flight += 1;
        origin.failing_in_flight += usize::from(is_failing);
        url.in_flight += 1;
        *in_flight += 1;
        *of_clients += usize::from(for_client);
        drop(state);
        let (lane, url) = key;
        let permit = Permit { origins: self.clone(), lane, url, was_failing: is_failing, began: now };
        Admission::Admitted(permit)
    }

    /// Lets something through to every receiver at once, whatever it asked for, because a person says that it is repaired.
    pub fn try_now(&self, now: Timestamp) {
        self.hurry(now);
        self.lock().levels().for_each(|level| level.asked_to_wait = None);
    }

    /// Lets a probe through to every receiver that is away.
    pub(super) fn hurry(&self, now: Timestamp) {
        self.lock().levels().for_each(|level| level.breaker.hurry(Timestamp::MIN, now));
    }

    /// Returns receivers to which something should be sent before its turn, to see whether they are back. Those of which
    /// nothing need be known are forgotten.
    pub(super) fn early(&self, now: Timestamp) -> Vec<ReceiverAway> {
        let mut state = self.lock();
        let State { origins, urls, .. } = &mut *state;
        origins.retain(|_, level| !level.is_idle(now));
        urls.retain(|_, level| !level.is_idle(now));
        let away = origins.values_mut().filter(|level| level.cause != Cause::None && level.in_flight == 0);
        let asked = away.filter_map(|level| (!level.prefers_others(now)).then_some(level));
        let of_origins = asked.filter_map(|level| level.early(Scope::Origin, now)).take(EARLY_PER_PASS);
        let of_origins: Vec<ReceiverAway> = of_origins.collect();
        let asked = urls.iter_mut().filter(|((lane, _), level)| {
            let origin = origins.get(lane);
            level.in_flight == 0 && origin.is_none_or(|origin| origin.cause == Cause::None)
        });
        let of_urls = asked.filter_map(|(_, level)| level.early(Scope::Url, now));
        of_origins.into_iter().chain(of_urls.take(EARLY_PER_PASS)).collect()
    }

    /// Forgets that a receiver is away, because nothing waits for it; the delivery is the one that failed last there.
    pub(super) fn forget(&self, scope: Scope, last: DeliveryId) {
        let mut state = self.lock();
        let is_it = |level: &&mut Level| level.breaker.absence().is_some_and(|absence| absence.last == last);
        match scope {
            Scope::Origin => state.origins.values_mut().filter(is_it).for_each(Level::forget),
            Scope::Url => state.urls.values_mut().filter(is_it).for_each(Level::forget),
        }
    }

    /// Returns those receivers that are not well and belong to another daemon now, each with the delivery that failed last there.
    pub(super) fn of_others(&self, members: &Members) -> Vec<(Scope, DeliveryId)> {
        let state = self.lock();
        let last = |level: &Level| level.breaker.absence().map(|absence| absence.last);
        let is_of_another = |lane: &Lane| !lane.origin.belongs_to_us(members);
        let origins =
            state.origins.iter().filter_map(|(lane, level)| Some((Scope::Origin, lane, last(level)?)));
        let urls = state.urls.iter().filter_map(|((lane, _), level)| Some((Scope::Url, lane, last(level)?)));
        let not_well = origins.chain(urls);
        not_well.filter_map(|(scope, lane, last)| is_of_another(lane).then_some((scope, last))).collect()
    }

    /// Returns whether an attempt is in flight at this origin.
    pub(super) fn is_in_flight_at(&self, lane: &Lane) -> bool {
        self.lock().origins.get(lane).is_some_and(|level| level.in_flight > 0)
    }

    /// Returns how many attempts are in flight at all origins together.
    pub(super) fn in_flight(&self) -> usize {
        self.lock().in_flight
    }

    /// Returns when the next receiver that admits nothing now will admit something, or should be asked early.
    pub(super) fn next_opening(&self, now: Timestamp) -> Option<Timestamp> {
        let opening = |level: &mut Level| {
            let for_others = level.for_others.filter(|wait| !wait.is_over(now)).map(|wait| wait.until);
            [level.waits_until(now), level.breaker.early_at(now), for_others].into_iter().flatten().min()
        };
        self.lock().levels().filter_map(opening).min()
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        let state = self.lock();
        state.origins.len().max(state.urls.len())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No panic under the lock can leave the maps in an invalid state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets those whose breakers are closed, if a new one would be one too many; and if that is not enough, all of them.
fn make_room<Key: Eq + Hash>(levels: &mut HashMap<Key, Level>, new: &Key, now: Timestamp) {
    if levels.len() >= RECEIVERS_REMEMBERED && !levels.contains_key(new) {
        levels.retain(|_, level| level.in_flight > 0 || level.is_waiting(now));
        if levels.len() >= RECEIVERS_REMEMBERED {
            levels.retain(|_, level| level.in_flight > 0);
        }
    }
}

impl Permit {
    /// Records the result of the attempt at this delivery, and how long the receiver took to answer, if it did. Returns
    /// what that has changed.
    pub(super) fn judge(
        &self,
        delivery_id: DeliveryId,
        result: &AttemptResult,
        took: Option<Duration>,
        now: Timestamp,
    ) -> Changes {
        let mut state = self.origins.lock();
        let State { origins, urls, .. } = &mut *state;
        let origin = origins.entry(self.lane.clone()).or_default();
        let url = urls.entry((self.lane.clone(), Arc::clone(&self.url))).or_default();
        if let AttemptResult::Refused { retry_after: Some(asked), .. } = result {
            url.asked_to_wait = url.asked_to_wait.max(Some(Wait::begin(now, *asked)));
        }
        let ended = Ended { delivery_id, began: self.began, at: now };
        let (of_origin, of_url) = match result.shown() {
            Shown::Nothing => (Change::None, Change::None),
            Shown::OriginIll => {
                (origin.failed(ended, true, Cause::NoConnection, ATTEMPTS_PER_ORIGIN), Change::None)
            }
            Shown::UrlIll => {
                let back = match origin.cause {
                    // There is a connection.
                    Cause::NoConnection => origin.well(now, ATTEMPTS_PER_ORIGIN),
                    Cause::None | Cause::Trouble => Change::None,
                };
                let is_new = url.breaker.absence().is_none();
                let of_origin = match is_new || origin.cause == Cause::Trouble && !url.failed_before(origin) {
                    true => origin.failed(ended, is_new, Cause::None, ATTEMPTS_PER_ORIGIN),
                    false => Change::None,
                };
                let counts = !url.breaker.has_counted(delivery_id);
                let of_url = url.failed(ended, counts, Cause::Trouble, ATTEMPTS_PER_URL);
                (if back == Change::None { of_origin } else { back }, of_url)
            }
            Shown::Well => {
                url.answered(took, ATTEMPTS_PER_URL, now);
                origin.answered(took, ATTEMPTS_PER_ORIGIN, now);
                let of_url = url.well(now, ATTEMPTS_PER_URL);
                let of_origin = origin.well(now, ATTEMPTS_PER_ORIGIN);
                if let Change::Back(absence) = &of_origin {
                    let neighbours = urls.iter_mut().filter(|((lane, _), _)| *lane == self.lane);
                    neighbours.for_each(|(_, url)| url.breaker.hurry(absence.since, now));
                }
                (of_origin, of_url)
            }
        };
        Changes([(Scope::Origin, of_origin), (Scope::Url, of_url)])
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.origins.lock();
        if let Some(origin) = state.origins.get_mut(&self.lane).filter(|_| self.was_failing) {
            origin.failing_in_flight = origin.failing_in_flight.saturating_sub(1);
        }
        state.in_flight -= 1;
        state.of_clients -= usize::from(self.lane.source == CronSource::Api);
        let key = (self.lane.clone(), Arc::clone(&self.url));
        let State { origins, urls, .. } = &mut *state;
        for level in origins.get_mut(&self.lane).into_iter().chain(urls.get_mut(&key)) {
            level.in_flight = level.in_flight.saturating_sub(1);
        }
    }
}

impl Level {
    fn admits(&mut self, usual: usize, has_room: bool, now: Timestamp) -> bool {
        if self.asked_to_wait.is_some_and(|wait| wait.is_over(now)) {
            self.asked_to_wait = None;
        }
        let extra = if self.breaker.knows_nothing() { self.extra(usual, has_room, now) } else { 0 };
        self.in_flight < self.breaker.permits(usual) + extra && !self.is_waiting(now)
    }

    fn extra(&self, usual: usize, has_room: bool, now: Timestamp) -> usize {
        let most = if has_room { ATTEMPTS_IF_FAST } else { ATTEMPTS_IF_FAST / 4 };
        self.extra_kept.filter(|kept| !kept.is_over(now)).map_or(0, |_| self.extra.min(usual * (most - 1)))
    }

    /// Whether nothing is lost if it is forgotten. Few fast answers are soon given again.
    fn is_idle(&self, now: Timestamp) -> bool {
        let is_fast = self.extra(1, true, now) > 0 && self.extra >= ATTEMPTS_PER_URL;
        self.in_flight == 0 && !is_fast && self.breaker.knows_nothing() && self.asked_to_wait.is_none()
    }

    /// Whether the probe of this origin that is due is for URLs of which nothing bad is known, if anything waits for them:
    /// one that succeeds shows that not everything is down there.
    fn prefers_others(&mut self, now: Timestamp) -> bool {
        let is_due = self.cause == Cause::Trouble && self.breaker.is_open() && !self.is_waiting(now);
        is_due && !self.for_others.get_or_insert_with(|| Wait::begin(now, PROBE_FOR_OTHERS)).is_over(now)
    }

    /// Gives it one more attempt at once, up to as many times the usual as it answered faster than [`FAST_ANSWER`].
    fn answered(&mut self, took: Option<Duration>, usual: usize, now: Timestamp) {
        let times = took.map_or(1, |took| FAST_ANSWER.as_micros() / took.as_micros().max(1));
        let times = usize::try_from(times).unwrap_or(usize::MAX).clamp(1, ATTEMPTS_IF_FAST);
        self.extra = (self.extra(usual, true, now) + 1).min(usual * (times - 1));
        self.extra_kept = Some(Wait::begin(now, EXTRA_KEPT));
    }

    fn is_waiting(&self, now: Timestamp) -> bool {
        self.waits_until(now).is_some()
    }

    fn waits_until(&self, now: Timestamp) -> Option<Timestamp> {
        let asked = self.asked_to_wait.filter(|wait| !wait.is_over(now)).map(|wait| wait.until);
        self.breaker.waits_until(now).max(asked)
    }

    fn early(&mut self, scope: Scope, now: Timestamp) -> Option<ReceiverAway> {
        if self.is_waiting(now) {
            return None;
        }
        let absence = self.breaker.take_early(now)?;
        Some(ReceiverAway { scope, delivery_id: absence.last, since: absence.since })
    }

    /// Returns whether this URL failed before its origin did. Then it shows nothing about what the other URLs suffer from,
    /// and has no part in it.
    fn failed_before(&self, origin: &Self) -> bool {
        let since = |level: &Self| level.breaker.absence().map(|absence| absence.since);
        origin.cause == Cause::Trouble && since(self).is_some_and(|since_url| Some(since_url) < since(origin))
    }

    /// Records a failure that shows this about it.
    fn failed(&mut self, ended: Ended, counts: bool, shows: Cause, permits: usize) -> Change {
        (self.extra, self.for_others) = (0, None);
        self.breaker.failed(ended, counts);
        self.cause = match shows {
            Cause::None if self.cause == Cause::None && self.breaker.is_open() => Cause::Trouble,
            Cause::None => self.cause,
            Cause::NoConnection | Cause::Trouble => shows,
        };
        if self.cause == Cause::None {
            return Change::None;
        }
        self.breaker.slow_down(permits);
        let Some(absence) = self.breaker.absence() else { return Change::None };
        let asked_at = self.breaker.early_at(ended.at).max(self.waits_until(ended.at));
        Change::Away(absence.clone(), asked_at.unwrap_or(ended.at))
    }

    fn well(&mut self, now: Timestamp, permits: usize) -> Change {
        let was_away = std::mem::take(&mut self.cause) != Cause::None;
        self.breaker.well(now, permits).filter(|_| was_away).map_or(Change::None, Change::Back)
    }

    fn forget(&mut self) {
        self.cause = Cause::None;
        self.breaker.forget();
    }
}
