//! What is asked of webhooks: to wait, to go out again, to be sent once more.

use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::acts::{checked_note, instant};
use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::Body;
use crate::domain::bounds::{RELEASE_RATE_MAX, REPLAY_DEFAULT, REPLAY_LISTED, REPLAY_MAX};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::delivery_mode::DeliveryMode;
use crate::domain::ids::RunId;
use crate::domain::reason::{DeliveryReasonCode, Reason};
use crate::store::{DeliveryFilter, Purpose, Replay, ReplayChoice, ReplayOrder, WebhookRow};
use crate::webhook::{redacted, webhook_id};

/// What a replay takes unless it says which statuses: all that ended without having been delivered.
const REPLAYED_BY_DEFAULT: &[DeliveryStatus] = &[
    DeliveryStatus::Failed,
    DeliveryStatus::Gone,
    DeliveryStatus::Aborted,
    DeliveryStatus::Blocked,
    DeliveryStatus::Suppressed,
];

/// Hold all webhooks.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HoldRequest {
    /// Why, for those who wonder later.
    #[schema(max_length = 500)]
    note: Option<String>,
}

/// Let them go.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseRequest {
    /// What has piled up goes out at so many attempts a second; absent: all at once.
    #[schema(minimum = 1, maximum = 1000)]
    per_second: Option<u32>,
    /// What waits and was recorded longer ago than this is suppressed instead.
    #[schema(format = "uint64")]
    discard_older_than_seconds: Option<u64>,
}

/// How webhooks flow now, and how they did.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeliveryModeResponse {
    before: DeliveryModeState,
    now: DeliveryModeState,
    /// Webhooks that wait, whenever they are due.
    waiting: u64,
    /// Attempts that were being made; they are finished.
    in_flight: u64,
    /// Webhooks that this release has suppressed.
    discarded: usize,
}

/// How webhooks flow.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(super) enum DeliveryModeState {
    /// Each is sent when it is due.
    Free,
    /// None is sent.
    Held {
        /// RFC 3339.
        #[schema(format = DateTime)]
        since: String,
        note: Option<String>,
    },
    /// What had piled up goes out at a rate.
    Released {
        /// RFC 3339.
        #[schema(format = DateTime)]
        since: String,
        per_second: u32,
    },
}

/// Send webhooks once more: those of `ids`, or those that all other fields agree on.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayRequest {
    /// Delivery ids, run ids, or webhook-ids (`msg_…`).
    #[serde(default)]
    ids: Vec<String>,
    /// Absent: all that ended without having been delivered.
    #[serde(default)]
    status: Vec<String>,
    /// Recorded then or later; RFC 3339.
    since: Option<String>,
    /// Recorded before; RFC 3339.
    until: Option<String>,
    /// Of runs of this cron, by name.
    cron: Option<String>,
    /// About this run.
    run_id: Option<String>,
    /// With this in the URL, before its query.
    url: Option<String>,
    /// At most so many, the oldest first.
    #[schema(minimum = 1)]
    limit: Option<u32>,
    /// Only tell which they are.
    #[serde(default)]
    dry_run: bool,
}

/// What was, or would be, sent once more.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReplayResponse {
    dry_run: bool,
    /// How many.
    replayed: usize,
    /// How many of each status they had.
    by_status: serde_json::Map<String, serde_json::Value>,
    /// Whether there are more than `limit` allowed: ask again.
    more: bool,
    /// Suspended URLs that are told again; without their queries.
    armed: Vec<String>,
    /// The first of them.
    webhooks: Vec<ReplayedWebhook>,
}

/// A webhook as it stood before it was replayed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReplayedWebhook {
    delivery_id: String,
    webhook_id: String,
    run_id: String,
    cron_name: Option<String>,
    /// Without its query.
    url: String,
    status: String,
    reason: Option<String>,
    created_at: String,
}

/// Tell suspended URLs again.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResumeRequest {
    /// Those with this in them, before their query.
    #[schema(min_length = 1)]
    url: String,
}

/// Which are told again.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ResumeResponse {
    /// Without their queries.
    armed: Vec<String>,
}

