//! The requests that control webhooks, and their responses.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Delivery, Time};
use crate::domain::bounds::{NOTE_CHARS_MAX, RELEASE_RATE_MAX, REPLAY_DEFAULT, REPLAY_LISTED, REPLAY_MAX};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::delivery_mode::DeliveryMode;
use crate::store::{DeliveryModeChange, Purpose, Replay, WebhookQueue};
use crate::webhook::redacted;

/// A request to hold all webhooks.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct HoldRequest {
    /// The reason; `agentcron status` shows it.
    #[schema(max_length = 500)]
    pub(in crate::api) note: Option<String>,
}

/// A request to release held webhooks.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct ReleaseRequest {
    /// The rate at which the backlog is sent, in attempts per second. If absent, all of it is sent at once.
    #[schema(minimum = 1, maximum = 1000)]
    pub(in crate::api) per_second: Option<u32>,
    /// Queued webhooks that were created longer ago than this are suppressed instead of sent.
    #[schema(format = "uint64")]
    pub(in crate::api) discard_older_than_seconds: Option<u64>,
}

/// The delivery mode before and after a change.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct DeliveryModeResponse {
    pub(in crate::api) before: DeliveryModeState,
    pub(in crate::api) now: DeliveryModeState,
    /// Webhooks that are queued, whether or not they are due.
    pub(in crate::api) waiting: u64,
    /// Attempts that are in flight; they finish.
    pub(in crate::api) in_flight: u64,
    /// Webhooks that this release suppressed.
    pub(in crate::api) discarded: usize,
}

/// Whether webhooks are sent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(in crate::api) enum DeliveryModeState {
    /// Each webhook is sent when it is due.
    Free,
    /// No webhook is sent.
    Held { since: Time, note: Option<String> },
    /// The backlog is sent at a limited rate.
    Released {
        since: Time,
        /// Attempts per second.
        per_second: u32,
    },
}

/// Which webhooks to send again: those in `ids`, or those that match all other fields.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct ReplayRequest {
    /// Delivery ids, run ids, or webhook-ids (`msg_…`). If present, the filters must be absent.
    #[serde(default)]
    pub(in crate::api) ids: Vec<String>,
    /// Only webhooks with one of these statuses. If absent, all that ended without being delivered.
    #[serde(default)]
    pub(in crate::api) status: Vec<String>,
    /// Only webhooks created at this instant or later (RFC 3339).
    pub(in crate::api) since: Option<String>,
    /// Only webhooks created before this instant (RFC 3339).
    pub(in crate::api) until: Option<String>,
    /// Only webhooks about runs of the cron with this name.
    pub(in crate::api) cron: Option<String>,
    /// Only webhooks about this run.
    pub(in crate::api) run_id: Option<String>,
    /// Only webhooks with this text in their URL; the query of the URL is not searched.
    pub(in crate::api) url: Option<String>,
    /// Replay at most this many, the oldest first; 1000 if absent, at most 10000.
    #[schema(minimum = 1)]
    pub(in crate::api) limit: Option<u32>,
    /// Only report which webhooks would be replayed.
    #[serde(default)]
    pub(in crate::api) dry_run: bool,
}

/// What was replayed, or would be.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct ReplayResponse {
    pub(in crate::api) dry_run: bool,
    /// How many webhooks were replayed, or would be.
    pub(in crate::api) replayed: usize,
    /// How many of them had each status.
    by_status: serde_json::Map<String, serde_json::Value>,
    /// Whether more webhooks match than `limit` allows; replay again to get them.
    pub(in crate::api) more: bool,
    /// The URLs that were suspended and get webhooks again; without their queries.
    resumed: Vec<String>,
    /// The first of the webhooks, as they were before the replay.
    pub(in crate::api) webhooks: Vec<Delivery>,
}

/// Which suspended URLs get webhooks again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct ResumeRequest {
    /// The URL, or a part of it; its query is ignored.
    #[schema(min_length = 1)]
    pub(in crate::api) url: String,
}

/// The URLs that get webhooks again.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct ResumeResponse {
    /// The URLs, without their queries.
    pub(in crate::api) resumed: Vec<String>,
}

// The OpenAPI document states these limits as numbers.
const _: () = assert!(NOTE_CHARS_MAX == 500 && RELEASE_RATE_MAX == 1000);
const _: () = assert!(REPLAY_DEFAULT == 1000 && REPLAY_MAX == 10_000);

impl ReplayRequest {
    pub(in crate::api) fn purpose(&self) -> Purpose {
        if self.dry_run { Purpose::DryRun } else { Purpose::Act }
    }
}

impl ReplayResponse {
    /// `queue` is that before the replay, at `now`.
    pub(in crate::api) fn of(
        replay: &Replay,
        purpose: Purpose,
        queue: &WebhookQueue,
        now: Timestamp,
    ) -> Self {
        let mut by_status = serde_json::Map::new();
        for status in DeliveryStatus::ALL {
            let count = replay.webhooks.iter().filter(|row| row.delivery.status == *status).count();
            if count > 0 {
                by_status.insert(status.to_string(), count.into());
            }
        }
        let listed = replay.webhooks.iter().take(REPLAY_LISTED);
        Self {
            dry_run: purpose == Purpose::DryRun,
            replayed: replay.webhooks.len(),
            by_status,
            more: replay.more,
            resumed: replay.resumed.iter().map(|url| redacted(url)).collect(),
            webhooks: listed.map(|row| Delivery::of(row, queue, now)).collect(),
        }
    }
}

impl DeliveryModeResponse {
    pub(in crate::api) fn of(change: &DeliveryModeChange, discarded: usize) -> Self {
        Self {
            before: DeliveryModeState::of(&change.before),
            now: DeliveryModeState::of(&change.after),
            waiting: change.waiting,
            in_flight: change.in_flight,
            discarded,
        }
    }
}

impl DeliveryModeState {
    fn of(mode: &DeliveryMode) -> Self {
        match mode {
            DeliveryMode::Free => Self::Free,
            DeliveryMode::Held(hold) => Self::Held { since: Time(hold.since), note: hold.note.clone() },
            DeliveryMode::Released(release) => {
                Self::Released { since: Time(release.since), per_second: release.per_second }
            }
        }
    }
}
