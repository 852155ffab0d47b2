//! Deliveries: as a line of a listing, and with every attempt.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::{RunAttempt, Time, delivery_reason_codes, delivery_statuses};
use crate::domain::delivery_mode::DeliveryMode;
use crate::store::{AttemptRow, WebhookDetails, WebhookRow};
use crate::webhook::{redacted, webhook_id};

/// The duty to tell one URL about one ended run.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Delivery {
    /// Which.
    #[schema(format = Uuid)]
    pub delivery_id: String,
    /// As the receiver knows it: its `webhook-id` header.
    pub webhook_id: String,
    /// The run it tells about.
    #[schema(format = Uuid)]
    pub run_id: String,
    /// The cron of that run; none if a client of the agent server asked for it.
    pub cron_name: Option<String>,
    /// Where to, without its query.
    pub url: String,
    /// Where it stands.
    #[schema(schema_with = delivery_statuses)]
    pub status: &'static str,
    /// How many attempts were made or are being made.
    pub attempts_made: u32,
    /// Why it is as it is, for programs.
    #[schema(schema_with = delivery_reason_codes)]
    pub reason_code: Option<&'static str>,
    /// Why it is not delivered.
    pub reason: Option<String>,
    /// When the run ended.
    pub created_at: Time,
    /// When the next attempt is due.
    pub due_at: Option<Time>,
    /// Since when a hold keeps it, if one does.
    pub held_since: Option<Time>,
    /// When there was nothing more to do.
    pub ended_at: Option<Time>,
}

/// A delivery with its attempts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeliveryDetails {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// Its attempts, in order.
    pub attempts: Vec<Attempt>,
}

/// One HTTP try.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Attempt {
    /// As a run tells of it.
    #[serde(flatten)]
    pub in_short: RunAttempt,
    /// The address and port it was sent to.
    pub address: Option<String>,
    /// Looking its name up, in milliseconds.
    pub dns_ms: Option<u64>,
    /// Opening the connection.
    pub connect_ms: Option<u64>,
    /// The TLS handshake.
    pub tls_ms: Option<u64>,
    /// From the beginning until the head of the answer was there.
    pub first_byte_ms: Option<u64>,
    /// All of it.
    pub total_ms: Option<i64>,
    /// The beginning of an answer that did not accept it.
    pub answer: Option<String>,
}

impl Delivery {
    /// Of a row, as webhooks flow.
    pub fn of(row: &WebhookRow, mode: &DeliveryMode) -> Self {
        let delivery = &row.delivery;
        Self {
            delivery_id: delivery.delivery_id.to_string(),
            webhook_id: webhook_id(row.run_id),
            run_id: row.run_id.to_string(),
            cron_name: row.cron_name.clone(),
            url: redacted(&delivery.url),
            status: delivery.status.as_str(),
            attempts_made: delivery.attempts,
            reason_code: delivery.reason.as_ref().map(|reason| reason.code.as_str()),
            reason: delivery.reason.as_ref().and_then(|reason| reason.message.clone()),
            created_at: Time(delivery.created_at),
            due_at: delivery.due_at.map(Time),
            held_since: mode.keeps(delivery.status).map(|hold| Time(hold.since)),
            ended_at: delivery.ended_at.map(Time),
        }
    }
}

impl DeliveryDetails {
    /// Of all that is known, as webhooks flow.
    pub fn of(details: &WebhookDetails, mode: &DeliveryMode) -> Self {
        Self {
            delivery: Delivery::of(&details.row, mode),
            attempts: details.attempts.iter().map(Attempt::of).collect(),
        }
    }
}

impl Attempt {
    fn of(attempt: &AttemptRow) -> Self {
        let phases = &attempt.phases;
        let milliseconds =
            |took: Option<Duration>| took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        let total = attempt.ended_at.map(|ended_at| ended_at.duration_since(attempt.started_at).as_millis());
        Self {
            in_short: RunAttempt::of(attempt),
            address: attempt.address.clone(),
            dns_ms: milliseconds(phases.lookup),
            connect_ms: milliseconds(phases.connect),
            tls_ms: milliseconds(phases.tls),
            first_byte_ms: milliseconds(phases.head),
            total_ms: total.map(|total| i64::try_from(total).unwrap_or(i64::MAX)),
            answer: attempt.answer.clone(),
        }
    }
}
