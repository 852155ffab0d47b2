//! What has happened and what is owed, in one SQLite file. The floors above call operations in domain terms
//! and never write SQL. Each operation is one transaction.

mod accounting;
mod acts;
mod also_at;
mod api_crons;
mod backfill;
mod backup;
mod cancel;
mod checkpoint;
mod client_runs;
mod coming;
mod counts;
mod cron_entries;
mod cron_state;
mod daemons;
mod definitions;
mod delivery_body;
mod delivery_mode;
mod delivery_queue;
mod denials;
mod disk_space;
mod edits;
mod ended;
mod erase;
mod error;
mod exposure;
mod failovers;
mod forget;
mod generations;
mod heartbeat;
mod held_runs;
mod hot;
mod housekeeping;
mod inactive_spans;
mod last_good;
mod lease;
mod lock;
mod migrate;
mod new_deliveries;
mod notices;
mod notifications;
mod occurrences;
mod open;
mod outages;
mod owed_webhooks;
mod own_input;
mod panic_trace;
mod pause_all;
mod pauses_of_all;
mod place;
mod planning;
mod published;
mod read;
mod read_runs;
mod readers;
mod receivers_away;
mod recovery;
mod replay;
mod restore;
mod retention;
mod retry;
mod rollups;
mod room;
mod rows;
mod scheduled_crons;
#[cfg_attr(not(feature = "postgres"), path = "no_server_errors.rs")]
mod server_errors;
mod sessions;
mod set_back;
mod skipped_ranges;
mod sql;
mod suspended;
mod swap;
mod sync_crons;
#[cfg(test)]
pub(crate) mod tests;
mod thread_deletions;
mod trigger;
mod waiting_limits;
mod waits_for;
mod weather;
mod webhook_switch;
mod write_queue;
mod writer;
mod zone_rules;

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tokio::sync::Notify;
use uuid::Uuid;

pub use also_at::AlsoAt;
pub use api_crons::{
    ApiCronChange, ApiCronRemoval, ChangedCron, CronFilter, CronOrder, CronPage, CronSearch, Direction,
    NewApiCron, StoredCron,
};
pub use backfill::{Backfill, BackfillFate, BackfillLine, BackfillOrder};
pub use backup::{BackupProgress, back_up};
pub use cancel::{CancelEffect, CancelledRun};
pub use coming::ComingByHour;
pub use counts::{CommitCounts, CountsByCron, CronCounts, Histogram, HistogramSnapshot, ResponseClass};
pub use cron_entries::NextPlan;
pub use cron_state::{ChangedCronState, CronStateChange};
pub use daemons::{FormerDaemon, Predecessor, host_name};
pub use delivery_mode::{DeliveryModeChange, Discard};
pub use delivery_queue::{Admission, Claimable, SenderOf};
pub use erase::Emptied;
pub use error::StoreError;
pub use exposure::exposure;
pub use forget::{ForgetSubject, Forgotten};
pub use generations::{GenerationInForce, Proposal, Proposed, Reading};
pub use heartbeat::{DueNow, Heartbeat};
pub use held_runs::HeldRun;
pub use hot::claim_runs::Claim;
pub use hot::deliveries::{ClaimedDelivery, DeliveryClaim, FinishedAttempt};
pub use hot::end_run::{AfterEnd, FailureLimit, RunEnding};
pub use hot::plan_due::Planned;
pub use hot::step_run::{PreviousRun, RunEvent, Step};
pub use lease::Sharing;
pub use lock::DaemonLock;
pub use migrate::{MovedTable, migrate};
#[cfg(test)]
pub(crate) use new_deliveries::RECEIVER;
pub use notices::{NewNotice, NoticeKind};
pub use notifications::{Notified, Notifying};
pub use panic_trace::{PanicTrace, keep_panics_beside, panic_count, trace_panics};
pub use pause_all::{ChangedPauseOfAll, PauseOfAllChange, change_pause_of_all_alone};
pub use place::Place;
pub use published::Published;
pub use read::{
    ActFilter, AttemptRow, BackendContact, Change, CronCursor, CronDetails, CronHead, CronListing,
    CronMeasures, CronRecord, CronRow, CronsAtAGlance, DaemonRow, DaemonState, DefinitionInShort,
    DeliveryDetails, DeliveryFilter, DeliveryRow, Denied, EventRow, FailingWebhooks, Failures, FeedPosition,
    Holdings, KeyChange, LastAnswer, LastGoodRun, ListedBy, LostWebhooks, MarksBetween, Measures, Mentions,
    News, Notice, Overview, PageCursor, QueuedWebhooks, Reader, ReceiverNow, ReceiverTally, Receivers,
    Recent, ReportSnapshot, RunBeside, RunDetails, RunFilter, RunInput, RunMark, RunRow, RunWatch,
    STATUS_PERIOD, StatusSnapshot, StoreFacts, Topic, Unstarted, UpcomingRow, Version, WaitingWebhooks,
    WatchUntil, WebhookDetails, WebhookQueue, WebhookRow, daemon_state, differences, lock_state,
};
pub use receivers_away::ReceiverAway;
pub use recovery::Recovered;
pub use replay::{Replay, ReplayChoice, ReplayOrder};
pub use restore::{RestoreAs, RestoredStore, restore};
pub use retention::{Deleted, DeletedBatch, Expired, ExpiredOfCron, Policies, Position, Walk, WalkFrom};
pub use retry::RetryRequest;
pub use room::{ClaimLimits, ClaimedRun};
pub use sessions::Session;
pub use sql::Server;
pub use sync_crons::SyncReport;
pub use thread_deletions::{DueDeletion, DueDeletions};
pub use trigger::{TriggerRequest, TriggeredRun};
pub use weather::{StoreFault, Weather};

