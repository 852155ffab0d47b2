//! The state of the daemon.

use axum::Json;
use axum::extract::State;

use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::wire::{Configuration, DaemonStatus, StatusReport, StatusSnapshot, Time};
use crate::domain::outage;
use crate::store::{DaemonState, NoticeKind};

/// Get the state of the daemon, of its configuration, and of the last 24 hours
#[utoipa::path(
    get, path = "/v1/status", tag = "daemon",
    responses((status = 200, description = "The state", body = DaemonStatus), ErrorResponse)
)]
pub(super) async fn status(State(api): State<Api>) -> Result<Json<DaemonStatus>, ErrorResponse> {
    let now = api.clock.now();
    let path = api.store.path().to_owned();
    let trouble = api.store.trouble().map(|(_, trouble)| trouble);
    let lasting = api.lasting_outages();
    let status = api.store.read(move |reader| {
        let mut snapshot = StatusSnapshot::read(reader, now)?;
        outage::merge(&mut snapshot.outages, lasting);
        let daemon = DaemonState::Running { pid: Some(std::process::id()) };
        let report = StatusReport::of(&path, &daemon, configuration(&snapshot), &snapshot, now);
        Ok(DaemonStatus { report, version: env!("CARGO_PKG_VERSION"), now: Time(now), trouble })
    });
    Ok(Json(status.await?))
}

/// Returns the result of the last reload. The daemon loads changed files by itself; if it cannot, it leaves a notice of
/// the mistakes.
fn configuration(snapshot: &StatusSnapshot) -> Configuration {
    let notice = snapshot.notices.iter().find(|notice| notice.kind == NoticeKind::Configuration);
    notice.map_or(Configuration::Same, |notice| Configuration::Mistakes {
        mistakes: usize::try_from(notice.count).unwrap_or(usize::MAX),
    })
}
