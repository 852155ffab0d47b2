//! Time as a capability: the only place that asks what time it is, and the only one that sleeps until an instant.
//!
//! One struct, two sources: the system's wall clock, and a simulated one that follows tokio's time (which a test
//! pauses) plus an offset that the test may step, as an administrator steps a real clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

use crate::domain::backoff;
use crate::domain::bounds::{CLOCK_STEP_MIN, SLEEP_MAX};

/// Tells the time and sleeps until instants.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    System,
    Simulated { epoch: Timestamp, started: tokio::time::Instant, offset_ms: Arc<AtomicI64> },
}

impl Clock {
    /// The wall clock of the operating system.
    pub fn system() -> Self {
        Self { source: Source::System }
    }

    /// A clock that stands at `epoch` now and goes on with tokio's time.
    pub fn simulated(epoch: Timestamp) -> Self {
        Self {
            source: Source::Simulated {
                epoch,
                started: tokio::time::Instant::now(),
                offset_ms: Arc::new(AtomicI64::new(0)),
            },
        }
    }

    /// The wall-clock time, to the millisecond: what the store keeps is what everybody sees.
    pub fn now(&self) -> Timestamp {
        let now = match &self.source {
            Source::System => system_now(),
            Source::Simulated { epoch, started, offset_ms } => {
                let elapsed = SignedDuration::try_from(started.elapsed()).unwrap_or(SignedDuration::MAX);
                let offset = SignedDuration::from_millis(offset_ms.load(Ordering::SeqCst));
                epoch.saturating_add(elapsed.saturating_add(offset)).unwrap_or(Timestamp::MAX)
            }
        };
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// Steps a simulated clock forward or back; the system's clock is not ours to set.
    pub fn step(&self, by: SignedDuration) {
        match &self.source {
            Source::System => {}
            Source::Simulated { offset_ms, .. } => {
                let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
                offset_ms.fetch_add(by, Ordering::SeqCst);
            }
        }
    }

    /// Sleeps until the wall clock shows `at`; forever if there is no such instant.
    ///
    /// It sleeps a second at most, then reads the wall clock again: tokio's timers neither see a step of the clock
    /// nor count the time of a suspend.
    pub async fn sleep_until(&self, at: Option<Timestamp>) {
        let Some(at) = at else { return std::future::pending().await };
        loop {
            let left = backoff::between(self.now(), at);
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(SLEEP_MAX)).await;
        }
    }
}

/// Sees steps of the wall clock, by a clock beside it that nobody can set.
#[derive(Debug)]
pub struct StepWatch {
    wall: Timestamp,
    beside: tokio::time::Instant,
}

impl StepWatch {
    /// Begins to watch.
    pub fn begin(clock: &Clock) -> Self {
        Self { wall: clock.now(), beside: tokio::time::Instant::now() }
    }

    /// How far the wall clock was set since the last look, if it was; a machine that slept looks the same. Slow
    /// drifts are no steps.
    pub fn check(&mut self, clock: &Clock) -> Option<SignedDuration> {
        let now = Self::begin(clock);
        let passed = SignedDuration::try_from(now.beside.duration_since(self.beside)).ok()?;
        let step = now.wall.duration_since(self.wall).saturating_sub(passed);
        *self = now;
        (step.unsigned_abs() >= CLOCK_STEP_MIN).then_some(step)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that asks the operating system")]
fn system_now() -> Timestamp {
    Timestamp::now()
}
