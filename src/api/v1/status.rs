//! The state of the daemon.

use axum::Json;
use axum::extract::State;
use jiff::SignedDuration;
use tokio::time::Instant;

use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::viewer::Viewer;
use crate::api::wire::StatusReport;
use crate::domain::bounds::{BACKEND_NOTICED_WITHIN, BACKEND_STATUS_WAIT};
use crate::domain::outage;
use crate::store::{BackendContact, DaemonState, StatusSnapshot};

/// Get the state of the daemon, of its configuration, and of the last 24 hours
///
/// `attention` says what is wrong, the worst first. An agent server that was not heard for five seconds is asked.
#[utoipa::path(
    get, path = "/v1/status", tag = "daemon",
    responses((status = 200, description = "The state", body = StatusReport), ErrorResponse)
)]
pub(in crate::api) async fn status(
    State(api): State<Api>,
    viewer: Viewer,
) -> Result<Json<StatusReport>, ErrorResponse> {
    report(&api, viewer).await.map(Json)
}

/// Returns the state as this viewer may see it.
pub(in crate::api) async fn report(api: &Api, viewer: Viewer) -> Result<StatusReport, ErrorResponse> {
    let backend = backend_contact(api).await;
    let now = api.clock.now();
    // Whoever reads it may be in another folder.
    let file = api.store.file().map(|file| std::path::absolute(file).unwrap_or_else(|_| file.to_owned()));
    let place = file.map_or_else(|| api.store.place().to_string(), |file| file.display().to_string());
    let stuck = api.stuck_loops();
    let (lasting, probes) = (api.lasting_outages(), api.health.outages.probes());
    let sharing = api.store.sharing();
    let status = api.store.read(move |reader| {
        let daemon = DaemonState::Running { pid: Some(std::process::id()) };
        let mut snapshot = StatusSnapshot::read(reader, sharing, daemon, now)?;
        outage::merge(&mut snapshot.outages, lasting);
        viewer.hide(&mut snapshot);
        snapshot.probes = probes;
        snapshot.backend = backend;
        snapshot.stuck = stuck;
        let version = Some(env!("CARGO_PKG_VERSION").to_owned());
        Ok(StatusReport::of(&place, &snapshot, version, now))
    });
    Ok(status.await?)
}

/// Returns what is known of the agent server, after asking it if it was not heard lately. An outage is noticed meanwhile,
/// unless the server neither answers nor refuses.
async fn backend_contact(api: &Api) -> BackendContact {
    let contact = api.backend.contact();
    let until = Instant::now() + BACKEND_STATUS_WAIT;
    if contact.heard_ago().is_none_or(|ago| ago > BACKEND_NOTICED_WITHIN) && contact.silence().is_none() {
        api.backend.ask_whether_it_is_there(BACKEND_STATUS_WAIT).await;
        if contact.silence().is_some() {
            tokio::time::sleep_until(until).await;
        }
    }
    let ago = contact.heard_ago().and_then(|ago| SignedDuration::try_from(ago).ok());
    BackendContact {
        heard_at: ago.and_then(|ago| api.clock.now().saturating_sub(ago).ok()),
        silent: contact.silence().map(|silence| silence.why),
    }
}
