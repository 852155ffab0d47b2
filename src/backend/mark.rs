//! The metadata that agentcron gives to its runs on the server, and by which it knows them again.
//!
//! A run is ours only if it bears our installation and our run id. Metadata alone is not always a run's own: the
//! server copies that of a thread to every run on it that does not set the same keys.

use serde_json::Value;

use crate::domain::ids::{DaemonId, InstallationId, RunId, RunOwner};

/// The metadata key of a fence: a run that has it is never one of ours.
pub(super) const FENCE_KEY: &str = "agentcron_fence";
/// The metadata key that holds our run id.
pub const RUN_KEY: &str = "agentcron_run_id";
/// The key that holds the id of the run's cron, in its metadata and its configuration.
pub const CRON_KEY: &str = "agentcron_cron_id";
/// The metadata key that says which installation the run belongs to.
pub const INSTALLATION_KEY: &str = "agentcron_installation_id";
/// The metadata key that says which life of that installation's daemon has sent the run.
pub const DAEMON_KEY: &str = "agentcron_daemon_id";

/// What a run on the server bears; every field is `None` if the run does not have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunMark {
    pub run_id: Option<RunId>,
    pub installation_id: Option<InstallationId>,
    pub daemon_id: Option<DaemonId>,
}

/// Returns the metadata that a run gets from who sends it.
pub fn run_mark(run_id: RunId, owner: RunOwner) -> [(&'static str, String); 3] {
    [
        (RUN_KEY, run_id.to_string()),
        (INSTALLATION_KEY, owner.installation_id.to_string()),
        (DAEMON_KEY, owner.daemon_id.to_string()),
    ]
}

impl RunMark {
    /// Reads the metadata of a run.
    pub fn of(metadata: &Value) -> Self {
        let text = |key: &str| metadata[key].as_str();
        Self {
            run_id: text(RUN_KEY).and_then(|id| id.parse().ok()),
            installation_id: text(INSTALLATION_KEY).and_then(|id| id.parse().ok()),
            daemon_id: text(DAEMON_KEY).and_then(|id| id.parse().ok()),
        }
    }

    /// Whether it marks this run of this installation.
    pub fn is(&self, run_id: RunId, installation_id: InstallationId) -> bool {
        self.run_id == Some(run_id) && self.installation_id == Some(installation_id)
    }
}
