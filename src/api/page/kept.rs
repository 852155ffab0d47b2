//! What costs much to find out, kept for a moment for all who look.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::v1;
use crate::api::viewer::Viewer;
use crate::api::wire::StatusReport;
use crate::domain::bounds::PAGE_KEPT_FOR;

/// The state of the daemon as it was within the last second, by what its viewer may see.
#[derive(Clone, Default)]
pub struct Kept(Arc<[Mutex<Option<(Instant, Arc<StatusReport>)>>; 2]>);

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
        let mut kept = self.0[place].lock().await;
        if let Some((at, status)) = kept.as_ref()
            && at.elapsed() < PAGE_KEPT_FOR
        {
            return Ok(Arc::clone(status));
        }
        let status = Arc::new(v1::status::report(api, viewer).await?);
        *kept = Some((Instant::now(), Arc::clone(&status)));
        Ok(status)
    }
}
