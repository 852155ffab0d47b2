//! Keeps the outages: one line in the log when one begins and one when it ends, and a row in the store. What notices
//! them reports here; the row is committed by a loop of its own, so that nobody waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::backoff;
use crate::domain::bounds::{RECEIVER_AWAY_AFTER, RECEIVERS_AWAY_MAX, SEEN_EVERY, SIGN_OF_LIFE_EVERY};
use crate::domain::outage::{self, Away, Outage};
use crate::store::{Store, StoreError};

/// The outages that last. It is cheap to clone.
#[derive(Clone, Default)]
pub struct Outages(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    lasting: Vec<Outage>,
    /// What was away when the former daemon ended, until it is known whether it still is.
    former: Vec<Outage>,
    /// Receivers that have failed once and were not well since: when, and why.
    suspects: HashMap<String, (Timestamp, String)>,
    unsaved: Vec<Outage>,
    /// Until when the circuit breakers of receivers that are away let nothing through.
    probes: HashMap<String, Timestamp>,
}

impl Outages {
    /// Returns no outages, after those that the former daemon knew at its end.
    pub fn after(former: Vec<Outage>) -> Self {
        let state = Mutex::new(State { former, ..State::default() });
        Self(Arc::new(Shared { state, changed: Notify::new() }))
    }

    /// Returns whether the former daemon ended while the agent server was away, and it is not known whether it still is.
    pub fn is_backend_in_question(&self) -> bool {
        self.lock().former.iter().any(|outage| outage.is_of(Away::Backend, ""))
    }

    /// Returns the outages that last, the daemon's and the disk's apart.
    pub fn lasting(&self) -> Vec<Outage> {
        self.lock().lasting.clone()
    }

    /// Returns when the circuit breakers of receivers that are away let the next attempt through.
    pub fn probes(&self) -> HashMap<String, Timestamp> {
        self.lock().probes.clone()
    }

    /// Records that the agent server is away.
    pub fn backend_away(&self, since: Timestamp, why: &str) {
        self.change(|state| state.begin(Away::Backend, "", since, why));
    }

    /// Records that the agent server is back, if it was away.
    pub fn backend_back(&self, now: Timestamp) {
        self.change(|state| state.end(Away::Backend, "", now));
    }

    /// Records that the agent server refuses our credentials.
    pub fn access_denied(&self, since: Timestamp, why: &str) {
        self.change(|state| state.begin(Away::Access, "", since, why));
    }

    /// Records that the agent server lets us in, if it had refused us.
    pub fn access_granted(&self, now: Timestamp) {
        self.change(|state| state.end(Away::Access, "", now));
    }

    /// Records that an attempt at this receiver failed in a way that is the receiver's fault. It is away if it fails
    /// again, or is not well soon.
    pub(super) fn receiver_failed(&self, receiver: &str, now: Timestamp, why: &str) {
        self.change(|state| match state.suspects.remove(receiver) {
            _ if state.lasts(Away::Receiver, receiver) => {}
            Some((since, _)) => state.begin(Away::Receiver, receiver, since, why),
            None if state.receivers() < RECEIVERS_AWAY_MAX => {
                state.suspects.insert(receiver.to_owned(), (now, why.to_owned()));
            }
            None => {}
        });
    }

    /// Records that the circuit breaker of this receiver lets nothing through until then.
    pub(super) fn receiver_left_alone(&self, receiver: &str, until: Timestamp) {
        let mut state = self.lock();
        if state.lasts(Away::Receiver, receiver) {
            state.probes.insert(receiver.to_owned(), until);
        }
    }

    /// Records that this receiver is well.
    pub(super) fn receiver_well(&self, receiver: &str, now: Timestamp) {
        self.change(|state| {
            state.suspects.remove(receiver);
            state.end(Away::Receiver, receiver, now);
        });
    }

