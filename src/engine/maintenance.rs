//! Housekeeping of the store, scheduled by a library. Nothing here is urgent, and nothing of the user's depends
//! on it. In a measurement that library lost a third of 10 000 simultaneous firings, so it must not fire the
//! user's crons.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::bounds::{CHECKPOINT_EVERY, HOUSEKEEPING_WITHIN};
use crate::pulse::Pulse;
use crate::store::{Store, StoreError};

/// Once an hour, at an odd minute, when other jobs on the machine are rarely started.
const HOURLY: &str = "0 41 * * * *";

/// What maintenance needs.
pub struct Maintenance {
    pub store: Store,
    pub clock: Clock,
}

/// Does the housekeeping until it is stopped.
pub async fn run(maintenance: Maintenance, pulse: Pulse, stop: CancellationToken) -> Result<(), StoreError> {
    let due = Arc::new(Notify::new());
    // Without housekeeping the store still works; it only grows a little.
    let calendar = match calendar(Arc::clone(&due)).await {
        Ok(calendar) => Some(calendar),
        Err(error) => {
            tracing::error!(%error, "housekeeping not scheduled; there is none until the next start");
            None
        }
    };
    let mut checkpointed = maintenance.clock.now();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = due.notified() => {
                pulse.busy_at_most(HOUSEKEEPING_WITHIN);
                maintenance.store.housekeeping(maintenance.clock.now()).await?;
                pulse.idle();
            }
            () = tokio::time::sleep(CHECKPOINT_EVERY) => {
                if maintenance.store.last_commit() >= checkpointed {
                    checkpointed = maintenance.clock.now();
                    maintenance.store.checkpoint().await;
                }
            }
        }
    }
    if let Some(mut calendar) = calendar
        && let Err(error) = calendar.shutdown().await
    {
        tracing::debug!(%error, "housekeeping calendar not stopped cleanly");
    }
    Ok(())
}

async fn calendar(due: Arc<Notify>) -> Result<JobScheduler, JobSchedulerError> {
    let calendar = JobScheduler::new().await?;
    let wake = move |_id, _calendar| {
        due.notify_one();
    };
    calendar.add(Job::new(HOURLY, wake)?).await?;
    calendar.start().await?;
    Ok(calendar)
}
