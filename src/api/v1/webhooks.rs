//! Controls webhooks: holds, releases and replays them, and resumes suspended URLs.

use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::parse::{instant, note, word};
use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::JsonBody;
use crate::api::wire::{
    DeliveryModeResponse, HoldRequest, ReleaseRequest, ReplayRequest, ReplayResponse, ResumeRequest,
    ResumeResponse,
};
use crate::domain::act::Actor;
use crate::domain::bounds::{RELEASE_RATE_MAX, REPLAY_DEFAULT, REPLAY_MAX};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::ids::RunId;
use crate::domain::reason::{DeliveryReasonCode, Reason};
use crate::store::{DeliveryFilter, Discard, Purpose, Reader, ReplayChoice, ReplayOrder};
use crate::webhook::redacted;

/// Hold all webhooks until they are released
#[utoipa::path(
    post, path = "/v1/webhooks/hold", tag = "deliveries",
    request_body = Option<HoldRequest>,
    responses((status = 200, description = "The delivery mode before and after", body = DeliveryModeResponse), ErrorResponse)
)]
pub(in crate::api) async fn hold(
    State(api): State<Api>,
    by: Actor,
    JsonBody(request): JsonBody<HoldRequest>,
) -> Result<Json<DeliveryModeResponse>, ErrorResponse> {
    let note = note(request.note)?;
    let change = api.store.hold_webhooks(api.clock.now(), by, note.clone()).await?;
    api.wakes.courier.notify_one();
    tracing::warn!(note, waiting = change.waiting, "webhooks held on request");
    Ok(Json(DeliveryModeResponse::of(&change, 0)))
}

/// Release held webhooks, at once or at a limited rate
#[utoipa::path(
    post, path = "/v1/webhooks/release", tag = "deliveries",
    request_body = Option<ReleaseRequest>,
    responses((status = 200, description = "The delivery mode before and after", body = DeliveryModeResponse), ErrorResponse)
)]
pub(in crate::api) async fn release(
    State(api): State<Api>,
    by: Actor,
    JsonBody(request): JsonBody<ReleaseRequest>,
) -> Result<Json<DeliveryModeResponse>, ErrorResponse> {
    let ReleaseRequest { per_second, discard_older_than_seconds } = request;
    if per_second.is_some_and(|rate| rate == 0 || rate > RELEASE_RATE_MAX) {
        return Err(ErrorResponse::invalid(format!("per_second: expected 1 to {RELEASE_RATE_MAX}")));
    }
    let now = api.clock.now();
    let (change, discarded) = match discard_older_than_seconds {
        Some(seconds) => api.store.discard_and_release(now, by, older_than(seconds, now), per_second).await?,
        None => (api.store.release_webhooks(now, by, per_second).await?, 0),
    };
    api.wakes.courier.notify_one();
    tracing::info!(waiting = change.waiting, discarded, per_second, "webhooks released on request");
    Ok(Json(DeliveryModeResponse::of(&change, discarded)))
}

/// Send webhooks again
///
/// A replay sends the same body under the same `webhook-id`, and starts the retry schedule again.
#[utoipa::path(
    post, path = "/v1/webhooks/replay", tag = "deliveries",
    request_body = ReplayRequest,
    responses((status = 200, description = "The webhooks that are sent again", body = ReplayResponse), ErrorResponse)
)]
pub(in crate::api) async fn replay(
    State(api): State<Api>,
    by: Actor,
    JsonBody(request): JsonBody<ReplayRequest>,
) -> Result<Json<ReplayResponse>, ErrorResponse> {
    let purpose = request.purpose();
    if api.webhooks.now().disabled && purpose == Purpose::Act {
        return Err(ErrorResponse::conflict(
            "webhooks are disabled (http.disable_webhooks), so a replay would be suppressed again; enable them first",
        ));
    }
    let order = replay_order(request)?;
    let (now, queue) = (api.clock.now(), api.store.read(Reader::webhook_queue).await?);
    let replay = api.store.replay(now, by, order).await?;
    match purpose {
        Purpose::Act => {
            api.health.origins.try_now(now);
            api.wakes.courier.notify_one();
            let (webhooks, resumed_urls) = (replay.webhooks.len(), replay.resumed.len());
            tracing::info!(webhooks, resumed_urls, "webhooks replayed on request");
        }
        Purpose::DryRun => {}
    }
    Ok(Json(ReplayResponse::of(&replay, purpose, &queue, now)))
}