    /// Makes a change, and wakes the loop if there is something to commit or to wait for.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        let suspects = state.suspects.len();
        change(&mut state);
        if !state.unsaved.is_empty() || state.suspects.len() > suspects {
            self.0.changed.notify_one();
        }
    }

    /// Lets suspects be away that were not well soon, and returns when the next one will be.
    fn confirm(&self, now: Timestamp) -> Option<Timestamp> {
        let mut state = self.lock();
        let is_due = |since: Timestamp| backoff::after(since, RECEIVER_AWAY_AFTER);
        let due: Vec<_> = state.suspects.extract_if(|_, (since, _)| is_due(*since) <= now).collect();
        for (receiver, (since, why)) in due {
            state.begin(Away::Receiver, &receiver, since, &why);
        }
        state.suspects.values().map(|(since, _)| is_due(*since)).min()
    }

    fn take_unsaved(&self) -> Vec<Outage> {
        std::mem::take(&mut self.lock().unsaved)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn receivers(&self) -> usize {
        let away = self.lasting.iter().filter(|outage| outage.what == Away::Receiver);
        self.suspects.len() + away.count()
    }

    fn lasts(&self, what: Away, subject: &str) -> bool {
        self.lasting.iter().any(|outage| outage.is_of(what, subject))
    }

    fn begin(&mut self, what: Away, subject: &str, since: Timestamp, why: &str) {
        if self.lasts(what, subject) {
            return;
        }
        let former = outage::take(&mut self.former, what, subject);
        let (still, since) = former.map_or(("", since), |former| ("still ", former.since));
        let outage = Outage { what, subject: subject.to_owned(), since, until: None, why: why.to_owned() };
        if let Some(called) = logged(&outage) {
            tracing::error!(%since, "{called} {still}unreachable: {why}");
        }
        self.unsaved.push(outage.clone());
        self.lasting.push(outage);
    }

    fn end(&mut self, what: Away, subject: &str, now: Timestamp) {
        if let Some(former) = outage::take(&mut self.former, what, subject) {
            let away_until = former.until.unwrap_or(former.since);
            tracing::info!(%away_until, "{} reachable again; it was away when the former daemon ended", former.called());
        }
        let Some(index) = self.lasting.iter().position(|outage| outage.is_of(what, subject)) else { return };
        let outage = self.lasting.swap_remove(index);
        self.probes.remove(subject);
        let lasted = Duration::from_secs(backoff::between(outage.since, now).as_secs());
        let lasted = humantime::format_duration(lasted);
        if let Some(called) = logged(&outage) {
            tracing::info!("{called} reachable again after {lasted}");
        }
        self.unsaved.push(Outage { until: Some(now.max(outage.since)), ..outage });
    }
}

/// Returns how the log names what was away; `None` of access, which is logged with everything else that is refused.
fn logged(outage: &Outage) -> Option<String> {
    match outage.what {
        Away::Access => None,
        Away::Backend => Some(outage.what.to_string()),
        Away::Receiver | Away::Disk | Away::Daemon => Some(outage.called()),
    }
}

/// Commits what is reported until it is stopped, and gives signs of life.
pub async fn run(
    outages: Outages,
    store: Store,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    // A commit may have to wait for a full disk.
    let signs = async {
        loop {
            store.give_sign_of_life(clock.now());
            tokio::time::sleep(SEEN_EVERY).await;
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        () = signs => Ok(()),
        failed = commit(&outages, &store, &clock) => failed,
    }
}

async fn commit(outages: &Outages, store: &Store, clock: &Clock) -> Result<(), StoreError> {
    loop {
        let unsaved = outages.take_unsaved();
        if !unsaved.is_empty() {
            store.save_outages(unsaved).await?;
        }
        let now = clock.now();
        if backoff::between(store.last_commit(), now) >= SIGN_OF_LIFE_EVERY {
            store.commit_nothing().await?;
        }
        let next = outages.confirm(now);
        tokio::select! {
            () = outages.0.changed.notified() => {}
            () = clock.sleep_until(next) => {}
            () = tokio::time::sleep(SIGN_OF_LIFE_EVERY) => {}
        }
    }
}
