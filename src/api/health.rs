//! `/healthz` and `/readyz`, for service managers that restart a dead daemon and load balancers that skip one that is
//! not ready.
//!
//! They are open to every caller, also to one without a key, so they give no details: the texts of errors are in `status` and in
//! the log.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use tokio::sync::Mutex;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::error_response::ErrorResponse;
use super::wire::{Liveness, Readiness};
use crate::domain::backoff;
use crate::domain::bounds::HEALTH_WAIT;
use crate::domain::disk_space::DiskSpace;
use crate::store::NoticeKind;

const CANNOT_COMMIT: &str = "the store cannot commit (`agentcron status` says why)";
const STORE_TOO_SLOW: &str = "the store did not respond in time";
const LOOP_STUCK: &str = "a loop of the daemon is stuck (`agentcron status` says which)";
const BACKEND_DOWN: &str = "the agent server is not accepting runs; they wait until their start deadline";
const DISK_LOW: &str = "the disk of the database is nearly full";
const BACKUP_FAILED: &str = "the last backup failed (`agentcron status` says why)";
const MISTAKES: &str =
    "the configuration has mistakes; what is understood is in force, and the rest is as it last was";

const STORE_COPY: &str = "another daemon runs with a copy of this store, and both fire every cron: stop one, or give one an empty store";

/// A probe within this time gets the previous answer again: each answer costs a commit, and probes need no key.
const CACHED_FOR: Duration = Duration::from_secs(1);

/// How the daemon was when it was looked at last. A probe that arrives meanwhile waits for it.
#[derive(Clone, Default)]
struct LastLook(Arc<Mutex<Option<(Timestamp, Look)>>>);

#[derive(Clone)]
struct Look {
    /// Why the daemon does not work.
    works: Result<(), &'static str>,
    warnings: Vec<&'static str>,
}

impl LastLook {
    async fn now(&self, api: &Api) -> Look {
        let mut last = self.0.lock().await;
        let now = api.clock.now();
        if let Some((at, look)) = last.as_ref()
            && *at <= now
            && backoff::between(*at, now) < CACHED_FOR
        {
            return look.clone();
        }
        let look = Look { works: check(api).await, warnings: warnings(api).await };
        *last = Some((api.clock.now(), look.clone()));
        look
    }
}

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .layer(Extension(LastLook::default()))
}

/// Check that the daemon is alive
///
/// The daemon ends when one of its loops ends, so this checks the writer of the store, and whether a loop is stuck. A full disk
/// is no reason to restart the daemon; `/readyz` reports it.
#[utoipa::path(
    get, path = "/healthz", tag = "daemon",
    responses((status = 200, description = "The daemon is alive", body = Liveness), ErrorResponse)
)]
async fn healthz(
    State(api): State<Api>,
    Extension(last): Extension<LastLook>,
) -> Result<Json<Liveness>, ErrorResponse> {
    match last.now(&api).await.works {
        Ok(()) => Ok(Json(Liveness { status: "ok" })),
        Err(reason) if api.store.trouble().is_some() && reason != LOOP_STUCK => {
            Ok(Json(Liveness { status: "ok" }))
        }
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
async fn readyz(
    State(api): State<Api>,
    Extension(last): Extension<LastLook>,
) -> (StatusCode, Json<Readiness>) {
    let Look { works, warnings } = last.now(&api).await;
    let reasons: Vec<&'static str> = works.err().into_iter().collect();
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, reasons, warnings }))
}

async fn warnings(api: &Api) -> Vec<&'static str> {
    let mut warnings = Vec::new();
    if api.health.backend_breaker.trouble().is_some() {
        warnings.push(BACKEND_DOWN);
    }
    if api.store.disk_space().is_some_and(DiskSpace::is_low) {
        warnings.push(DISK_LOW);
    }
    let notices = api.store.read(|reader| reader.notices()).await.unwrap_or_default();
    let own = api.store.daemon_name();
    let told = [
        (NoticeKind::StoreCopy, STORE_COPY),
        (NoticeKind::Configuration, MISTAKES),
        (NoticeKind::Backup, BACKUP_FAILED),
    ];
    for (kind, warning) in told {
        if notices.iter().any(|notice| notice.kind == kind && notice.of == own) {
            warnings.push(warning);
        }
    }
    warnings
}

/// Returns why the daemon does not work, if it does not.
async fn check(api: &Api) -> Result<(), &'static str> {
    if !api.health.pulses.stuck().is_empty() {
        return Err(LOOP_STUCK);
    }
    if api.store.trouble().is_some() {
        return Err(CANNOT_COMMIT);
    }
    match tokio::time::timeout(HEALTH_WAIT, api.store.commit_nothing()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(CANNOT_COMMIT),
        Err(_) => Err(STORE_TOO_SLOW),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;
    use crate::api::v1::tests::api_over;
    use crate::clock::Clock;
    use crate::domain::ids::InstallationId;
    use crate::store::{Execution, Store};

    #[tokio::test(start_paused = true)]
    async fn however_many_probes_there_are_one_commit_in_a_second_answers_them() {
        let folder = tempfile::tempdir().unwrap();
        let (path, id) = (folder.path().join("agentcron.db"), InstallationId::default());
        let store = Store::open(&path, Execution::Inline, id, Clock::system()).unwrap();
        let api = api_over(folder.path(), store, Clock::simulated("2026-03-02T09:30:00Z".parse().unwrap()));
        let router = crate::api::router(api.clone());
        let commits = || api.store.counts().commits.snapshot().count;
        let before = commits();
        for _ in 0..3 {
            for path in ["/healthz", "/readyz"].repeat(50) {
                let request = Request::get(path).body(Body::empty()).unwrap();
                assert_eq!(router.clone().oneshot(request).await.unwrap().status(), StatusCode::OK);
            }
            tokio::time::advance(CACHED_FOR).await;
        }
        assert_eq!(commits() - before, 3);
    }
}
