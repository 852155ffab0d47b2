//! What costs much to find out, kept for a moment for all who look.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::v1;
use crate::api::viewer::Viewer;
use crate::api::wire::StatusReport;
use crate::domain::bounds::{PAGE_KEPT_FOR, PAGE_RECEIVERS_KEPT_FOR};
use crate::store::Receivers;

/// What was found out, and when.
type Place<T> = Mutex<Option<(Instant, Arc<T>)>>;

/// What pages share. It is cheap to clone.
#[derive(Clone, Default)]
pub struct Kept(Arc<Places>);

#[derive(Default)]
struct Places {
    /// The state of the daemon as it was within the last second, by what its viewer may see.
    status: [Place<StatusReport>; 2],
    receivers: Place<Receivers>,
}

impl Kept {
    /// Returns the state. Whoever asks meanwhile waits for the same answer.
    pub(super) async fn status(
        &self,
        api: &Api,
        viewer: Viewer,
    ) -> Result<Arc<StatusReport>, ErrorResponse> {
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
}