use counts::Tx;
use definitions::Definitions;
use lease::Survivor;
use readers::Readers;
use write_queue::{Changes, HeldChange};
use writer::Writer;

use crate::clock::Clock;
use crate::domain::ids::{DaemonId, DaemonNumber, InstallationId, RunOwner};
use crate::domain::members::Members;
use crate::pulse::Pulse;

/// The daemon's store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    /// Declared before `writer` so that it drops first: the writer closes the file last, so that SQLite
    /// removes the WAL and a clean end leaves one file instead of three.
    readers: Arc<Readers>,
    writer: Arc<Writer>,
    definitions: Definitions,
    owner: RunOwner,
    /// Under which it holds what it has claimed.
    number: DaemonNumber,
    predecessor: Arc<Mutex<Predecessor>>,
    /// The daemons that take work.
    members: Arc<Mutex<Members>>,
    /// The daemon that has the store, and its predecessors.
    daemons: Arc<HashSet<DaemonId>>,
    lock: Arc<DaemonLock>,
    /// Notified of what the other daemons have to know.
    changed: Arc<Notify>,
    /// Notified if there are webhooks for the receivers of other daemons.
    left_webhooks: Arc<Notify>,
    left_to_others: Arc<Mutex<published::Left>>,
}

/// Where the closures that change the store run.
#[derive(Clone, Debug)]
pub enum Execution {
    /// They run on a thread of their own, all waiting ones in one transaction. Production uses this.
    WriterThread,
    /// Each runs where it is called, in a transaction of its own. Simulations use this, because there tokio's time must not
    /// run ahead in the meantime.
    Inline,
    /// As [`Execution::Inline`], if the weather lets it.
    Simulated(Weather),
}

/// Whether an order is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Act,
    /// Nothing is changed; the result says what would be done.
    DryRun,
}

impl Store {
    /// Takes the daemon's lock and opens the file.
    ///
    /// # Errors
    /// [`StoreError::Taken`] if another daemon has locked it, and those of [`Store::open_locked`].
    pub fn open(
        path: &Path,
        execution: Execution,
        new_installation: InstallationId,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let lock = Arc::new(DaemonLock::take(path)?);
        Self::open_locked(&lock, &path.into(), execution, new_installation, clock, None)
    }

    /// Opens or creates the file, checks it and migrates it. A new store gets the id `new_installation`. `waited` says since
    /// when this was not possible, and why.
    ///
    /// # Errors
    /// [`StoreError::NoRoom`] if the disk is full; [`StoreError::Unusable`] if the file is corrupt, belongs to another
    /// program or a newer version, or cannot be written. Nothing is overwritten in any of these cases.
    pub fn open_locked(
        lock: &Arc<DaemonLock>,
        place: &Place,
        execution: Execution,
        new_installation: InstallationId,
        clock: Clock,
        waited: Option<(Timestamp, String)>,
    ) -> Result<Self, StoreError> {
        let mut connection = place.open_to_write(new_installation, &clock)?;
        let (daemon_id, began) = (DaemonId(Uuid::new_v4()), clock.since_boot());
        let registration = daemons::register(&mut connection, lock, daemon_id, clock.now())
            .map_err(|error| place.in_words(error))?;
        let installation_id = registration.installation_id;
        let writer = Arc::new(Writer::new(
            connection,
            execution.clone(),
            clock,
            Arc::clone(lock),
            (&registration, began),
            waited,
        ));
        let (readers, definitions) =
            (Arc::new(Readers::new(place, execution)?), Definitions::new(installation_id));
        Ok(Self {
            readers,
            writer,
            definitions,
            owner: RunOwner { installation_id, daemon_id },
            number: registration.number,
            predecessor: Arc::new(Mutex::new(registration.predecessor)),
            members: Arc::new(Mutex::new(registration.members)),
            daemons: Arc::new(registration.daemons),
            lock: Arc::clone(lock),
            changed: Arc::default(),
            left_webhooks: Arc::default(),
            left_to_others: Arc::default(),
        })
    }

