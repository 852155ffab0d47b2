//! `/healthz` and `/readyz`, for service managers that restart a dead daemon and load balancers that skip one that is
//! not ready.
//!
//! They are open to every caller, so they give no details: the texts of errors are in `status` and in the log.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::error_response::ErrorResponse;
use super::wire::{Liveness, Readiness};
use crate::domain::bounds::HEALTH_WAIT;
use crate::store::NoticeKind;

const CANNOT_COMMIT: &str = "the store cannot commit (`agentcron status` says why)";
const STORE_TOO_SLOW: &str = "the store did not respond in time";
const BACKEND_DOWN: &str = "the agent server is not accepting runs; they wait until their start deadline";
const MISTAKES: &str =
    "the configuration has mistakes; what is understood is in force, and the rest is as it last was";

const STORE_COPY: &str = "another daemon runs with a copy of this store, and both fire every cron: stop one, or give one an empty store";

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz))
}

/// Check that the daemon is alive
///
/// The daemon ends when one of its loops ends, so only the writer of the store is checked here. A full disk is no
/// reason to restart the daemon; `/readyz` reports it.
#[utoipa::path(
    get, path = "/healthz", tag = "daemon",
    responses((status = 200, description = "The daemon is alive", body = Liveness), ErrorResponse)
)]
async fn healthz(State(api): State<Api>) -> Result<Json<Liveness>, ErrorResponse> {
    match check_commit(&api).await {
        Ok(()) => Ok(Json(Liveness { status: "ok" })),
        Err(_) if api.store.trouble().is_some() => Ok(Json(Liveness { status: "ok" })),
        Err(reason) => Err(ErrorResponse::unavailable(reason)),
    }
}

/// Check that the daemon can start runs and commit
///
/// An unreachable agent server is only a warning: runs wait for it in the daemon.
#[utoipa::path(
    get, path = "/readyz", tag = "daemon",
    responses(
        (status = 200, description = "The daemon is ready", body = Readiness),
        (status = 503, description = "The daemon is not ready; `reasons` says why", body = Readiness),
    )
)]
async fn readyz(State(api): State<Api>) -> (StatusCode, Json<Readiness>) {
    let reasons: Vec<&'static str> = check_commit(&api).await.err().into_iter().collect();
    let mut warnings = Vec::new();
    if api.health.backend_breaker.trouble().is_some() {
        warnings.push(BACKEND_DOWN);
    }
    let notices = api.store.read(|reader| reader.notices()).await.unwrap_or_default();
    for (kind, warning) in [(NoticeKind::StoreCopy, STORE_COPY), (NoticeKind::Configuration, MISTAKES)] {
        if notices.iter().any(|notice| notice.kind == kind) {
            warnings.push(warning);
        }
    }
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, reasons, warnings }))
}

async fn check_commit(api: &Api) -> Result<(), &'static str> {
    if api.store.trouble().is_some() {
        return Err(CANNOT_COMMIT);
    }
    match tokio::time::timeout(HEALTH_WAIT, api.store.commit_nothing()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(CANNOT_COMMIT),
        Err(_) => Err(STORE_TOO_SLOW),
    }
}
