//! `/healthz` and `/readyz`, for those who restart what is dead and send nobody to what is not ready.
//!
//! They tell no details that are not everybody's: the words of errors are for `status` and the log.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::error_response::ErrorResponse;
use super::wire::{Alive, Readiness};
use crate::domain::bounds::HEALTH_WAIT;
use crate::store::NoticeKind;

const NO_COMMIT: &str = "the store cannot commit (`agentcron status` says why)";
const NO_ANSWER: &str = "the store does not answer in time";
const NO_BACKEND: &str = "the agent server takes no runs; they wait until their start deadline";
const OLD_CONFIGURATION: &str = "the configuration files have mistakes; the last good ones are in force";

/// Their paths.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz))
}

/// Tell whether the daemon lives. A loop that ends ends the daemon, so what is left to ask is the store's writer. A
/// disk that is full is no reason to restart it: that is what `/readyz` tells.
#[utoipa::path(
    get, path = "/healthz", tag = "daemon",
    responses((status = 200, description = "It lives", body = Alive), ErrorResponse)
)]
async fn healthz(State(api): State<Api>) -> Result<Json<Alive>, ErrorResponse> {
    match commits(&api).await {
        Ok(()) => Ok(Json(Alive { status: "ok" })),
        Err(_) if api.store.trouble().is_some() => Ok(Json(Alive { status: "ok" })),
        Err(reason) => Err(ErrorResponse::Unavailable(reason.to_owned())),
    }
}

/// Tell whether the daemon can do its work: a configuration is in force, and the store can commit. That the agent server
/// is away is a warning only: runs wait for it here.
#[utoipa::path(
    get, path = "/readyz", tag = "daemon",
    responses(
        (status = 200, description = "It can", body = Readiness),
        (status = 503, description = "It cannot", body = Readiness),
    )
)]
async fn readyz(State(api): State<Api>) -> (StatusCode, Json<Readiness>) {
    let reasons: Vec<&'static str> = commits(&api).await.err().into_iter().collect();
    let mut warnings = Vec::new();
    if api.health.backend_breaker.trouble().is_some() {
        warnings.push(NO_BACKEND);
    }
    let notices = api.store.read(|reader| reader.notices()).await.unwrap_or_default();
    if notices.iter().any(|notice| notice.kind == NoticeKind::Configuration) {
        warnings.push(OLD_CONFIGURATION);
    }
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, reasons, warnings }))
}

async fn commits(api: &Api) -> Result<(), &'static str> {
    if api.store.trouble().is_some() {
        return Err(NO_COMMIT);
    }
    match tokio::time::timeout(HEALTH_WAIT, api.store.commit_nothing()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(NO_COMMIT),
        Err(_) => Err(NO_ANSWER),
    }
}
