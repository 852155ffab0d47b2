//! How the daemon is.

use axum::Json;
use axum::extract::State;

use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::wire::{self, Configuration, DaemonStatus, Facts, Time};
use crate::store::{DaemonState, NoticeKind};

/// Tell the state of the daemon, of the configuration and of the last 24 hours.
#[utoipa::path(
    get, path = "/v1/status", tag = "daemon",
    responses((status = 200, description = "The state", body = DaemonStatus), ErrorResponse)
)]
pub(super) async fn status(State(api): State<Api>) -> Result<Json<DaemonStatus>, ErrorResponse> {
    let now = api.clock.now();
    let path = api.store.path().to_owned();
    let trouble = api.store.trouble();
    let status = api.store.read(move |reader| {
        let facts = Facts::read(reader, now)?;
        let daemon = DaemonState::Running { pid: Some(std::process::id()) };
        let state = wire::State::of(&path, &daemon, configuration(&facts), &facts, now);
        Ok(DaemonStatus { state, version: env!("CARGO_PKG_VERSION"), now: Time(now), trouble })
    });
    Ok(Json(status.await?))
}

/// As the daemon has last read the files: it takes up what it can, and notes one mistake a line otherwise.
fn configuration(facts: &Facts) -> Configuration {
    let mistakes = facts.notices.iter().find(|notice| notice.kind == NoticeKind::Configuration);
    mistakes.map_or(Configuration::Same, |notice| Configuration::Mistakes {
        mistakes: notice.detail.lines().count(),
    })
}
