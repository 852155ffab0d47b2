//! The walks through the history, one for each rule that some records have in common.

use std::time::Duration;

use crate::domain::ids::CronId;
use crate::domain::run::Status;

/// One walk. Records with the same rule are found one after the other, however many other records there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Walk {
    /// Deletes records with this status that are kept for so long.
    Runs { status: Status, keep: Duration },
    /// Deletes the values of those whose values are kept for so long, and the bodies of their webhooks.
    Values { status: Status, keep: Duration },
    /// Deletes all but so many of the newest records of a cron.
    Most(CronId, u32),
}

impl Walk {
    /// Returns the key of the configuration by which a record goes on this walk.
    pub(super) fn key(self, went_wrong: bool) -> &'static str {
        match (self, went_wrong) {
            (Walk::Runs { .. }, false) => "keep",
            (Walk::Runs { .. }, true) => "keep_failures",
            (Walk::Values { .. }, _) => "keep_values",
            (Walk::Most(..), _) => "keep_runs_max",
        }
    }
}
