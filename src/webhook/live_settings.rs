//! The settings with which webhooks are made and sent.

use crate::config::{Config, Live, NotifyConfig, WebhooksConfig};

/// What a configuration says about webhooks.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookSettings {
    /// If set, deliveries are recorded as suppressed and not sent.
    pub disabled: bool,
    /// Whether this daemon sends any; otherwise it leaves them to others.
    pub sends: bool,
    /// Everything else: the URL policy, headers, signing secrets, limits of the body.
    pub webhooks: WebhooksConfig,
    /// Who is notified of what.
    pub notify: NotifyConfig,
}

impl WebhookSettings {
    /// Returns the settings of a daemon that has the store alone.
    pub fn of_config(config: &Config) -> Self {
        let (webhooks, notify) = (config.webhooks.clone(), config.notify.clone());
        Self { disabled: config.http.disable_webhooks, sends: true, webhooks, notify }
    }

    /// Returns the settings of a daemon that shares the store. Whether webhooks are only recorded is the same for all; but none is
    /// sent by a daemon whose own files or environment say so, or may say so where they have a mistake.
    pub fn of_several(config: &Config) -> Self {
        let sends = !config.http.disable_webhooks && !config.holds_webhooks();
        let (webhooks, notify) = (config.webhooks.clone(), config.notify.clone());
        Self { sends, disabled: config.http.disabled_by_files, webhooks, notify }
    }
}

/// The settings in use.
pub type LiveSettings = Live<WebhookSettings>;
