//! Keeps the outages: one line in the log when one begins and one when it ends, and a row in the store. What notices
//! them reports here; the row is committed by a loop of its own, so that nobody waits for it.

mod room;
mod totals;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::backoff;
use crate::domain::bounds::{
    RECEIVER_AWAY_AFTER, RECEIVER_BACK_AFTER, RECEIVER_TOLD_AFTER, RECEIVER_TOLD_EVERY, RECEIVERS_AWAY_MAX,
    SEEN_EVERY, SIGN_OF_LIFE_EVERY,
};
use crate::domain::breaker::{Absence, Scope};
use crate::domain::cron::CronSource;
use crate::domain::ids::DeliveryId;
use crate::domain::outage::{self, ANOTHER_SENDS, Away, NOTHING_WAITS, Outage};
use crate::pulse::Pulse;
use crate::store::{Store, StoreError};
use crate::webhook::{receiver, redacted};

use room::Room;
pub use totals::OutageTotal;
use totals::Totals;

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
    /// Receivers that have failed and were not well since.
    receivers: HashMap<String, Receiver>,
    /// Receivers that were away a short while ago, as they were then.
    recent: HashMap<String, Recent>,
    unsaved: Vec<Outage>,
    totals: Totals,
}

/// What the last failure at a receiver has shown.
pub(super) struct ReceiverFailure {
    pub(super) scope: Scope,
    pub(super) absence: Absence,
    pub(super) asked_at: Timestamp,
    pub(super) why: String,
}

/// A receiver that has failed and was not well since.
struct Receiver {
    failure: ReceiverFailure,
    /// Whether its outage is known: one failure may be a hiccup.
    is_away: bool,
    /// Whether the log has been told of this outage.
    is_told: bool,
    /// When the log was told of one of its outages last.
    told_at: Option<Timestamp>,
}

impl Receiver {
    /// Returns what it is, and the delivery that failed last there.
    fn key(&self) -> (Scope, DeliveryId) {
        (self.failure.scope, self.failure.absence.last)
    }
}

/// An outage of a receiver that has ended.
struct Recent {
    outage: Outage,
    told_at: Option<Timestamp>,
}

