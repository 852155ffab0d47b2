//! The settings by which webhooks are made and sent. A reload of the configuration replaces them as a whole,
//! so their users read them at the moment of use and keep no part of them.

use std::sync::Arc;

use tokio::sync::watch;

use super::BodyLimits;
use crate::config::{Config, WebhooksConfig};

/// What a configuration says about webhooks.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookSettings {
    /// If set, deliveries are recorded as suppressed and not sent.
    pub disabled: bool,
    /// Everything else: the URL policy, headers, signing secrets, limits of the body.
    pub webhooks: WebhooksConfig,
}

impl WebhookSettings {
    pub fn of_config(config: &Config) -> Self {
        Self { disabled: config.http.disable_webhooks, webhooks: config.webhooks.clone() }
    }

    pub fn body_limits(&self) -> BodyLimits {
        BodyLimits {
            bytes_max: self.webhooks.body_bytes_max,
            allowed_fields: self.webhooks.allowed_fields.clone(),
        }
    }
}

/// Reads the settings in use. It is cheap to clone, and all clones see the same settings.
#[derive(Clone, Debug)]
pub struct LiveSettings(watch::Receiver<Arc<WebhookSettings>>);

/// Replaces the settings; held by the code that reloads the configuration.
#[derive(Debug)]
pub struct SettingsWriter(watch::Sender<Arc<WebhookSettings>>);

/// Returns a writer that can replace these settings, and a reader of the settings in use.
pub fn live_settings(settings: WebhookSettings) -> (SettingsWriter, LiveSettings) {
    let (sender, receiver) = watch::channel(Arc::new(settings));
    (SettingsWriter(sender), LiveSettings(receiver))
}

impl LiveSettings {
    /// Returns the settings in use at this moment.
    pub fn now(&self) -> Arc<WebhookSettings> {
        Arc::clone(&self.0.borrow())
    }

    /// Waits until the settings differ from those at the last call, or forever once the writer is gone.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

impl SettingsWriter {
    /// Replaces the settings and returns whether they differ from the previous ones. If not, no reader is
    /// notified.
    pub fn put(&self, settings: WebhookSettings) -> bool {
        self.0.send_if_modified(|current| {
            let differs = **current != settings;
            if differs {
                *current = Arc::new(settings);
            }
            differs
        })
    }
}
