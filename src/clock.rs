//! Time as a capability: the only place that reads the time, and the only one that sleeps until an instant.
//!
//! A clock has one of two sources: the system's wall clock, or a simulated one. The simulated clock follows
//! tokio's time, which a test can pause, plus an offset that the test can step as an administrator steps a
//! real clock.
//!
//! Where several daemons share a store on a server, the clock of the server is the clock of all. It is followed by the time since
//! boot, so that nobody notices if the clock of this machine is set.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::domain::backoff;
use crate::domain::bounds::{CLOCK_STEP_MIN, SLEEP_MAX};

/// Reads the time and sleeps until instants.
#[derive(Clone, Debug)]
pub struct Clock {
    source: TimeSource,
}

#[derive(Clone, Debug)]
enum TimeSource {
    System {
        /// By how many microseconds the clock of a server is ahead of the time since boot; [`NO_SERVER`] if none is followed.
        server: Arc<AtomicI64>,
    },
    Simulated {
        epoch: Timestamp,
        started: tokio::time::Instant,
        offset_ms: Arc<AtomicI64>,
    },
}

const NO_SERVER: i64 = i64::MIN;

impl Clock {
    /// Returns the wall clock of the operating system.
    pub fn system() -> Self {
        Self { source: TimeSource::System { server: Arc::new(AtomicI64::new(NO_SERVER)) } }
    }

    /// Follows a server's clock from now on, which is ahead of the time since boot by this many microseconds. A simulated clock
    /// is everybody's already.
    pub fn follow(&self, ahead: i64) {
        match &self.source {
            TimeSource::System { server } => server.store(ahead, Ordering::Relaxed),
            TimeSource::Simulated { .. } => {}
        }
    }

    /// Returns a clock that shows `epoch` now and advances with tokio's time.
    pub fn simulated(epoch: Timestamp) -> Self {
        Self {
            source: TimeSource::Simulated {
                epoch,
                started: tokio::time::Instant::now(),
                offset_ms: Arc::new(AtomicI64::new(0)),
            },
        }
    }

    /// Returns the wall-clock time to the millisecond, which is the precision of the store, so that an
    /// instant in memory and the same instant read back are equal.
    pub fn now(&self) -> Timestamp {
        let now = match &self.source {
            TimeSource::System { server } => match server.load(Ordering::Relaxed) {
                NO_SERVER => system_now(),
                ahead => after_boot(system_since_boot(), ahead),
            },
            TimeSource::Simulated { epoch, started, offset_ms } => {
                let elapsed = SignedDuration::try_from(started.elapsed()).unwrap_or(SignedDuration::MAX);
                let offset = SignedDuration::from_millis(offset_ms.load(Ordering::SeqCst));
                epoch.saturating_add(elapsed.saturating_add(offset)).unwrap_or(Timestamp::MAX)
            }
        };
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// Returns the time since an arbitrary instant by a clock that nobody sets, and that counts while the machine is suspended.
    pub fn since_boot(&self) -> Duration {
        match &self.source {
            TimeSource::System { .. } => system_since_boot(),
            TimeSource::Simulated { started, .. } => started.elapsed(),
        }
    }

    /// Steps a simulated clock forward or back. It does nothing to the system's clock.
    pub fn step(&self, by: SignedDuration) {
        match &self.source {
            TimeSource::System { .. } => {}
            TimeSource::Simulated { offset_ms, .. } => {
                let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
                offset_ms.fetch_add(by, Ordering::SeqCst);
            }
        }
    }

    /// Sleeps until the wall clock shows `at`, or forever if that is `None`.
    ///
    /// It sleeps for at most a second before it reads the wall clock again, because tokio's timers neither
    /// notice a step of the clock nor count the time that the machine was suspended.
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

/// The end of a wait that began at an instant. A clock that is set back does not put it off: by a clock that cannot be
/// set, it comes after the length of the wait at the latest.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    wall: Timestamp,
    monotonic: tokio::time::Instant,
}

impl Clock {
    /// Returns the end of a wait of this length that began at `from`.
    pub fn deadline(&self, from: Timestamp, length: Duration) -> Deadline {
        let wall = backoff::after(from, length);
        let left = backoff::between(self.now(), wall).min(length);
        let now = tokio::time::Instant::now();
        // A wait that no clock can show is as good as endless.
        Deadline {
            wall,
            monotonic: now.checked_add(left).unwrap_or(now + Duration::from_secs(u32::MAX.into())),
        }
    }

    /// Returns whether the deadline has passed.
    pub fn is_past(&self, deadline: Deadline) -> bool {
        self.now() >= deadline.wall || tokio::time::Instant::now() >= deadline.monotonic
    }

    /// Sleeps until the deadline has passed, or forever if that is `None`.
    pub async fn sleep_until_past(&self, deadline: Option<Deadline>) {
        tokio::select! {
            () = self.sleep_until(deadline.map(|deadline| deadline.wall)) => {}
            () = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline.monotonic).await,
                    None => std::future::pending().await,
                }
            } => {}
        }
    }
}

/// Detects steps of the wall clock by comparing it with a monotonic clock.
#[derive(Debug)]
pub struct StepWatch {
    wall: Timestamp,
    monotonic: tokio::time::Instant,
}

impl StepWatch {
    pub fn begin(clock: &Clock) -> Self {
        Self { wall: clock.now(), monotonic: tokio::time::Instant::now() }
    }

    /// Returns how far the wall clock was stepped since the last check, if it was. A suspended machine looks
    /// the same as a step forward. A slow drift does not count as a step.
    pub fn check(&mut self, clock: &Clock) -> Option<SignedDuration> {
        let now = Self::begin(clock);
        let passed = SignedDuration::try_from(now.monotonic.duration_since(self.monotonic)).ok()?;
        let step = now.wall.duration_since(self.wall).saturating_sub(passed);
        *self = now;
        (step.unsigned_abs() >= CLOCK_STEP_MIN).then_some(step)
    }
}

/// Returns what a clock shows that is ahead of the time since boot by this many microseconds.
fn after_boot(since_boot: Duration, ahead: i64) -> Timestamp {
    let micros = i64::try_from(since_boot.as_micros()).unwrap_or(i64::MAX).saturating_add(ahead);
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}

fn system_since_boot() -> Duration {
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    Duration::try_from(rustix::time::clock_gettime(clock)).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that asks the operating system")]
fn system_now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_followed_however_the_clock_of_this_machine_is_set() {
        let clock = Clock::system();
        let server: Timestamp = "2030-01-02T03:04:05Z".parse().unwrap();
        let micros = i64::try_from(clock.since_boot().as_micros()).unwrap();
        clock.follow(server.as_microsecond() - micros);
        let passed = clock.clone().now().duration_since(server);
        assert!((0..60).contains(&passed.as_secs()), "{passed}");
    }
}