/// Hold all webhooks: they wait until they are released.
#[utoipa::path(
    post, path = "/v1/webhooks/hold", tag = "deliveries",
    request_body = Option<HoldRequest>,
    responses((status = 200, description = "What came of it", body = DeliveryModeResponse), ErrorResponse)
)]
pub(super) async fn hold(
    State(api): State<Api>,
    Body(HoldRequest { note }): Body<HoldRequest>,
) -> Result<Json<DeliveryModeResponse>, ErrorResponse> {
    let note = checked_note(note)?;
    let change = api.store.hold_webhooks(api.clock.now(), note.clone()).await?;
    api.wakes.courier.notify_one();
    tracing::warn!(note, waiting = change.waiting, "webhooks are held on request");
    Ok(Json(DeliveryModeResponse {
        before: state(&change.before),
        now: state(&change.after),
        waiting: change.waiting,
        in_flight: change.in_flight,
        discarded: 0,
    }))
}

/// Let held webhooks go, at once or at a rate.
#[utoipa::path(
    post, path = "/v1/webhooks/release", tag = "deliveries",
    request_body = Option<ReleaseRequest>,
    responses((status = 200, description = "What came of it", body = DeliveryModeResponse), ErrorResponse)
)]
pub(super) async fn release(
    State(api): State<Api>,
    Body(request): Body<ReleaseRequest>,
) -> Result<Json<DeliveryModeResponse>, ErrorResponse> {
    let ReleaseRequest { per_second, discard_older_than_seconds } = request;
    if per_second.is_some_and(|rate| rate == 0 || rate > RELEASE_RATE_MAX) {
        return Err(ErrorResponse::Invalid(format!("per_second: expected 1 to {RELEASE_RATE_MAX}")));
    }
    let now = api.clock.now();
    let mut discarded = 0;
    // First, while they are still held.
    if let Some(seconds) = discard_older_than_seconds {
        let age = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        let before = now.saturating_sub(age).unwrap_or(Timestamp::MIN);
        let older = humantime::format_duration(std::time::Duration::from_secs(seconds));
        let message = format!("discarded by a release on request: it was older than {older}");
        let reason = Reason::new(DeliveryReasonCode::Discarded, message);
        discarded = api.store.discard_webhooks(now, before, reason).await?;
    }
    let change = api.store.release_webhooks(now, per_second).await?;
    api.wakes.courier.notify_one();
    tracing::info!(waiting = change.waiting, discarded, per_second, "webhooks are released on request");
    Ok(Json(DeliveryModeResponse {
        before: state(&change.before),
        now: state(&change.after),
        waiting: change.waiting,
        in_flight: change.in_flight,
        discarded,
    }))
}

/// Send webhooks once more.
#[utoipa::path(
    post, path = "/v1/webhooks/replay", tag = "deliveries",
    request_body = ReplayRequest,
    responses((status = 200, description = "What came of it", body = ReplayResponse), ErrorResponse)
)]
pub(super) async fn replay(
    State(api): State<Api>,
    Body(request): Body<ReplayRequest>,
) -> Result<Json<ReplayResponse>, ErrorResponse> {
    let dry_run = request.dry_run;
    if api.webhooks.now().disabled && !dry_run {
        return Err(ErrorResponse::Conflict(
            "webhooks are disabled (http.disable_webhooks): what is replayed would be suppressed again; enable them \
             first"
                .to_owned(),
        ));
    }
    let order = order(request)?;
    let replay = api.store.replay(api.clock.now(), order).await?;
    if !dry_run {
        api.wakes.courier.notify_one();
        tracing::info!(webhooks = replay.webhooks.len(), armed = replay.resumed.len(), "replayed on request");
    }
    Ok(Json(answer(&replay, dry_run)))
}

/// Tell suspended URLs again.
#[utoipa::path(
    post, path = "/v1/webhooks/resume", tag = "deliveries",
    request_body = ResumeRequest,
    responses((status = 200, description = "What came of it", body = ResumeResponse), ErrorResponse)
)]
pub(super) async fn resume(
    State(api): State<Api>,
    Body(ResumeRequest { url }): Body<ResumeRequest>,
) -> Result<Json<ResumeResponse>, ErrorResponse> {
    if url.is_empty() {
        return Err(ErrorResponse::Invalid(
            "url: expected the URL, or a part of it before its query".to_owned(),
        ));
    }
    // Its query is not looked at, and may be a token.
    let text = url.split('?').next().unwrap_or_default().to_owned();
    let armed = api.store.resume_urls(text).await?;
    if armed.is_empty() {
        let words = "no suspended URL has this in it; `agentcron status` shows those that are suspended";
        return Err(ErrorResponse::NotFound(words.to_owned()));
    }
    let armed: Vec<String> = armed.iter().map(|suspension| redacted(&suspension.url)).collect();
    tracing::info!(?armed, "armed on request");
    Ok(Json(ResumeResponse { armed }))
}

