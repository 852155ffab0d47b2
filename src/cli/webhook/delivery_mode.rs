//! What stands between all webhooks and their receivers, in words and as JSON: told by `status`, `list` and `show`.

use crate::cli::output::{printable, several};
use crate::cli::session::Session;
use crate::cli::times;
use crate::domain::delivery_mode::{DeliveryMode, Hold, Suspension};
use crate::store::WebhookQueue;
use crate::webhook::redacted;

/// In one line; nothing if webhooks flow as usual.
pub(in crate::cli) fn words(mode: &WebhookQueue, session: &Session) -> Option<String> {
    let at = |at| times::local(at, &session.zone);
    let mut parts = Vec::new();
    if let Some(since) = mode.disabled_since {
        parts.push(format!("webhooks are disabled (http.disable_webhooks) since {}", at(since)));
    }
    match &mode.mode {
        DeliveryMode::Free => {}
        DeliveryMode::Held(hold) => {
            let (held, waiting) = (held_text(hold, session), mode.backlog);
            parts.push(format!(
                "webhooks are {held} ({waiting} wait; `agentcron webhook release` lets them go)"
            ));
        }
        DeliveryMode::Released(release) => {
            let (since, rate, left) = (at(release.since), release.per_second, mode.backlog);
            parts.push(format!(
                "webhooks are released at {rate} a second since {since} ({left} of what had piled up are left)"
            ));
        }
    }
    if mode.suspended_count > 0 {
        let mut urls: Vec<String> = mode.suspended.iter().take(3).map(url).collect();
        if mode.suspended_count > urls.len() as u64 {
            urls.push("…".to_owned());
        }
        let verb = if mode.suspended_count == 1 { "URL is" } else { "URLs are" };
        let (count, urls) = (mode.suspended_count, urls.join(", "));
        parts.push(format!("{count} {verb} suspended: {urls} (`agentcron webhook resume` tells them again)"));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// `held since 2026-03-02 09:00:00: the receiver moves`.
pub(in crate::cli) fn held_text(hold: &Hold, session: &Session) -> String {
    let note = hold.note.as_ref().map(|note| format!(": {}", printable(note))).unwrap_or_default();
    format!("held since {}{note}", times::local(hold.since, &session.zone))
}

/// What was suppressed and not replayed since, if anything.
pub(in crate::cli) fn suppressed_text(mode: &WebhookQueue) -> Option<String> {
    let how = "`agentcron webhook replay --status suppressed` sends them";
    (mode.suppressed > 0).then(|| format!("{}, not sent; {how}", several(mode.suppressed, "webhook")))
}

fn url(suspension: &Suspension) -> String {
    printable(&redacted(&suspension.url))
}
