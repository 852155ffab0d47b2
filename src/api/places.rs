//! The places of connections. A connection is a stranger until one of its requests is accepted. Strangers have places of their
//! own, and the oldest of them makes room for the next: however many they are, a client with a key gets in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// How many connections one listener has at once.
#[derive(Clone, Copy)]
pub(super) struct PlaceLimits {
    pub(super) strangers: usize,
    /// Connections with a request that was accepted.
    pub(super) known: usize,
}

impl PlaceLimits {
    pub(super) fn total(self) -> usize {
        self.strangers + self.known
    }
}

/// The places of one listener.
#[derive(Clone)]
pub(super) struct Places(Arc<Mutex<Table>>);

/// The place of one connection, which it gives up when this is dropped.
pub(super) struct Place {
    handle: PlaceHandle,
    evicted: CancellationToken,
}

/// Tells the place of a connection how far its request is. It does nothing once the connection has ended.
#[derive(Clone)]
pub(super) struct PlaceHandle {
    places: Places,
    id: u64,
}

/// All places for connections with accepted requests are taken and busy, or the connection has just lost its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Places {
    pub(super) fn new(limits: PlaceLimits) -> Self {
        Self(Arc::new(Mutex::new(Table::new(limits))))
    }

    /// Returns a place for a new connection. A stranger is dropped if there is none left.
    pub(super) fn enter(&self, address: Option<IpAddr>) -> Place {
        let evicted = CancellationToken::new();
        let (id, dropped) = self.lock().enter(Origin::of(address), evicted.clone());
        end(dropped);
        Place { handle: PlaceHandle { places: self.clone(), id }, evicted }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // A panic under the lock cannot leave the table half changed, so a poisoned lock is usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a connection that has to make room.
fn end(dropped: Option<CancellationToken>) {
    if let Some(dropped) = dropped {
        dropped.cancel();
        tracing::warn!(hourly = "", "connections without a request dropped to make room for others");
    }
}

impl Place {
    pub(super) fn handle(&self) -> PlaceHandle {
        self.handle.clone()
    }

    /// Returns once this connection must make room for another.
    pub(super) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }

    pub(super) fn is_stranger(&self) -> bool {
        !self.handle.places.lock().known.contains_key(&self.handle.id)
    }

    /// Whether there is a request that has arrived as a whole, or whose response has begun, and that is not yet answered.
    pub(super) fn has_whole_request(&self) -> bool {
        let progress = self.handle.places.lock().known.get(&self.handle.id).map(|known| known.progress);
        match progress {
            Some(Progress::Acting | Progress::Answered) => true,
            Some(Progress::Receiving | Progress::Waiting) | None => false,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.handle.places.lock().leave(self.handle.id);
    }
}

impl PlaceHandle {
    /// Gives the connection one of the places of those with an accepted request. If there is none left, the connection is
    /// dropped that has waited longest for its next request, or for more of one.
    pub(super) fn accept(&self) -> Result<RequestInProgress, Full> {
        let dropped = self.places.lock().accept(self.id)?;
        end(dropped);
        Ok(RequestInProgress(self.clone()))
    }

    /// The request is whole: it is acted upon even if the daemon stops.
    pub(super) fn act(&self) {
        self.places.lock().advance(self.id, Progress::Acting);
    }

    /// All that was to be written to the client is written.
    pub(super) fn flushed(&self) {
        self.places.lock().advance(self.id, Progress::Waiting);
    }
}

/// An accepted request, until its response has been handed over for writing.
pub(super) struct RequestInProgress(PlaceHandle);

impl RequestInProgress {
    pub(super) fn place(&self) -> &PlaceHandle {
        &self.0
    }
}

impl Drop for RequestInProgress {
    fn drop(&mut self) {
        self.0.places.lock().advance(self.0.id, Progress::Answered);
    }
}

/// How far the client of a connection is with its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    /// The next request has not been accepted.
    Waiting,
    /// The body of the request is still arriving.
    Receiving,
    /// The request is whole, or its response has begun.
    Acting,
    /// The response is complete but perhaps not yet written.
    Answered,
}

/// Where a connection comes from: a client has one IPv4 address, but a whole network of IPv6 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Origin(Option<IpAddr>);

impl Origin {
    fn of(address: Option<IpAddr>) -> Self {
        Self(address.map(|address| match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        }))
    }
}

struct Table {
    limits: PlaceLimits,
    next: u64,
    /// By origin and, because ids grow, by age.
    strangers: BTreeMap<Origin, BTreeSet<u64>>,
    stranger_of: BTreeMap<u64, (Origin, CancellationToken)>,
    known: BTreeMap<u64, Known>,
}

struct Known {
    progress: Progress,
    /// Grows with the time since which it is so.
    since: u64,
    evicted: CancellationToken,
}

impl Table {
    fn new(limits: PlaceLimits) -> Self {
        let (strangers, stranger_of, known) = Default::default();
        Self { limits, next: 0, strangers, stranger_of, known }
    }

    /// Returns the id of the new stranger, and the connection that it takes the place of.
    fn enter(&mut self, origin: Origin, evicted: CancellationToken) -> (u64, Option<CancellationToken>) {
        let dropped = match self.stranger_of.len() >= self.limits.strangers {
            true => self.oldest_stranger().and_then(|id| self.leave(id)),
            false => None,
        };
        let id = self.next();
        self.strangers.entry(origin).or_default().insert(id);
        self.stranger_of.insert(id, (origin, evicted));
        (id, dropped)
    }

