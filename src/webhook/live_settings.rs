//! The settings with which webhooks are made and sent.

use crate::config::{Config, Live, WebhooksConfig};

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
}

/// The settings in use.
pub type LiveSettings = Live<WebhookSettings>;
