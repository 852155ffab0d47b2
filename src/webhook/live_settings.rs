//! The settings by which webhooks are made and sent. A reload of the configuration replaces them as a whole, so whoever
//! goes by them asks at the moment of use and keeps no part of them.

use std::sync::Arc;

use tokio::sync::watch;

use super::BodyLimits;
use crate::config::{Config, WebhooksConfig};

/// What a configuration says about webhooks.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookSettings {
    /// Deliveries are recorded as suppressed and not sent.
    pub disabled: bool,
    /// Everything else: the policy for URLs, headers, secrets, bounds of the body.
    pub webhooks: WebhooksConfig,
}

impl WebhookSettings {
    /// Those of this configuration.
    pub fn of_config(config: &Config) -> Self {
        Self { disabled: config.http.disable_webhooks, webhooks: config.webhooks.clone() }
    }

    /// Bounds of a webhook's body.
    pub fn body_limits(&self) -> BodyLimits {
        BodyLimits {
            bytes_max: self.webhooks.body_bytes_max,
            allowed_fields: self.webhooks.allowed_fields.clone(),
        }
    }
}

/// Tells which settings are in force. Cheap to clone; every clone tells the same.
#[derive(Clone, Debug)]
pub struct LiveSettings(watch::Receiver<Arc<WebhookSettings>>);

/// Puts settings in force; for the one who reads the configuration.
#[derive(Debug)]
pub struct SettingsWriter(watch::Sender<Arc<WebhookSettings>>);

/// These settings in force, and the means to put others in their place.
pub fn live_settings(settings: WebhookSettings) -> (SettingsWriter, LiveSettings) {
    let (put, tell) = watch::channel(Arc::new(settings));
    (SettingsWriter(put), LiveSettings(tell))
}

impl LiveSettings {
    /// The settings as of now.
    pub fn now(&self) -> Arc<WebhookSettings> {
        Arc::clone(&self.0.borrow())
    }

    /// Waits until others are in force than at the last call; forever if nobody can change them any more.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

impl SettingsWriter {
    /// Puts these in force. Answers whether they are others than before; if not, nobody is told.
    pub fn put(&self, settings: WebhookSettings) -> bool {
        self.0.send_if_modified(|now| {
            let differs = **now != settings;
            if differs {
                *now = Arc::new(settings);
            }
            differs
        })
    }
}