impl Outages {
    /// Returns no outages, after those that the former daemon knew at its end.
    pub fn after(former: Vec<Outage>, now: Timestamp) -> Self {
        let state = Mutex::new(State { former, totals: Totals::since(now), ..State::default() });
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

    /// Returns how often something of this kind was away since the daemon started.
    pub fn total(&self, what: Away, now: Timestamp) -> OutageTotal {
        let state = self.lock();
        state.totals.of(what, &state.lasting, now)
    }

    /// Returns when the next attempt is made at receivers that are away, if something waits.
    pub fn probes(&self) -> HashMap<String, Timestamp> {
        let state = self.lock();
        let away = state.receivers.iter().filter(|(_, receiver)| receiver.is_away);
        away.map(|(name, receiver)| (name.clone(), receiver.failure.asked_at)).collect()
    }

    /// Returns the receivers that have failed and were not well since, each with the delivery that failed last there.
    pub(super) fn receivers(&self) -> Vec<(Scope, DeliveryId)> {
        let state = self.lock();
        state.receivers.values().map(Receiver::key).collect()
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
    /// again, or is not well soon. How many receivers there are is limited by the files, but not by clients.
    pub(super) fn receiver_failed(
        &self,
        name: &str,
        source: CronSource,
        failure: ReceiverFailure,
        now: Timestamp,
    ) {
        self.change(|state| {
            if let Some(receiver) = state.receivers.get_mut(name) {
                receiver.failure =
                    ReceiverFailure { why: std::mem::take(&mut receiver.failure.why), ..failure };
                state.begin_receiver(name, now);
            } else if source == CronSource::File || state.receivers.len() < RECEIVERS_AWAY_MAX {
                let receiver = Receiver { failure, is_away: false, is_told: false, told_at: None };
                state.receivers.insert(name.to_owned(), receiver);
            }
        });
    }

    /// Records that whatever is behind this URL is well. That of which this daemon does not know that it was away may have
    /// been away when the former one ended.
    pub(super) fn url_well(&self, url: &str) {
        let mut state = self.lock();
        if !state.former.is_empty() {
            [receiver(url), redacted(url)].iter().for_each(|name| state.end_former(Away::Receiver, name));
        }
    }

    /// Records that this receiver is back.
    pub(super) fn receiver_well(&self, name: &str, now: Timestamp) {
        self.change(|state| state.end_receiver(name, now, None));
    }

    /// Records that nothing waits any more for the receiver at which this delivery failed last.
    pub(super) fn receiver_without_deliveries(&self, scope: Scope, last: DeliveryId, now: Timestamp) {
        self.change(|state| state.end_unseen(scope, last, now, NOTHING_WAITS));
    }

    /// Records that another daemon sends to the receiver at which this delivery failed last.
    pub(super) fn receiver_of_another(&self, scope: Scope, last: DeliveryId, now: Timestamp) {
        self.change(|state| state.end_unseen(scope, last, now, ANOTHER_SENDS));
    }

    /// Makes a change, and wakes the loop if there is something to commit or to wait for.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        let receivers = state.receivers.len();
        change(&mut state);
        if !state.unsaved.is_empty() || state.receivers.len() > receivers {
            self.0.changed.notify_one();
        }
    }

    /// Lets receivers be away that were not well soon, and returns when the next one will be.
    fn confirm(&self, now: Timestamp) -> Option<Timestamp> {
        let mut state = self.lock();
        let names: Vec<String> = state.receivers.keys().cloned().collect();
        names.iter().filter_map(|name| state.confirm_receiver(name, now)).min()
    }

    fn take_unsaved(&self) -> Vec<Outage> {
        std::mem::take(&mut self.lock().unsaved)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn begin(&mut self, what: Away, subject: &str, since: Timestamp, why: &str) {
        if self.lasting.iter().any(|outage| outage.is_of(what, subject)) {
            return;
        }
        let former = outage::take(&mut self.former, what, subject);
        let (still, since) = former.map_or(("", since), |former| ("still ", former.since));
        let outage = Outage { subject: subject.to_owned(), ..Outage::new(what, since, None, why) };
        if let Some(called) = logged(&outage) {
            tracing::error!(%since, "{called} {still}unreachable: {why}");
        }
        self.keep(outage);
    }

    fn keep(&mut self, outage: Outage) {
        self.unsaved.push(outage.clone());
        self.lasting.push(outage);
    }

    fn end(&mut self, what: Away, subject: &str, now: Timestamp) {
        self.end_former(what, subject);
        if let Some(outage) = self.take_lasting(what, subject) {
            if let Some(called) = logged(&outage) {
                tracing::info!("{called} reachable again after {}", lasted(&outage, now));
            }
            self.totals.add(&outage, now);
            self.unsaved.push(Outage { until: Some(now.max(outage.since)), ..outage });
        }
    }

    /// Notes that something is back that was away when the former daemon ended.
    fn end_former(&mut self, what: Away, subject: &str) {
        if let Some(former) = outage::take(&mut self.former, what, subject) {
            let away_until = former.until.unwrap_or(former.since);
            if let Some(called) = logged(&former) {
                tracing::info!(%away_until, "{called} reachable again; it was away when the former daemon ended");
            }
        }
    }

    fn take_lasting(&mut self, what: Away, subject: &str) -> Option<Outage> {
        let index = self.lasting.iter().position(|outage| outage.is_of(what, subject))?;
        Some(self.lasting.swap_remove(index))
    }

    /// Begins the outage of a receiver that has failed, and tells the log of it, if it is time for either. Returns when it
    /// will be.
    fn confirm_receiver(&mut self, name: &str, now: Timestamp) -> Option<Timestamp> {
        let receiver = self.receivers.get(name)?;
        let wait = match (receiver.is_away, receiver.is_told) {
            (false, _) if self.is_part_of_another(name) => return None,
            (false, _) => RECEIVER_AWAY_AFTER,
            (true, false) => RECEIVER_TOLD_AFTER,
            (true, true) => return None,
        };
        let at = backoff::after(receiver.failure.absence.since, wait);
        if at > now {
            return Some(at);
        }
        if receiver.is_away {
            self.tell_receiver(name, "", now);
        } else {
            self.begin_receiver(name, now);
        }
        self.confirm_receiver(name, now)
    }

    /// Whether the origin of this URL is away: that says it all.
    fn is_part_of_another(&self, name: &str) -> bool {
        let is_of = |origin: &str| name.strip_prefix(origin).is_some_and(|path| path.starts_with('/'));
        self.receivers.iter().any(|(other, receiver)| receiver.is_away && is_of(other))
    }

    fn begin_receiver(&mut self, name: &str, now: Timestamp) {
        let is_part = self.is_part_of_another(name);
        let Some(receiver) = self.receivers.get_mut(name).filter(|receiver| !receiver.is_away && !is_part)
        else {
            return;
        };
        receiver.is_away = true;
        let (mut since, mut told_at) = (receiver.failure.absence.since, None);
        if let Some(recent) = self.recent.remove(name) {
            told_at = recent.told_at;
            let back = recent.outage.until.map_or(Duration::MAX, |until| backoff::between(until, since));
            since = if back < RECEIVER_BACK_AFTER { recent.outage.since } else { since };
        }
        let former = outage::take(&mut self.former, Away::Receiver, name);
        let still = former.map_or("", |former| {
            since = former.since;
            "still "
        });
        receiver.told_at = told_at;
        let (subject, why) = (name.to_owned(), receiver.failure.why.clone());
        self.keep(Outage { subject, ..Outage::new(Away::Receiver, since, None, why) });
        if told_at.is_none_or(|told_at| backoff::between(told_at, now) >= RECEIVER_TOLD_EVERY) {
            self.tell_receiver(name, still, now);
        }
    }

    fn tell_receiver(&mut self, name: &str, still: &str, now: Timestamp) {
        let Some(receiver) = self.receivers.get_mut(name) else { return };
        (receiver.is_told, receiver.told_at) = (true, Some(now));
        let (since, why) = (receiver.failure.absence.since, &receiver.failure.why);
        tracing::error!(%since, "receiver {name} {still}unreachable: {why}");
    }

    /// Ends the outage of a receiver, because it is back or for the given reason.
    /// Ends the outage of the receiver at which this delivery failed last, of which nothing more will be seen for this reason.
    fn end_unseen(&mut self, scope: Scope, last: DeliveryId, now: Timestamp, reason: &str) {
        let is_it = |(_, receiver): &(&String, &Receiver)| receiver.key() == (scope, last);
        if let Some(name) = self.receivers.iter().find(is_it).map(|(name, _)| name.clone()) {
            self.end_receiver(&name, now, Some(reason));
        }
    }

    fn end_receiver(&mut self, name: &str, now: Timestamp, ended_by: Option<&str>) {
        let Some(Receiver { is_told, told_at, .. }) = self.receivers.remove(name) else { return };
        let Some(mut outage) = self.take_lasting(Away::Receiver, name) else { return };
        let text = match ended_by {
            Some(reason) => format!("receiver {name}: {reason}, after {}", lasted(&outage, now)),
            None => format!("receiver {name} reachable again after {}", lasted(&outage, now)),
        };
        if is_told {
            tracing::info!("{text}");
        }
        self.totals.add(&outage, now);
        outage.why.extend(ended_by.map(|reason| format!("; {reason}")));
        outage.until = Some(now.max(outage.since));
        self.unsaved.push(outage.clone());
        self.recent.retain(|_, recent| {
            recent.outage.until.is_some_and(|until| backoff::between(until, now) < RECEIVER_TOLD_EVERY)
        });
        if self.recent.len() < RECEIVERS_AWAY_MAX {
            self.recent.insert(name.to_owned(), Recent { outage, told_at });
        }
    }
}

fn lasted(outage: &Outage, now: Timestamp) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(backoff::between(outage.since, now).as_secs()))
}