    /// Runs `work` in a transaction and returns its result after the commit. Several callers share one
    /// commit. Each has a savepoint of its own, so that a failure of one undoes only its own changes.
    ///
    /// `work` may run again if the whole transaction had to be rolled back (the disk was full, and has room
    /// again). So it must have no effect besides its transaction: it logs nothing, and returns what the
    /// caller must do after the commit.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let result = self.writer.write(Changes::Anything, work).await;
        self.changed.notify_one();
        result
    }

    /// Does the same for a hot operation that takes what is free: on PostgreSQL, those of other daemons run beside it, so that it
    /// locks the rows about which it decides, without waiting for them (`hot/mod.rs`).
    async fn write_hot<T: Send + 'static>(
        &self,
        work: impl FnMut(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.write(Changes::Free, work).await
    }

    /// Does the same for a change about a run that this daemon holds. It reads that run by `held_runs::run_to_change`, and changes
    /// no other run that anybody holds. On PostgreSQL the run is locked for it, and before that its cron if it is `with_cron`.
    async fn write_about<T: Send + 'static>(
        &self,
        change: HeldChange,
        work: impl FnMut(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.write(Changes::Held(change), work).await
    }

    /// Returns the id of this store, from which the ids of its crons, runs and threads derive.
    pub fn installation_id(&self) -> InstallationId {
        self.owner.installation_id
    }

    /// Returns who sends runs: this store, and the daemon that has it now.
    pub fn run_owner(&self) -> RunOwner {
        self.owner
    }

    /// Whether the daemon that has the store, or one that had it before, has this id.
    pub fn has_had_daemon(&self, daemon_id: DaemonId) -> bool {
        self.daemons.contains(&daemon_id)
    }

    /// Returns the counts of what this process has committed.
    pub fn counts(&self) -> &CommitCounts {
        self.writer.counts()
    }

    /// Returns after the next commit, or at once if there was one since the last call.
    pub async fn next_commit(&self) {
        self.writer.committed().notified().await;
    }

    /// Returns a receiver that is told of every commit from now on; many commits may be one.
    pub fn commits(&self) -> tokio::sync::watch::Receiver<()> {
        self.writer.commits().subscribe()
    }

    /// Returns the sign of life of the writer.
    pub fn pulse(&self) -> Pulse {
        self.writer.pulse().clone()
    }

    /// Returns how many changes wait for the writer.
    pub fn queued(&self) -> usize {
        self.writer.queued()
    }

    /// Returns the kind and size in bytes of each of its files that exists.
    pub fn sizes(&self) -> Vec<(&'static str, u64)> {
        let Some(database) = self.file() else { return Vec::new() };
        let size = |(file, ending): (&'static str, &str)| {
            let mut path = database.as_os_str().to_owned();
            path.push(ending);
            std::fs::metadata(path).ok().map(|metadata| (file, metadata.len()))
        };
        [("database", ""), ("wal", "-wal")].into_iter().filter_map(size).collect()
    }

    /// Returns once the writer has committed an empty change, which shows that it can commit.
    pub async fn commit_nothing(&self) -> Result<(), StoreError> {
        self.write_hot(|_| Ok(())).await
    }

    /// Returns what keeps the store from committing right now, such as a full disk, and since when.
    pub fn trouble(&self) -> Option<(Timestamp, String)> {
        self.writer.trouble()
    }

    /// Returns whether this daemon may still begin something: nobody else can hold what it holds.
    pub fn may_act(&self) -> bool {
        self.writer.lease().holds()
    }

    /// Returns what has to be known of this daemon to say which others are gone.
    fn survivor(&self) -> Survivor {
        let able_since = self.writer.lease().able_since();
        Survivor { number: self.number, sharing: self.sharing(), able_since }
    }

    /// Returns who may have the store at the same time.
    pub fn sharing(&self) -> Sharing {
        self.lock.sharing()
    }

    /// Returns when the store committed last.
    pub fn last_commit(&self) -> Timestamp {
        self.writer.last_commit()
    }
}
