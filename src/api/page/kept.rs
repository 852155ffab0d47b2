//! What costs much to find out, kept for a moment for all who look.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::v1;
use crate::api::viewer::Viewer;
use crate::api::wire::{Report, StatusReport};
use crate::domain::bounds::{
    PAGE_HOURS_KEPT_FOR, PAGE_KEPT_AT_MOST, PAGE_KEPT_FOR, PAGE_KEPT_TIMES, PAGE_KEYS_KEPT,
    PAGE_RECEIVERS_KEPT_FOR,
};
use crate::domain::run::Status;
use crate::domain::tally::TallyUnit;
use crate::store::{ComingByHour, Receivers};

/// What was found out, for which key, and until when that counts.
struct Found<K, T> {
    key: K,
    until: Instant,
    value: Arc<T>,
}

type Place<K, T> = Mutex<Vec<Found<K, T>>>;

/// What pages share. It is cheap to clone.
#[derive(Clone, Default)]
pub struct Kept(Arc<Places>);

#[derive(Default)]
struct Places {
    /// The state of the daemon as it was within the last second, by what its viewer may see.
    status: [Place<(), StatusReport>; 2],
    report: Place<(TallyUnit, i64), Report>,
    day: Place<i64, Day>,
    receivers: Place<(), Receivers>,
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
    /// Returns the state, as it was within the last second.
    pub(super) async fn status(&self, api: &Api, viewer: Viewer) -> Result<Arc<StatusReport>, ErrorResponse> {
        let place = match viewer {
            Viewer::OfEverything => 0,
            Viewer::OfStates => 1,
        };
        let find = async |()| v1::status::report(api, viewer).await;
        kept(&self.0.status[place], (), PAGE_KEPT_FOR, find).await
    }

    /// Returns what happened since then. It names nothing that needs somebody, since that depends on who looks.
    pub(super) async fn report(
        &self,
        api: &Api,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Arc<Report>, ErrorResponse> {
        let unit = TallyUnit::since(since, now);
        let find = async |_| {
            Ok(api.store.read(move |reader| Report::read(reader, Vec::new(), since, false, now)).await?)
        };
        // It counts from the beginning of an hour or a day.
        kept(&self.0.report, (unit, unit.number(since)), PAGE_KEPT_FOR, find).await
    }

    /// Returns the receivers of webhooks, as they were within the last seconds.
    pub(super) async fn receivers(&self, api: &Api) -> Result<Arc<Receivers>, ErrorResponse> {
        let now = api.clock.now();
        let find = async |()| Ok(api.store.read(move |reader| reader.receivers(now)).await?);
        kept(&self.0.receivers, (), PAGE_RECEIVERS_KEPT_FOR, find).await
    }

    /// Returns the hours around now.
    pub(super) async fn day(&self, api: &Api, now: Timestamp) -> Result<Arc<Day>, ErrorResponse> {
        let find = async |hour| {
            let ended =
                api.store.read(move |reader| reader.ended_by_hour(hour - HOURS + 1, hour - 1)).await?;
            let coming = api.store.coming_by_hour(now, HOURS).await?;
            Ok(Day { hour, ended, coming })
        };
        kept(&self.0.day, TallyUnit::Hour.number(now), PAGE_HOURS_KEPT_FOR, find).await
    }
}

/// Returns what was found out for this key lately, or finds it out. Whoever asks meanwhile waits for the same answer. It is kept for
/// `least`, or longer if it took long, so that it costs a small share of a core however many look.
async fn kept<K: Clone + PartialEq, T>(
    place: &Place<K, T>,
    key: K,
    least: Duration,
    find: impl AsyncFnOnce(K) -> Result<T, ErrorResponse>,
) -> Result<Arc<T>, ErrorResponse> {
    let mut place = place.lock().await;
    place.retain(|found| Instant::now() < found.until);
    if let Some(found) = place.iter().find(|found| found.key == key) {
        return Ok(Arc::clone(&found.value));
    }
    let began = Instant::now();
    let value = Arc::new(find(key.clone()).await?);
    let lasts = least.max((began.elapsed() * PAGE_KEPT_TIMES).min(PAGE_KEPT_AT_MOST));
    place.truncate(PAGE_KEYS_KEPT - 1);
    place.push(Found { key, until: Instant::now() + lasts, value: Arc::clone(&value) });
    Ok(value)
}
