//! How webhooks are described to a person: one delivery, its attempts, and what holds all of them back.

use jiff::{SignedDuration, Timestamp};

use super::{Tone, counted, times};
use crate::domain::delivery::{DeliveryStatus, Phases};
use crate::domain::delivery_mode::{DeliveryMode, Hold};
use crate::domain::outage::Outage;
use crate::store::{DeliveryRow, WebhookQueue};
use crate::webhook::is_of;

pub fn tone(status: DeliveryStatus) -> Tone {
    match status {
        DeliveryStatus::Delivered => Tone::Good,
        DeliveryStatus::Failed | DeliveryStatus::Gone | DeliveryStatus::Blocked => Tone::Bad,
        DeliveryStatus::Aborted | DeliveryStatus::Suppressed => Tone::Attention,
        DeliveryStatus::Pending | DeliveryStatus::Sending => Tone::Active,
    }
}

/// Returns how many webhooks were suppressed and have not been replayed since, or `None` if there are none.
pub fn suppressed_text(suppressed: u64) -> Option<String> {
    let how = "`agentcron webhook replay --status suppressed` sends them";
    (suppressed > 0).then(|| format!("{}, not sent; {how}", counted(suppressed, "webhook")))
}

/// Returns what a delivery waits for beside the time of its next attempt.
pub fn waits(delivery: &DeliveryRow, queue: &WebhookQueue, now: Timestamp) -> Option<String> {
    let due_at = delivery.due_at.filter(|_| delivery.status == DeliveryStatus::Pending)?;
    Some(match &queue.mode {
        DeliveryMode::Held(Hold { note: Some(note), .. }) => format!("held: {note}"),
        DeliveryMode::Held(_) => "held".to_owned(),
        DeliveryMode::Released(_) | DeliveryMode::Free if due_at > now => return None,
        DeliveryMode::Released(release) => {
            format!("waits for its turn: released at {} per second", release.per_second)
        }
        DeliveryMode::Free => {
            match queue.receivers_away.iter().find(|outage| is_of(&delivery.url, &outage.subject)) {
                Some(Outage { why, .. }) => format!("waits for its receiver, which is away: {why}"),
                None => "waits for a free slot at its receiver".to_owned(),
            }
        }
    })
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
