//! Watches the clock while the runner sleeps. A step of the wall clock, a process that stood still, and new rules of time
//! zones each change what is due, and what is late must know why before it is planned.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::{Clock, Deadline, StepWatch};
use crate::domain::bounds::{CLOCK_EARLIEST, CLOCK_STEP_MIN, ON_TIME_WITHIN, ZONES_CHECKED_EVERY};
use crate::domain::outage::{Away, Outage};
use crate::engine::Wakes;
use crate::store::{FormerDaemon, NewNotice, NoticeKind, Store, StoreError};

pub(super) struct ClockWatch {
    store: Store,
    clock: Clock,
    wakes: Wakes,
    steps: StepWatch,
    zones_due: Deadline,
}

impl ClockWatch {
    /// Begins to watch. Zone rules may have changed since the former daemon.
    pub(super) async fn begin(store: Store, clock: Clock, wakes: Wakes) -> Result<Self, StoreError> {
        store.replan_if_zones_changed().await?;
        store.replan_ended().await?;
        let steps = StepWatch::begin(&clock);
        let zones_due = clock.deadline(clock.now(), ZONES_CHECKED_EVERY);
        Ok(Self { store, clock, wakes, steps, zones_due })
    }

    /// Looks at the clock after a sleep that was meant to take a second at most, and returns whether something else may be
    /// due now.
    pub(super) async fn look(&mut self, slept: Duration) -> Result<bool, StoreError> {
        let stood_still = slept > ON_TIME_WITHIN;
        if stood_still {
            self.stood_still(slept).await?;
        }
        let step = self.steps.check(&self.clock);
        if let Some(step) = step {
            self.clock_stepped(step).await?;
        }
        let zones_changed = self.clock.is_past(self.zones_due) && {
            self.zones_due = self.clock.deadline(self.clock.now(), ZONES_CHECKED_EVERY);
            self.store.replan_if_zones_changed().await?
        };
        Ok(stood_still || step.is_some() || zones_changed)
    }

    /// Handles a step of the wall clock. After a step forward, the catch-up policies decide about the occurrences
    /// that were passed over. After a step back, nothing fires twice, and what waits does not wait longer because
    /// of it.
    async fn clock_stepped(&self, step: SignedDuration) -> Result<(), StoreError> {
        let Self { store, clock, wakes, .. } = self;
        let now = clock.now();
        let message = step_text(step);
        tracing::warn!(%now, step = message, "clock stepped; it was set, or the machine slept");
        store.notice(now, NoticeKind::ClockStep, Some(NewNotice::single(message))).await?;
        if step.is_negative() {
            store.clock_set_back(now, step).await?;
        } else {
            was_down(store, now, step.unsigned_abs(), "the clock was set forward, or the machine was asleep")
                .await?;
        }
        for wake in [&wakes.courier, &wakes.janitor] {
            wake.notify_one();
        }
        Ok(())
    }

    /// Handles that this process has not run for a while.
    async fn stood_still(&self, length: Duration) -> Result<(), StoreError> {
        let Self { store, clock, .. } = self;
        let length_shown = humantime::format_duration(Duration::from_secs(length.as_secs()));
        tracing::warn!(
            "the daemon stood still for {length_shown}: it was frozen, or the machine was too busy"
        );
        was_down(store, clock.now(), length, "it stood still: it was frozen, or the machine was too busy")
            .await
    }
}

/// Records the time until now as an outage of the daemon.
async fn was_down(store: &Store, now: Timestamp, length: Duration, why: &str) -> Result<(), StoreError> {
    let since = now.saturating_sub(length).unwrap_or(now);
    store.save_outages(vec![Outage::new(Away::Daemon, since, Some(now), why)]).await
}

/// Handles a step back that happened while no daemon was running: a former one has stored a later time than `clock` shows.
/// This must happen before anything is planned.
pub async fn find_step_while_down(
    store: &Store,
    clock: &Clock,
    former: Option<FormerDaemon>,
) -> Result<(), StoreError> {
    let now = clock.now();
    if now < CLOCK_EARLIEST {
        // The clock has not been set yet, and will go forward.
        return Ok(());
    }
    let Some(latest) = former.map(|former| former.seen_at).filter(|latest| *latest > now) else {
        return Ok(());
    };
    let step = now.duration_since(latest);
    store.clock_set_back(now, step).await?;
    if step.unsigned_abs() >= CLOCK_STEP_MIN {
        let message = format!("{} or more, while no daemon was running", step_text(step));
        tracing::warn!(%now, step = message, "clock stepped; it was set");
        store.notice(now, NoticeKind::ClockStep, Some(NewNotice::single(message))).await?;
    }
    Ok(())
}

/// Returns a step as text, such as `+3h 0m` or `-10m 0s`.
fn step_text(step: SignedDuration) -> String {
    let sign = if step.is_negative() { '-' } else { '+' };
    let seconds = step.unsigned_abs().as_secs();
    match seconds {
        0..60 => format!("{sign}{seconds}s"),
        60..3600 => format!("{sign}{}m {}s", seconds / 60, seconds % 60),
        _ => format!("{sign}{}h {}m", seconds / 3600, seconds / 60 % 60),
    }
}
