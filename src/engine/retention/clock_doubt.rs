//! Nothing is deleted by a clock that has just gone far forward: a machine that believes it is 2038 would delete
//! everything. It is believed once a daemon has run for a day with it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;
use crate::domain::backoff;
use crate::domain::bounds::{ABSENCE_DOUBTED, CLOCK_DOUBTED_FOR, CLOCK_STEP_DOUBTED};
use crate::store::{FormerDaemon, Store, StoreError};

/// Compares the clock with one that nobody sets.
pub(super) struct ClockDoubt {
    wall: Timestamp,
    since_boot: Duration,
    /// For how much longer the clock is not believed. It is stored, since a restart does not set a clock right.
    left: Duration,
}

/// Doubts the clock if the last sign of life of the former daemon is very long ago.
pub async fn doubt_after_absence(
    store: &Store,
    clock: &Clock,
    former: Option<FormerDaemon>,
) -> Result<(), StoreError> {
    let Some(former) = former else { return Ok(()) };
    let away = backoff::between(former.seen_at, clock.now());
    if away > ABSENCE_DOUBTED { begin(store, away).await } else { Ok(()) }
}

async fn begin(store: &Store, forward: Duration) -> Result<(), StoreError> {
    let forward = humantime::format_duration(Duration::from_secs(forward.as_secs()));
    let doubted_for = humantime::format_duration(CLOCK_DOUBTED_FOR);
    tracing::warn!(
        %forward,
        "deletion of old history paused: the clock went far forward; it goes on once the daemon has run for {doubted_for}"
    );
    store.doubt_clock_for(CLOCK_DOUBTED_FOR).await
}

impl ClockDoubt {
    pub(super) async fn begin(store: &Store, clock: &Clock) -> Result<Self, StoreError> {
        let left = store.clock_doubted_for().await?;
        Ok(Self { wall: clock.now(), since_boot: clock.since_boot(), left })
    }

    /// Returns for how much longer the clock is not believed, as of now.
    pub(super) async fn look(&mut self, store: &Store, clock: &Clock) -> Result<Duration, StoreError> {
        let (wall, since_boot) = (clock.now(), clock.since_boot());
        let ran = since_boot.saturating_sub(self.since_boot);
        let passed = SignedDuration::try_from(ran).unwrap_or(SignedDuration::MAX);
        let step = wall.duration_since(self.wall).saturating_sub(passed);
        (self.wall, self.since_boot) = (wall, since_boot);
        if step.is_positive() && step.unsigned_abs() > CLOCK_STEP_DOUBTED {
            begin(store, step.unsigned_abs()).await?;
            self.left = CLOCK_DOUBTED_FOR;
        } else if !self.left.is_zero() {
            self.left = self.left.saturating_sub(ran);
            store.doubt_clock_for(self.left).await?;
            if self.left.is_zero() {
                tracing::info!("deletion of old history goes on");
            }
        }
        Ok(self.left)
    }
}
