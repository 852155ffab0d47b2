//! What costs much to find out, kept for a moment for all who look.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::v1;
use crate::api::viewer::Viewer;
use crate::api::wire::StatusReport;
use crate::domain::bounds::{PAGE_HOURS_KEPT_FOR, PAGE_KEPT_FOR, PAGE_RECEIVERS_KEPT_FOR};
use crate::domain::run::Status;
use crate::domain::tally::TallyUnit;
use crate::store::{ComingByHour, Receivers, StoreError};

/// What was found out, and when.
type Place<T> = Mutex<Option<(Instant, Arc<T>)>>;

/// What pages share. It is cheap to clone.
#[derive(Clone, Default)]
pub struct Kept(Arc<Places>);

#[derive(Default)]
struct Places {
    /// The state of the daemon as it was within the last second, by what its viewer may see.
    status: [Place<StatusReport>; 2],
    day: Place<Day>,
    receivers: Place<Receivers>,
}

/// How the hours of the day before have ended, and what is scheduled in those of the next one.
pub(super) struct Day {
    /// The number of the present hour.
    pub(super) hour: i64,
    /// Without the present hour.
    pub(super) ended: Vec<(i64, Status, u64)>,
    /// `None` if there are too many crons to be counted.
    pub(super) coming: Option<ComingByHour>,
}

/// Hours on either side of now.
pub(super) const HOURS: i64 = 24;

impl Kept {
    /// Returns the state. Whoever asks meanwhile waits for the same answer.
    pub(super) async fn status(&self, api: &Api, viewer: Viewer) -> Result<Arc<StatusReport>, ErrorResponse> {
        let place = match viewer {
            Viewer::OfEverything => 0,
            Viewer::OfStates => 1,
        };
        let mut kept = self.0.status[place].lock().await;
        if let Some((at, status)) = kept.as_ref()
            && at.elapsed() < PAGE_KEPT_FOR
        {
            return Ok(Arc::clone(status));
        }
        let status = Arc::new(v1::status::report(api, viewer).await?);
        *kept = Some((Instant::now(), Arc::clone(&status)));
        Ok(status)
    }

    /// Returns the receivers of webhooks, as they were within the last seconds.
    pub(super) async fn receivers(&self, api: &Api) -> Result<Arc<Receivers>, ErrorResponse> {
        let mut kept = self.0.receivers.lock().await;
        if let Some((at, receivers)) = kept.as_ref()
            && at.elapsed() < PAGE_RECEIVERS_KEPT_FOR
        {
            return Ok(Arc::clone(receivers));
        }
        let now = api.clock.now();
        let receivers = Arc::new(api.store.read(move |reader| reader.receivers(now)).await?);
        *kept = Some((Instant::now(), Arc::clone(&receivers)));
        Ok(receivers)
    }

    /// Returns the hours around now.
    pub(super) async fn day(&self, api: &Api, now: Timestamp) -> Result<Arc<Day>, StoreError> {
        let hour = TallyUnit::Hour.number(now);
        let mut kept = self.0.day.lock().await;
        if let Some((at, day)) = kept.as_ref()
            && at.elapsed() < PAGE_HOURS_KEPT_FOR
            && day.hour == hour
        {
            return Ok(Arc::clone(day));
        }
        let ended = api.store.read(move |reader| reader.ended_by_hour(hour - HOURS + 1, hour - 1)).await?;
        let coming = api.store.coming_by_hour(now, HOURS).await?;
        let day = Arc::new(Day { hour, ended, coming });
        *kept = Some((Instant::now(), Arc::clone(&day)));
        Ok(day)
    }
}
