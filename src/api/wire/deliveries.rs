//! Deliveries: as an entry of a listing, and with every attempt.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Time, Word, delivery_reason_code_or_null, delivery_statuses};
use crate::domain::delivery::{DeliveryStatus, Phases};
use crate::domain::reason::DeliveryReasonCode;
use crate::domain::run::called;
use crate::present::webhooks;
use crate::store::{AttemptRow, WebhookDetails, WebhookQueue, WebhookRow};
use crate::webhook::{redacted, webhook_id};

/// A webhook about one ended run to one URL, or a notification.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    #[schema(format = Uuid)]
    pub delivery_id: String,
    /// The `webhook-id` header that the receiver sees.
    pub webhook_id: String,
    /// The run that it is about; null for a notification.
    #[schema(format = Uuid)]
    pub run_id: Option<String>,
    /// The cron of that run; null if a client of the agent server started it, and for a notification.
    pub cron_name: Option<String>,
    /// Where it is sent; without the query. `notify://NAME` is the target `NAME` of notifications,
    /// and `ping+https://…` a dead man's switch.
    pub url: String,
    #[schema(schema_with = delivery_statuses)]
    pub status: Word<DeliveryStatus>,
    /// How many attempts were made, including one in flight.
    pub attempts_made: u32,
    /// Why it has this status, for programs; null if there is nothing to explain.
    #[schema(schema_with = delivery_reason_code_or_null)]
    pub reason_code: Option<Word<DeliveryReasonCode>>,
    /// Why it has this status, human-readable.
    pub reason: Option<String>,
    /// When the run ended.
    pub created_at: Time,
    /// When the next attempt is due; null if none is, or if one is in flight.
    pub due_at: Option<Time>,
    /// What it waits for beside that time, human-readable; null if it waits for nothing else.
    pub waits: Option<String>,
    /// Since when a hold keeps it from being sent; null if none does.
    pub held_since: Option<Time>,
    /// When its last attempt ended, or when it was given up; null while it is queued.
    pub ended_at: Option<Time>,
}

/// A delivery with its attempts.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeliveryDetails {
    #[serde(flatten)]
    pub delivery: Delivery,
    /// In the order in which they were made.
    pub attempts: Vec<Attempt>,
}

/// One HTTP request to a receiver.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// Its number, counted from 1.
    pub attempt: u32,
    pub started_at: Time,
    /// Null while it is in flight.
    pub ended_at: Option<Time>,
    /// The HTTP status; null if there was no response.
    pub code: Option<u16>,
    /// What went wrong, human-readable.
    pub detail: Option<String>,
    /// The IP address and port that it was sent to.
    pub address: Option<String>,
    /// How long the DNS lookup took, in milliseconds.
    pub dns_ms: Option<u64>,
    /// How long opening the connection took, in milliseconds.
    pub connect_ms: Option<u64>,
    /// How long the TLS handshake took, in milliseconds.
    pub tls_ms: Option<u64>,
    /// Time from the start of the attempt until the head of the response arrived, in milliseconds.
    pub first_byte_ms: Option<u64>,
    /// How long the whole attempt took, in milliseconds.
    pub total_ms: Option<i64>,
    /// The beginning of the response body, if the receiver did not accept the webhook.
    pub answer: Option<String>,
}

impl Delivery {
    /// Returns how tables call the cron; a notification is about none.
    pub fn called(&self) -> &str {
        self.run_id.as_ref().map_or("", |_| called(self.cron_name.as_deref()))
    }

    /// `queue` is that of the same moment.
    pub fn of(row: &WebhookRow, queue: &WebhookQueue, now: Timestamp) -> Self {
        let delivery = &row.delivery;
        Self {
            delivery_id: delivery.delivery_id.to_string(),
            webhook_id: webhook_id(row.run_id, delivery.delivery_id),
            run_id: row.run_id.map(|run_id| run_id.to_string()),
            cron_name: row.cron_name.clone(),
            url: redacted(&delivery.url),
            status: Word(delivery.status),
            attempts_made: delivery.attempts,
            reason_code: delivery.reason.as_ref().map(|reason| Word(reason.code)),
            reason: delivery.reason.as_ref().and_then(|reason| reason.message.clone()),
            created_at: Time(delivery.created_at),
            due_at: delivery.due_at.map(Time),
            waits: webhooks::waits(delivery, queue, now),
            held_since: queue.mode.keeps(delivery.status).map(|hold| Time(hold.since)),
            ended_at: delivery.ended_at.map(Time),
        }
    }
}

impl DeliveryDetails {
    pub fn of(details: &WebhookDetails, queue: &WebhookQueue, now: Timestamp) -> Self {
        Self {
            delivery: Delivery::of(&details.row, queue, now),
            attempts: details.attempts.iter().map(Attempt::of).collect(),
        }
    }
}

impl Attempt {
    pub(super) fn of(attempt: &AttemptRow) -> Self {
        let phases = &attempt.phases;
        let milliseconds =
            |took: Option<Duration>| took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        let total = attempt.ended_at.map(|ended_at| ended_at.duration_since(attempt.started_at).as_millis());
        Self {
            attempt: attempt.attempt,
            started_at: Time(attempt.started_at),
            ended_at: attempt.ended_at.map(Time),
            code: attempt.code,
            detail: attempt.detail.clone(),
            address: attempt.address.clone(),
            dns_ms: milliseconds(phases.lookup),
            connect_ms: milliseconds(phases.connect),
            tls_ms: milliseconds(phases.tls),
            first_byte_ms: milliseconds(phases.head),
            total_ms: total.map(|total| i64::try_from(total).unwrap_or(i64::MAX)),
            answer: attempt.answer.clone(),
        }
    }

    /// Returns where its time went.
    pub fn phases(&self) -> Phases {
        let duration = |took: Option<u64>| took.map(Duration::from_millis);
        Phases {
            lookup: duration(self.dns_ms),
            connect: duration(self.connect_ms),
            tls: duration(self.tls_ms),
            head: duration(self.first_byte_ms),
        }
    }
}
