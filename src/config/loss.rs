//! What a mistake takes away: as little as possible, so that one bad line stops one cron.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A part of the configuration that a mistake makes unknown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Loss {
    /// `[http]`. It has the switch of all webhooks, so they are held as well.
    Http,
    /// `[webhooks]`, or any other place that may forbid to send a webhook.
    Webhooks,
    Notify,
    Backend,
    Store,
    Log,
    ShutdownGrace,
    /// Every cron of every file.
    Crons,
    /// Which files there are besides those that were read.
    Includes,
    /// What this file says, except for the crons that were understood.
    File(Arc<Path>),
    /// The cron of this name.
    Cron(String),
    /// The URL of this cron's webhook, or of that in `[defaults]`, for want of a value.
    WebhookOf(Option<String>),
    /// Where several daemons share a store: whether this one may start the runs of this cron, or of all, for want of a value.
    ValueOf(Option<String>),
}

impl Loss {
    /// Returns what is lost with a table or key at the top of the main file; `None` for one that it does not have.
    pub(super) fn of_key(name: &str) -> Option<Self> {
        Some(match name {
            "http" => Self::Http,
            "webhooks" | "langgraph_json" => Self::Webhooks,
            "notify" => Self::Notify,
            "backend" => Self::Backend,
            "store" => Self::Store,
            "log" => Self::Log,
            "shutdown_grace" => Self::ShutdownGrace,
            "defaults" => Self::Crons,
            "include" => Self::Includes,
            _ => return None,
        })
    }

    /// Returns what is lost instead if only a value is missing that another daemon may have.
    pub(super) fn for_want_of_value(self) -> Self {
        match self {
            Self::Cron(name) => Self::ValueOf(Some(name)),
            Self::Crons => Self::ValueOf(None),
            other => other,
        }
    }

    /// Returns what is lost with the main file as a whole.
    pub(super) fn of_main_file() -> Vec<Self> {
        let sections = [Self::Http, Self::Webhooks, Self::Notify, Self::Backend, Self::Store];
        sections.into_iter().chain([Self::Log, Self::ShutdownGrace, Self::Crons]).collect()
    }
}

/// A cron of the store that no file was understood to define.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptCron {
    pub name: String,
    /// `file:line:column`, where it was defined.
    pub location: String,
}

impl KeptCron {
    /// Returns whether it was defined in this file, by whatever relative path.
    fn was_in(&self, file: &Path) -> bool {
        let location = self.location.rsplitn(3, ':').last().unwrap_or_default();
        let (was, is) = (without_dot(Path::new(location)), without_dot(file));
        was.ends_with(is) || is.ends_with(was)
    }
}

fn without_dot(path: &Path) -> &Path {
    path.strip_prefix(".").unwrap_or(path)
}

/// Decides which crons go on as they were although no file was understood to define them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeptCrons {
    losses: Vec<Loss>,
    /// The files that were read.
    files: Vec<PathBuf>,
}

impl KeptCrons {
    pub(crate) fn new<'l>(losses: impl Iterator<Item = &'l Loss>, files: &[PathBuf]) -> Self {
        let of_crons = losses
            .filter(|loss| matches!(loss, Loss::Crons | Loss::Includes | Loss::File(_) | Loss::Cron(_)));
        Self { losses: of_crons.cloned().collect(), files: files.to_vec() }
    }

    /// Returns whether nothing is known to be missing, so that a cron that no file defines has been removed.
    pub fn is_empty(&self) -> bool {
        self.losses.is_empty()
    }

    pub fn keep(&self, cron: &KeptCron) -> bool {
        // It may have been moved to a file that is not understood.
        let is_homeless = || !self.files.iter().any(|file| cron.was_in(file));
        self.losses.iter().any(|loss| match loss {
            Loss::Includes => is_homeless(),
            Loss::File(_) => loss.concerns(cron) || is_homeless(),
            loss => loss.concerns(cron),
        })
    }
}

impl Loss {
    /// Returns whether the cron may be among what is lost.
    pub(super) fn concerns(&self, cron: &KeptCron) -> bool {
        match self {
            Self::Crons | Self::Includes => true,
            Self::File(file) => cron.was_in(file),
            Self::Cron(name) => *name == cron.name,
            Self::Http | Self::Webhooks | Self::Notify | Self::Backend | Self::Store => false,
            Self::Log | Self::ShutdownGrace | Self::WebhookOf(_) | Self::ValueOf(_) => false,
        }
    }
}
