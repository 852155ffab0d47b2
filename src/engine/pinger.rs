//! Tells dead man's switches that the daemon is well, as long as it is: it runs, and can commit. Such a ping is worth nothing later, so it
//! is not recorded, and the next one is its retry.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::config::Destination;
use crate::domain::notification::url_of_target;
use crate::store::{Store, StoreError};
use crate::webhook::{LiveSettings, OutboundWebhook, Sender, WebhookSettings};

/// What the pinger needs.
pub struct Pinger {
    pub store: Store,
    pub sender: Sender,
    /// The switches among the targets, and whether anything is sent.
    pub settings: LiveSettings,
    /// The machine of this daemon.
    pub host: String,
}

/// Pings until it is stopped.
pub async fn run(pinger: Pinger, stop: CancellationToken) -> Result<(), StoreError> {
    let (mut settings, mut next) = (pinger.settings.clone(), BTreeMap::<String, Instant>::new());
    loop {
        let (current, now) = (pinger.settings.now(), Instant::now());
        let switches = switches(&current);
        next.retain(|name, _| switches.contains_key(name.as_str()));
        let is_due = |name: &str| next.get(name).is_none_or(|at| *at <= now);
        let due: Vec<&str> = switches.keys().copied().filter(|name| is_due(name)).collect();
        if !due.is_empty() && pinger.store.trouble().is_none() && pinger.store.may_act() {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                _ = join_all(due.iter().map(|name| ping(&pinger, &current, name))) => {}
            }
        }
        next.extend(due.iter().map(|name| ((*name).to_owned(), now + switches[name])));
        let wake = next.values().min().copied();
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = settings.changed() => {}
            () = sleep_until(wake.unwrap_or(now)), if wake.is_some() => {}
        }
    }
}

/// Returns the dead man's switches, and how often each is pinged.
fn switches(settings: &WebhookSettings) -> BTreeMap<&str, Duration> {
    let of = |target: &Destination| match target {
        Destination::Ping { every, .. } => Some(*every),
        _ => None,
    };
    let targets = settings.notify.iter().filter(|_| settings.sends && !settings.disabled);
    targets.filter_map(|(name, target)| Some((name.as_str(), of(&target.to)?))).collect()
}

async fn ping(pinger: &Pinger, settings: &WebhookSettings, name: &str) {
    let sender = pinger.sender.with_settings(settings.webhooks.clone());
    let sender = sender.with_targets(std::sync::Arc::new(settings.notify.clone()));
    let body = json!({ "daemon": "agentcron", "version": env!("CARGO_PKG_VERSION"), "host": pinger.host });
    let message = OutboundWebhook {
        webhook_id: String::new(),
        url: url_of_target(name),
        body: body.to_string().into_bytes(),
        trace: None,
    };
    let report = sender.send(message).await;
    if let Some(detail) = report.result.detail() {
        tracing::warn!(target_name = name, detail, hourly = name, "dead man's switch not pinged");
    }
}