    /// Returns the oldest stranger of the origin that has most of them, so that one origin cannot push out the others.
    fn oldest_stranger(&self) -> Option<u64> {
        self.strangers.values().max_by_key(|ids| ids.len())?.first().copied()
    }

    /// Marks the beginning of an accepted request, and returns the connection that must make room for it.
    fn accept(&mut self, id: u64) -> Result<Option<CancellationToken>, Full> {
        let since = self.next();
        if let Some(known) = self.known.get_mut(&id) {
            (known.progress, known.since) = (Progress::Receiving, since);
            return Ok(None);
        }
        if !self.stranger_of.contains_key(&id) {
            return Err(Full);
        }
        let dropped = match self.known.len() >= self.limits.known {
            true => self.least_busy().ok_or(Full).map(|id| self.leave(id))?,
            false => None,
        };
        if let Some(evicted) = self.leave(id) {
            self.known.insert(id, Known { progress: Progress::Receiving, since, evicted });
        }
        Ok(dropped)
    }

    /// Returns the connection that has waited longest for its next request, or else for more of its request.
    fn least_busy(&self) -> Option<u64> {
        let idle = self.known.iter().filter(|(_, known)| known.progress <= Progress::Receiving);
        idle.min_by_key(|(_, known)| (known.progress, known.since)).map(|(id, _)| *id)
    }

    /// Takes the connection to the step that follows its present one; what comes late from a former request is ignored.
    fn advance(&mut self, id: u64, to: Progress) {
        let since = self.next();
        let Some(known) = self.known.get_mut(&id) else { return };
        let follows = match to {
            Progress::Receiving => false,
            Progress::Acting => known.progress == Progress::Receiving,
            Progress::Answered => known.progress != Progress::Waiting,
            Progress::Waiting => known.progress == Progress::Answered,
        };
        if follows {
            (known.progress, known.since) = (to, since);
        }
    }

    fn leave(&mut self, id: u64) -> Option<CancellationToken> {
        if let Some(known) = self.known.remove(&id) {
            return Some(known.evicted);
        }
        let (origin, evicted) = self.stranger_of.remove(&id)?;
        if let Some(ids) = self.strangers.get_mut(&origin) {
            ids.remove(&id);
            if ids.is_empty() {
                self.strangers.remove(&origin);
            }
        }
        Some(evicted)
    }

    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(strangers: usize, known: usize) -> Places {
        Places::new(PlaceLimits { strangers, known })
    }

    fn from(address: &str) -> Option<IpAddr> {
        Some(address.parse().unwrap())
    }

    fn which_are_left(connections: &[&Place]) -> Vec<bool> {
        connections.iter().map(|place| !place.evicted.is_cancelled()).collect()
    }

    #[test]
    fn the_oldest_stranger_makes_room_and_an_accepted_connection_does_not() {
        let places = places(2, 2);
        let known = places.enter(None);
        drop(known.handle().accept().unwrap());
        let [first, second, third] = [(); 3].map(|()| places.enter(None));
        assert_eq!(which_are_left(&[&known, &first, &second, &third]), [true, false, true, true]);
        assert!(!known.is_stranger() && second.is_stranger());
        drop(second);
        let fourth = places.enter(None);
        assert_eq!(which_are_left(&[&known, &third, &fourth]), [true, true, true]);
    }

    #[test]
    fn an_origin_pushes_out_its_own_strangers_first() {
        let places = places(3, 1);
        let other = places.enter(from("192.0.2.1"));
        let flood =
            ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4"].map(|ip| places.enter(from(ip)));
        let [a, b, c, d] = &flood;
        assert_eq!(which_are_left(&[&other, a, b, c, d]), [true, false, false, true, true]);
        // The same address, as a socket for both families shows it.
        assert_eq!(Origin::of(from("::ffff:192.0.2.1")), Origin::of(from("192.0.2.1")));
    }

    #[test]
    fn the_connection_that_has_waited_longest_makes_room_for_an_accepted_request() {
        let places = places(9, 2);
        let [busy, idle, late, later] = [(); 4].map(|()| places.enter(None));
        let in_progress = busy.handle().accept().unwrap();
        busy.handle().act();
        drop(idle.handle().accept().unwrap());
        // Its response may not be written yet.
        assert_eq!(late.handle().accept().err(), Some(Full));
        idle.handle().flushed();
        let also_busy = late.handle().accept().unwrap();
        assert_eq!(which_are_left(&[&busy, &idle, &late]), [true, false, true]);
        late.handle().act();
        assert_eq!(later.handle().accept().err(), Some(Full));
        assert!(later.is_stranger() && !busy.evicted.is_cancelled());
        drop((in_progress, also_busy));
    }

    #[test]
    fn a_body_that_does_not_arrive_makes_room_as_well() {
        let places = places(9, 2);
        let [first, second, third] = [(); 3].map(|()| places.enter(None));
        let in_progress = [&first, &second, &third].map(|place| place.handle().accept().unwrap());
        assert_eq!(which_are_left(&[&first, &second, &third]), [false, true, true]);
        drop(in_progress);
    }

    #[test]
    fn a_request_is_whole_from_its_last_byte_until_its_response_is_written() {
        let places = places(1, 1);
        let place = places.enter(None);
        let handle = place.handle();
        assert!(!place.has_whole_request());
        let in_progress = handle.accept().unwrap();
        assert!(!place.has_whole_request(), "its body is arriving");
        handle.flushed();
        handle.act();
        handle.flushed();
        assert!(place.has_whole_request());
        drop(in_progress);
        assert!(place.has_whole_request(), "its response may not be written yet");
        handle.flushed();
        assert!(!place.has_whole_request());
    }
}