/// Resume deliveries to suspended URLs
#[utoipa::path(
    post, path = "/v1/webhooks/resume", tag = "deliveries",
    request_body = ResumeRequest,
    responses((status = 200, description = "The resumed URLs", body = ResumeResponse), ErrorResponse)
)]
pub(in crate::api) async fn resume(
    State(api): State<Api>,
    by: Actor,
    JsonBody(ResumeRequest { url }): JsonBody<ResumeRequest>,
) -> Result<Json<ResumeResponse>, ErrorResponse> {
    if url.is_empty() {
        return Err(ErrorResponse::invalid("url: expected the URL, or a part of it before its query"));
    }
    // The query is not searched, and it may hold a token.
    let text = url.split('?').next().unwrap_or_default().to_owned();
    let suspensions = api.store.resume_urls(api.clock.now(), by, text).await?;
    if suspensions.is_empty() {
        let message = "no suspended URL contains this; `agentcron status` lists the suspended ones";
        return Err(ErrorResponse::not_found(message));
    }
    let resumed: Vec<String> = suspensions.iter().map(|suspension| redacted(&suspension.url)).collect();
    tracing::info!(urls = ?resumed, "webhook urls resumed on request");
    Ok(Json(ResumeResponse { resumed }))
}

fn older_than(seconds: u64, now: Timestamp) -> Discard {
    let age = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    let before = now.saturating_sub(age).unwrap_or(Timestamp::MIN);
    let age = humantime::format_duration(std::time::Duration::from_secs(seconds));
    let message = format!("discarded by a release on request: it was older than {age}");
    Discard { before, reason: Reason::new(DeliveryReasonCode::Discarded, message) }
}

fn replay_order(request: ReplayRequest) -> Result<ReplayOrder, ErrorResponse> {
    let purpose = request.purpose();
    let ReplayRequest { ids, status, since, until, cron, run_id, url, limit, dry_run: _ } = request;
    let limit = limit.unwrap_or(REPLAY_DEFAULT);
    if limit == 0 || limit > REPLAY_MAX {
        return Err(ErrorResponse::invalid(format!("limit: expected 1 to {REPLAY_MAX}")));
    }
    let has_filter =
        since.is_some() || until.is_some() || cron.is_some() || run_id.is_some() || url.is_some();
    if !ids.is_empty() {
        if has_filter || !status.is_empty() {
            return Err(ErrorResponse::invalid("ids: leave out all other fields with ids"));
        }
        let ids = ids.iter().map(|text| webhook_or_id("ids", text)).collect::<Result<_, _>>()?;
        return Ok(ReplayOrder { choice: ReplayChoice::Named(ids), limit, purpose });
    }
    if !has_filter && status.is_empty() {
        return Err(ErrorResponse::invalid(
            "say which webhooks: by ids, or by status, since, until, cron, run_id, url",
        ));
    }
    let statuses = status.iter().map(|text| word::<DeliveryStatus>("status", text));
    let mut statuses = statuses.collect::<Result<Vec<_>, _>>()?;
    if statuses.contains(&DeliveryStatus::Sending) {
        return Err(ErrorResponse::invalid("status: a webhook that is being sent cannot be replayed"));
    }
    if statuses.is_empty() {
        // Everything that ended without being delivered.
        statuses = DeliveryStatus::ALL.to_vec();
        statuses.retain(|status| status.is_over() && *status != DeliveryStatus::Delivered);
    }
    let filter = DeliveryFilter {
        statuses,
        cron,
        run_id: run_id.map(|text| webhook_or_id("run_id", &text).map(RunId)).transpose()?,
        url,
        since: since.map(|text| instant("since", &text)).transpose()?,
        until: until.map(|text| instant("until", &text)).transpose()?,
        with_body: false,
    };
    Ok(ReplayOrder { choice: ReplayChoice::Matching(filter), limit, purpose })
}

/// Parses an id of a delivery or run, or the `webhook-id` that a receiver sees.
fn webhook_or_id(field: &str, text: &str) -> Result<Uuid, ErrorResponse> {
    let id = text.strip_prefix("msg_").unwrap_or(text);
    id.parse().map_err(|_| {
        ErrorResponse::invalid(format!("{field}: got `{text}`, expected an id (a UUID, or msg_ and a UUID)"))
    })
}
