//! What has happened and what is owed, in one SQLite file. The code above calls operations in the words of the
//! domain, never SQL; each operation is one transaction.

mod api_crons;
mod claim_runs;
mod client_runs;
mod counts;
mod cron_state;
mod definitions;
mod deliveries;
mod delivery_mode;
mod end_run;
mod error;
mod housekeeping;
mod lock;
mod notices;
mod occurrences;
mod open;
mod plan_due;
mod read;
mod readers;
mod replay;
mod requests;
mod rows;
mod step_run;
mod suspended;
mod sync_crons;
#[cfg(test)]
mod tests;
mod thread_deletions;
mod writer;

use std::path::Path;
use std::sync::Arc;

pub use api_crons::{
    ChangedCron, CronFilter, CronOrder, CronPage, CronSearch, Direction, NewApiCron, StoredCron,
};
pub use claim_runs::{Claim, ClaimLimits, ClaimedRun};
pub use counts::{Answer, Counts, Histogram, Tally};
pub use cron_state::CronStateChange;
pub use deliveries::{ClaimedDelivery, DeliveryClaim, FinishedAttempt};
pub use delivery_mode::DeliveryModeChange;
pub use end_run::{FailureLimit, RunEnding};
pub use error::StoreError;
pub use notices::NoticeKind;
pub use plan_due::{Planned, ScheduledCron};
pub use read::{
    AttemptRow, CronCursor, CronDetails, CronListing, CronRecord, CronRow, CronStatus, DaemonState,
    DeliveryDetails, DeliveryFilter, DeliveryRow, EventRow, Interest, Measures, Notice, Overview, PageCursor,
    Reader, RunDetails, RunFilter, RunRow, Watch, WebhookDetails, WebhookQueue, WebhookRow, daemon_state,
};
pub use replay::{Replay, ReplayChoice, ReplayOrder};
pub use requests::{BackfillFate, BackfillLine, BackfillOrder, CancelAnswer, Purpose};
pub use step_run::{PreviousRun, RunEvent, Step};
pub use sync_crons::{NewDefinition, SyncReport};
pub use thread_deletions::DueDeletion;

use counts::Tx;
use definitions::Definitions;
use lock::DaemonLock;
use readers::Readers;
use writer::Writer;

use crate::domain::ids::InstallationId;

/// The daemon's store: the only writer of its file. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    /// Before the writer, which is to close the file last: only so does a clean end leave one file, not three.
    readers: Arc<Readers>,
    writer: Arc<Writer>,
    definitions: Definitions,
    installation_id: InstallationId,
    _lock: Arc<DaemonLock>,
}

/// Where closures run that change the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execution {
    /// On a thread of their own, all that wait in one transaction: production.
    WriterThread,
    /// Where they are called, one transaction each: simulation, where tokio's time must not run ahead meanwhile.
    Inline,
}

impl Store {
    /// Opens or creates the file, takes the daemon's lock, checks and migrates it.
    ///
    /// # Errors
    /// [`StoreError::Taken`] if another daemon has it, [`StoreError::Unusable`] if the file is corrupt, of another
    /// program, of a newer version, or cannot be written. Nothing is overwritten in any of these cases.
    pub fn open(
        path: &Path,
        execution: Execution,
        new_installation: InstallationId,
    ) -> Result<Self, StoreError> {
        let lock = DaemonLock::take(path)?;
        let connection = open::open_to_write(path, new_installation)?;
        let installation_id = open::installation_id(&connection)?;
        let writer = Arc::new(Writer::new(connection, execution));
        let (readers, definitions) =
            (Arc::new(Readers::new(path, execution)?), Definitions::new(installation_id));
        Ok(Self { readers, writer, definitions, installation_id, _lock: Arc::new(lock) })
    }

    /// Runs `work` in a transaction and answers after its commit. Several callers share one commit; each has a
    /// savepoint of its own, so that a failure of one undoes only its own changes. `work` may run again if the
    /// transaction had to be rolled back as a whole (disk full, then free again).
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.write(work).await
    }

    /// Returns the id of this store, from which the ids of its crons, runs and threads derive.
    pub fn installation_id(&self) -> InstallationId {
        self.installation_id
    }

    /// What this process has committed.
    pub fn counts(&self) -> &Counts {
        self.writer.counts()
    }

    /// How many changes wait for the writer.
    pub fn queued(&self) -> usize {
        self.writer.queued()
    }

    /// The bytes of its files that are there, by what they are.
    pub fn sizes(&self) -> Vec<(&'static str, u64)> {
        let size = |(file, ending): (&'static str, &str)| {
            let mut path = self.path().as_os_str().to_owned();
            path.push(ending);
            std::fs::metadata(path).ok().map(|metadata| (file, metadata.len()))
        };
        [("database", ""), ("wal", "-wal")].into_iter().filter_map(size).collect()
    }

    /// Answers once the writer has committed something, if only nothing.
    pub async fn commit_nothing(&self) -> Result<(), StoreError> {
        self.write(|_| Ok(())).await
    }

    /// What keeps the store from committing right now, such as a full disk.
    pub fn trouble(&self) -> Option<String> {
        self.writer.trouble()
    }
}
