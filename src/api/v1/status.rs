//! The state of the daemon.

use axum::Json;
use axum::extract::State;

use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::viewer::Viewer;
use crate::api::wire::StatusReport;
use crate::domain::outage;
use crate::store::{DaemonState, StatusSnapshot};

/// Get the state of the daemon, of its configuration, and of the last 24 hours
///
/// `attention` says what is wrong, the worst first.
#[utoipa::path(
    get, path = "/v1/status", tag = "daemon",
    responses((status = 200, description = "The state", body = StatusReport), ErrorResponse)
)]
pub(super) async fn status(
    State(api): State<Api>,
    viewer: Viewer,
) -> Result<Json<StatusReport>, ErrorResponse> {
    let now = api.clock.now();
    // Whoever reads it may be in another folder.
    let path = std::path::absolute(api.store.path()).unwrap_or_else(|_| api.store.path().to_owned());
    let (lasting, probes) = (api.lasting_outages(), api.health.outages.probes());
    let status = api.store.read(move |reader| {
        let daemon = DaemonState::Running { pid: Some(std::process::id()) };
        let mut snapshot = StatusSnapshot::read(reader, daemon, now)?;
        outage::merge(&mut snapshot.outages, lasting);
        viewer.hide(&mut snapshot);
        snapshot.probes = probes;
        let version = Some(env!("CARGO_PKG_VERSION").to_owned());
        Ok(StatusReport::of(&path, &snapshot, version, now))
    });
    Ok(Json(status.await?))
}
