//! Signs of life of the loops: each says when it is busy and when it waits for something to do. A loop that is busy for too long
//! is stuck.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The sign of life of one loop. It is cheap to clone.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Beat>);

#[derive(Debug)]
struct Beat {
    name: &'static str,
    /// `None` while it waits for something to do.
    busy: Mutex<Option<Busy>>,
}

#[derive(Clone, Copy, Debug)]
struct Busy {
    since: Instant,
    /// How long that may take, if not as long as everything.
    at_most: Option<Duration>,
}

/// The pulses that are watched. It is cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Pulses(Arc<Mutex<Watched>>);

#[derive(Debug, Default)]
struct Watched {
    pulses: Vec<Pulse>,
    stuck: Vec<StuckLoop>,
}

/// A loop that has been busy for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StuckLoop {
    pub name: &'static str,
    pub since: Instant,
}

impl Pulse {
    /// Returns the pulse of a loop that waits.
    pub fn new(name: &'static str) -> Self {
        Self(Arc::new(Beat { name, busy: Mutex::new(None) }))
    }

    /// The loop begins something, or goes on to the next thing. What waits for others has a timeout of its own, and is left out.
    pub fn busy(&self) {
        self.set(Some(Busy { since: Instant::now(), at_most: None }));
    }

    /// The loop begins something that may take this long.
    pub fn busy_at_most(&self, at_most: Duration) {
        self.set(Some(Busy { since: Instant::now(), at_most: Some(at_most) }));
    }

    /// The loop waits for something to do, or for somebody else.
    pub fn idle(&self) {
        self.set(None);
    }

    fn set(&self, busy: Option<Busy>) {
        *self.0.busy.lock().unwrap_or_else(PoisonError::into_inner) = busy;
    }

    /// Returns since when it is stuck, if it is; nothing counts that was before `forgiven`.
    fn stuck_since(&self, patience: Duration, forgiven: Instant, now: Instant) -> Option<Instant> {
        let busy = (*self.0.busy.lock().unwrap_or_else(PoisonError::into_inner))?;
        let counted = now.saturating_duration_since(busy.since.max(forgiven));
        (counted > busy.at_most.unwrap_or(patience).max(patience)).then_some(busy.since)
    }
}

impl Pulses {
    /// Watches a new pulse of this name and returns it.
    pub fn of_loop(&self, name: &'static str) -> Pulse {
        let pulse = Pulse::new(name);
        self.watch(pulse.clone());
        pulse
    }

    pub fn watch(&self, pulse: Pulse) {
        self.lock().pulses.push(pulse);
    }

    /// Looks for loops that have been busy for longer than `patience`, and returns them. What was before `forgiven` does not
    /// count.
    pub fn look(&self, patience: Duration, forgiven: Instant, now: Instant) -> Vec<StuckLoop> {
        let mut watched = self.lock();
        let stuck = watched.pulses.iter().filter_map(|pulse| {
            Some(StuckLoop { name: pulse.0.name, since: pulse.stuck_since(patience, forgiven, now)? })
        });
        let stuck: Vec<StuckLoop> = stuck.collect();
        watched.stuck.clone_from(&stuck);
        stuck
    }

    /// Returns the loops that were stuck at the last look.
    pub fn stuck(&self) -> Vec<StuckLoop> {
        self.lock().stuck.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_is_stuck_if_it_has_been_busy_for_too_long_and_nobody_is_excused() {
        let pulses = Pulses::default();
        let [quick, long, waiting] = ["quick", "long", "waiting"].map(|name| pulses.of_loop(name));
        let began = Instant::now();
        let patience = Duration::from_secs(10);
        let stuck = |forgiven: Instant| -> Vec<&str> {
            pulses.look(patience, forgiven, Instant::now()).iter().map(|stuck| stuck.name).collect()
        };
        quick.busy();
        long.busy_at_most(Duration::from_secs(60));
        waiting.busy();
        waiting.idle();
        tokio::time::advance(patience).await;
        assert_eq!(stuck(began), Vec::<&str>::new());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(stuck(began), ["quick"]);
        assert_eq!(pulses.stuck(), [StuckLoop { name: "quick", since: began }]);
        // What lies before a full disk, a sleep of the machine or a stop is forgiven.
        assert_eq!(stuck(Instant::now()), Vec::<&str>::new());
        assert_eq!(pulses.stuck(), []);
        quick.busy();
        tokio::time::advance(patience).await;
        assert_eq!(stuck(began), Vec::<&str>::new());
        tokio::time::advance(Duration::from_secs(50)).await;
        assert_eq!(stuck(began), ["quick", "long"]);
    }
}