fn order(request: ReplayRequest) -> Result<ReplayOrder, ErrorResponse> {
    let ReplayRequest { ids, status, since, until, cron, run_id, url, limit, dry_run } = request;
    let limit = limit.unwrap_or(REPLAY_DEFAULT);
    if limit == 0 || limit > REPLAY_MAX {
        return Err(ErrorResponse::Invalid(format!("limit: expected 1 to {REPLAY_MAX}")));
    }
    let purpose = if dry_run { Purpose::DryRun } else { Purpose::Act };
    let is_narrowed =
        since.is_some() || until.is_some() || cron.is_some() || run_id.is_some() || url.is_some();
    if !ids.is_empty() {
        if is_narrowed || !status.is_empty() {
            return Err(ErrorResponse::Invalid("ids: they say all; leave the other fields out".to_owned()));
        }
        let ids = ids.iter().map(|text| id("ids", text)).collect::<Result<_, _>>()?;
        return Ok(ReplayOrder { choice: ReplayChoice::Named(ids), limit, purpose });
    }
    if !is_narrowed && status.is_empty() {
        return Err(ErrorResponse::Invalid(
            "say which: by ids, or by status, since, until, cron, run_id, url".to_owned(),
        ));
    }
    let statuses = status.iter().map(|word| {
        let status = word.parse::<DeliveryStatus>();
        status.map_err(|unknown| ErrorResponse::Invalid(format!("status: {unknown}")))
    });
    let mut statuses = statuses.collect::<Result<Vec<_>, _>>()?;
    if statuses.contains(&DeliveryStatus::Sending) {
        return Err(ErrorResponse::Invalid("status: what is being sent cannot be replayed".to_owned()));
    }
    if statuses.is_empty() {
        statuses = REPLAYED_BY_DEFAULT.to_vec();
    }
    let filter = DeliveryFilter {
        statuses,
        cron,
        run_id: run_id.map(|text| id("run_id", &text).map(RunId)).transpose()?,
        url,
        since: since.map(|text| instant("since", &text)).transpose()?,
        until: until.map(|text| instant("until", &text)).transpose()?,
    };
    Ok(ReplayOrder { choice: ReplayChoice::Matching(filter), limit, purpose })
}

fn id(field: &str, text: &str) -> Result<Uuid, ErrorResponse> {
    let id = text.strip_prefix("msg_").unwrap_or(text);
    id.parse().map_err(|_| {
        ErrorResponse::Invalid(format!("{field}: `{text}` is no id (a UUID, or msg_ and a UUID)"))
    })
}

fn answer(replay: &Replay, dry_run: bool) -> ReplayResponse {
    let mut by_status = serde_json::Map::new();
    for status in DeliveryStatus::ALL {
        let count = replay.webhooks.iter().filter(|row| row.delivery.status == *status).count();
        if count > 0 {
            by_status.insert(status.to_string(), count.into());
        }
    }
    ReplayResponse {
        dry_run,
        replayed: replay.webhooks.len(),
        by_status,
        more: replay.more,
        armed: replay.resumed.iter().map(|url| redacted(url)).collect(),
        webhooks: replay.webhooks.iter().take(REPLAY_LISTED).map(replayed).collect(),
    }
}

fn replayed(row: &WebhookRow) -> ReplayedWebhook {
    ReplayedWebhook {
        delivery_id: row.delivery.delivery_id.to_string(),
        webhook_id: webhook_id(row.run_id),
        run_id: row.run_id.to_string(),
        cron_name: row.cron_name.clone(),
        url: redacted(&row.delivery.url),
        status: row.delivery.status.to_string(),
        reason: row.delivery.reason.as_ref().and_then(|reason| reason.message.clone()),
        created_at: row.delivery.created_at.to_string(),
    }
}

fn state(mode: &DeliveryMode) -> DeliveryModeState {
    match mode {
        DeliveryMode::Free => DeliveryModeState::Free,
        DeliveryMode::Held(hold) => {
            DeliveryModeState::Held { since: hold.since.to_string(), note: hold.note.clone() }
        }
        DeliveryMode::Released(release) => {
            DeliveryModeState::Released { since: release.since.to_string(), per_second: release.per_second }
        }
    }
}