/// Returns how the log names what was away; `None` of access, which is logged with everything else that is refused.
fn logged(outage: &Outage) -> Option<String> {
    match outage.what {
        Away::Access => None,
        Away::Backend => Some(outage.what.to_string()),
        Away::Receiver | Away::Disk | Away::Store | Away::Daemon | Away::Record => Some(outage.called()),
    }
}

/// Commits what is reported until it is stopped, and gives signs of life.
pub async fn run(
    outages: Outages,
    store: Store,
    clock: Clock,
    pulse: Pulse,
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
        failed = commit(&outages, &store, &clock, &pulse) => failed,
    }
}

async fn commit(outages: &Outages, store: &Store, clock: &Clock, pulse: &Pulse) -> Result<(), StoreError> {
    let mut room = Room::default();
    loop {
        pulse.busy();
        let unsaved = outages.take_unsaved();
        if !unsaved.is_empty() {
            store.save_outages(unsaved).await?;
        }
        let now = clock.now();
        if backoff::between(store.last_commit(), now) >= SIGN_OF_LIFE_EVERY {
            store.commit_nothing().await?;
        }
        let next = outages.confirm(now);
        let look = room.look(|| store.disk_space());
        pulse.idle();
        tokio::select! {
            () = outages.0.changed.notified() => {}
            () = clock.sleep_until(next) => {}
            () = tokio::time::sleep(SIGN_OF_LIFE_EVERY.min(look)) => {}
        }
    }
}
