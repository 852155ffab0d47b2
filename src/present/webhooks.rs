//! How webhooks are described to a person: one delivery, its attempts, and what holds all of them back.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Tone, counted, times};
use crate::domain::delivery::{DeliveryStatus, Phases};
use crate::domain::delivery_mode::{DeliveryMode, Hold};
use crate::domain::outage::{Away, Outage};
use crate::domain::reason::Reason;
use crate::store::{AttemptRow, DeliveryRow, WebhookQueue};
use crate::webhook::receiver;

pub fn tone(status: DeliveryStatus) -> Tone {
    match status {
        DeliveryStatus::Delivered => Tone::Good,
        DeliveryStatus::Failed | DeliveryStatus::Gone | DeliveryStatus::Blocked => Tone::Bad,
        DeliveryStatus::Aborted | DeliveryStatus::Suppressed => Tone::Attention,
        DeliveryStatus::Pending | DeliveryStatus::Sending => Tone::Active,
    }
}

/// Returns `held since 2026-03-02 09:00:00: the receiver moves`.
fn held_since(hold: &Hold, zone: &TimeZone) -> String {
    let note = hold.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
    format!("held since {}{note}", times::local(hold.since, zone))
}

/// Returns how many webhooks were suppressed and have not been replayed since, or `None` if there are none.
pub fn suppressed_text(suppressed: u64) -> Option<String> {
    let how = "`agentcron webhook replay --status suppressed` sends them";
    (suppressed > 0).then(|| format!("{}, not sent; {how}", counted(suppressed, "webhook")))
}

/// Returns why a delivery has ended as it did, or what its last attempt came to and what it waits for.
pub fn why(delivery: &DeliveryRow, queue: &WebhookQueue, zone: &TimeZone, now: Timestamp) -> String {
    let recorded = delivery.reason.as_ref().map(Reason::text).unwrap_or_default();
    let waits = match (delivery.status, &queue.mode, delivery.due_at) {
        (DeliveryStatus::Pending, DeliveryMode::Held(hold), _) => held_since(hold, zone),
        (DeliveryStatus::Pending, _, Some(due_at)) if due_at > now => {
            format!("next attempt {}, at {}", times::relative(due_at, now), times::local(due_at, zone))
        }
        (DeliveryStatus::Pending, DeliveryMode::Released(release), Some(_)) => {
            format!("waits for its turn: released at {} per second", release.per_second)
        }
        (DeliveryStatus::Pending, DeliveryMode::Free, Some(_)) => {
            let receiver = receiver(&delivery.url);
            match queue.receivers_away.iter().find(|outage| outage.is_of(Away::Receiver, &receiver)) {
                Some(Outage { since, why, .. }) => {
                    let since = times::local(*since, zone);
                    format!("waits for its receiver, which has failed since {since} ({why})")
                }
                None => "waits for a free slot at its receiver".to_owned(),
            }
        }
        (_, _, _) => return recorded.to_owned(),
    };
    if recorded.is_empty() { waits } else { format!("{recorded}; {waits}") }
}

/// Returns `HTTP 503`, or `no response`.
pub fn response_text(code: Option<u16>) -> String {
    code.map_or("no response".to_owned(), |code| format!("HTTP {code}"))
}

/// Returns `HTTP 503 from 192.0.2.7:443 in 12 ms`.
pub fn response_with_address(code: Option<u16>, address: Option<&str>, took: SignedDuration) -> String {
    let from = match (code, address) {
        (Some(_), Some(address)) => format!(" from {address}"),
        (Some(_), None) | (None, _) => String::new(),
    };
    format!("{}{from} in {}", response_text(code), times::took(took))
}

/// Returns the result of an attempt: its response, or that it is in progress.
pub fn attempt_text(attempt: &AttemptRow) -> String {
    match attempt.ended_at {
        None => "in progress".to_owned(),
        Some(ended_at) => {
            let took = ended_at.duration_since(attempt.started_at);
            response_with_address(attempt.code, attempt.address.as_deref(), took)
        }
    }
}

/// Returns what followed an attempt: the `next` one, a wait, or the end of the delivery.
pub fn followed_text(
    delivery: &DeliveryRow,
    next: Option<&AttemptRow>,
    queue: &WebhookQueue,
    zone: &TimeZone,
    now: Timestamp,
) -> String {
    match (next, delivery.due_at) {
        (Some(next), _) => format!("retried at {}", times::local(next.started_at, zone)),
        (None, Some(_)) if queue.mode.keeps(delivery.status).is_some() => {
            "will be retried once released".to_owned()
        }
        (None, Some(due_at)) => {
            format!("will be retried {}, at {}", times::relative(due_at, now), times::local(due_at, zone))
        }
        (None, None) => delivery.status.to_string(),
    }
}

/// Returns where the time of an attempt went: `dns 1 ms, connect 2 ms, tls 9 ms, first byte 30 ms`.
pub fn phases_text(phases: &Phases) -> String {
    let named = [
        ("dns", phases.lookup),
        ("connect", phases.connect),
        ("tls", phases.tls),
        ("first byte", phases.head),
    ];
    let took = named.into_iter().filter_map(|(name, took)| {
        let took = SignedDuration::try_from(took?).ok()?;
        Some(format!("{name} {}", times::took(took)))
    });
    took.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
