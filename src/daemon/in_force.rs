//! The settings that change while a daemon runs: those of its files, and where several daemons share a store, those that the
//! generation in force has for all of them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::config::{self, CommonSettings, Config, Live, LiveWriter, agreed_settings};
use crate::domain::generation::Understood;
use crate::domain::retention::Retention;
use crate::store::{Proposal, Sharing};
use crate::webhook::{LiveSettings, WebhookSettings};

/// Publishes the settings in force.
pub(super) struct SettingsInForce {
    sharing: Sharing,
    webhooks: LiveWriter<WebhookSettings>,
    retention: LiveWriter<Retention>,
    parts: Mutex<Parts>,
    /// Notified when the files were read.
    pub(super) files_read: Notify,
}

/// What they are made of.
struct Parts {
    webhooks: WebhookSettings,
    retention: Retention,
    /// What the generation in force says instead, if there are generations.
    common: Option<CommonSettings>,
    files: OwnFiles,
}

/// The files of this daemon when they were last read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OwnFiles {
    /// What tells them from others.
    pub(super) digest: String,
    /// The settings that should be the same everywhere.
    pub(super) agreed: Vec<(String, String)>,
}

/// Which settings have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) webhooks: bool,
    pub(super) retention: bool,
}

impl SettingsInForce {
    /// Returns them as they are at the start, and where the loops read them.
    pub(super) fn begin(
        sharing: Sharing,
        config: &Config,
        common: Option<CommonSettings>,
    ) -> (Self, LiveSettings, Live<Retention>) {
        let mut parts = Parts::of_files(sharing, config);
        parts.common = common;
        let (webhooks, live_webhooks) = config::live(parts.webhooks());
        let (retention, live_retention) = config::live(parts.retention());
        let (parts, files_read) = (Mutex::new(parts), Notify::new());
        (Self { sharing, webhooks, retention, parts, files_read }, live_webhooks, live_retention)
    }

    /// Applies what the files say.
    pub(super) fn set_files(&self, config: &Config) -> Changed {
        let mut parts = self.parts();
        let common = parts.common.take();
        *parts = Parts { common, ..Parts::of_files(self.sharing, config) };
        let changed = self.put(&parts);
        self.files_read.notify_one();
        changed
    }

    /// Applies what the generation in force says for every daemon.
    pub(super) fn set_common(&self, common: CommonSettings) -> Changed {
        let mut parts = self.parts();
        parts.common = Some(common);
        self.put(&parts)
    }

    /// Returns what is known of the files.
    pub(super) fn files(&self) -> OwnFiles {
        self.parts().files.clone()
    }

    /// Whether this daemon sends webhooks, as far as that is its own business.
    pub(super) fn sends_webhooks(&self) -> bool {
        self.parts().webhooks.sends
    }

    fn put(&self, parts: &Parts) -> Changed {
        Changed {
            webhooks: self.webhooks.put(parts.webhooks()),
            retention: self.retention.put(parts.retention()),
        }
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Parts {
    fn of_files(sharing: Sharing, config: &Config) -> Self {
        let (webhooks, files) = match sharing {
            Sharing::Alone => (WebhookSettings::of_config(config), OwnFiles::default()),
            Sharing::Shared => (WebhookSettings::of_several(config), OwnFiles::of_config(config)),
        };
        Self { webhooks, retention: config.store.retention.clone(), common: None, files }
    }

    fn webhooks(&self) -> WebhookSettings {
        let disabled = self.common.as_ref().map(|common| common.disable_webhooks);
        WebhookSettings { disabled: disabled.unwrap_or(self.webhooks.disabled), ..self.webhooks.clone() }
    }

    fn retention(&self) -> Retention {
        self.common.as_ref().map_or(&self.retention, |common| &common.retention).clone()
    }
}

impl OwnFiles {
    fn of_config(config: &Config) -> Self {
        let agreed =
            agreed_settings(config).into_iter().map(|(name, mark)| (name.to_owned(), mark)).collect();
        Self { digest: proposal(config, "").digest(), agreed }
    }
}

/// Returns what this daemon proposes to the others.
pub(super) fn proposal(config: &Config, host: &str) -> Proposal {
    Proposal {
        definitions: config.crons.clone(),
        kept: config.kept.clone(),
        settings: CommonSettings::of_config(config).to_text(),
        understood: if config.is_whole() { Understood::All } else { Understood::InPart },
        host: host.to_owned(),
    }
}
