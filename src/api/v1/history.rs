//! Deletes history: what is kept no longer, and what is to be forgotten.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;

use super::parse::id;
use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::JsonBody;
use crate::api::wire::{EmptyRequest, ForgetRequest, Forgotten, Pruning};
use crate::domain::act::{Act, ActKind, Actor, Subject};
use crate::domain::ids::ThreadId;
use crate::store::{Emptied, ForgetSubject, Purpose, Store, StoreError};

/// Delete now what is kept no longer
///
/// The daemon does this by itself every ten minutes. The response comes at once: the pass has ended once `ended_pass` of
/// `GET /v1/prune` is as high as `pass`.
#[utoipa::path(
    post, path = "/v1/prune", tag = "history",
    request_body = Option<EmptyRequest>,
    responses((status = 200, description = "The number of the pass", body = Pruning), ErrorResponse)
)]
pub(in crate::api) async fn prune(
    by: Actor,
    State(api): State<Api>,
    JsonBody(EmptyRequest {}): JsonBody<EmptyRequest>,
) -> Result<Json<Pruning>, ErrorResponse> {
    // Before the deletion, which is the work of many transactions.
    let (at, what, subject) = (api.clock.now(), ActKind::Pruned, Subject::default());
    api.store.record_act(Act { at, by, what, subject, note: None }).await?;
    let pass = api.health.pruning.request();
    tracing::info!("deletion of old history requested");
    Ok(Json(Pruning::of(&api.health.pruning.state(), pass)))
}

/// How far the deletion of old history is
#[utoipa::path(
    get, path = "/v1/prune", tag = "history",
    responses((status = 200, description = "The latest pass", body = Pruning), ErrorResponse)
)]
pub(in crate::api) async fn pruning(State(api): State<Api>) -> Json<Pruning> {
    let state = api.health.pruning.state();
    Json(Pruning::of(&state, state.begun))
}

/// Forget everything about a cron or a thread
///
/// Deletes every ended run of it with its webhooks, its values and its timeline, and overwrites their bytes. Nothing is
/// deleted if something of it is in progress. A cron that is not removed goes on, without a history.
#[utoipa::path(
    post, path = "/v1/forget", tag = "history",
    request_body = ForgetRequest,
    responses((status = 200, description = "What is forgotten", body = Forgotten), ErrorResponse)
)]
pub(in crate::api) async fn forget(
    by: Actor,
    State(api): State<Api>,
    JsonBody(request): JsonBody<ForgetRequest>,
) -> Result<Json<Forgotten>, ErrorResponse> {
    let purpose = request.purpose();
    let subject = match (request.cron, request.thread) {
        (Some(cron), None) => ForgetSubject::Cron(cron),
        (None, Some(thread)) => ForgetSubject::Thread(id::<ThreadId>("thread", &thread)?),
        (Some(_), Some(_)) | (None, None) => {
            return Err(ErrorResponse::invalid("say what to forget: either cron or thread"));
        }
    };
    let (store, now) = (api.store.clone(), api.clock.now());
    // Whoever asks may leave meanwhile: what has begun is finished all the same.
    let work = api.to_finish.spawn(async move { forget_in(&store, (now, by), subject, purpose).await });
    match work.await {
        Ok(forgotten) => Ok(Json(forgotten?)),
        Err(stopped) => Err(ErrorResponse::failed(stopped.to_string())),
    }
}

async fn forget_in(
    store: &Store,
    (now, by): (Timestamp, Actor),
    subject: ForgetSubject,
    purpose: Purpose,
) -> Result<Forgotten, ErrorResponse> {
    let forgotten = match store.forget(now, by, subject.clone(), purpose).await {
        Err(StoreError::NotFound(message)) => return Err(ErrorResponse::not_found(message)),
        forgotten => forgotten?,
    };
    let mut forgotten = Forgotten::of(&subject, &forgotten, purpose);
    match purpose {
        Purpose::DryRun => {}
        Purpose::Act => {
            let Forgotten { runs, deliveries, .. } = forgotten;
            match store.erase().await? {
                Emptied::Yes => {}
                Emptied::NotYet => forgotten.beyond_reach.push(
                    "the file beside the database whose name ends with -wal: somebody reads the database all the time; \
                     run this command again"
                        .to_owned(),
                ),
            }
            // The log does not say what it was.
            tracing::info!(runs, webhooks = deliveries, "history forgotten on request");
        }
    }
    Ok(forgotten)
}
