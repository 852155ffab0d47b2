//! Counts of what this process has committed since its start, for metrics. Housekeeping does not lower them.
//!
//! What a transaction counts stays with it until its commit. One that is rolled back has counted nothing.

mod by_cron;
mod histogram;

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::ended::Ended;
use super::read_runs::{CronAhead, ReadAhead, ReadRun};
use super::sql::{Connection, Mark, Transaction, Writing};
use super::{StoreError, rollups};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::ids::{CronId, DaemonNumber, RunId};
use crate::domain::reason::ReasonCode;
use crate::domain::run::{Run, Status, Trigger};

pub use by_cron::{CountsByCron, CronCounts};
pub use histogram::{Histogram, HistogramSnapshot};

use by_cron::CountedCrons;

/// An event to count.
#[derive(Debug)]
pub(super) enum Counted {
    /// The backend accepted a run, `late` after it was due.
    Started { cron_id: Option<CronId>, late: Duration },
    /// A run ended, or occurrences were skipped or missed.
    Ended(Ended),
    /// A receiver answered with this HTTP status, or did not answer.
    Attempted { code: Option<u16> },
    /// A delivery ended with its last attempt, `took` after its run ended.
    Delivered { status: DeliveryStatus, took: Duration },
    /// Deliveries ended without a further attempt.
    NeverSent { status: DeliveryStatus, deliveries: usize },
}

/// A transaction of the writer, with the events to count once it is committed.
pub(super) struct Tx<'t> {
    transaction: Transaction<'t>,
    counted: RefCell<Vec<Counted>>,
    read_ahead: RefCell<ReadAhead>,
    /// Whether any URL is suspended; `None` as long as nobody has asked.
    pub(super) any_suspended: Cell<Option<bool>>,
}

/// The counts since the process started.
#[derive(Debug)]
pub struct CommitCounts {
    ended: [[Count; Trigger::ALL.len()]; Status::ALL.len()],
    reasons: [CountsByReason; Status::ALL.len()],
    never_ran: [Count; Status::ALL.len()],
    deliveries: [Count; DeliveryStatus::ALL.len()],
    attempts: [Count; ResponseClass::ALL.len()],
    /// The time from a run being due until the backend accepted it.
    pub start_delay: Histogram,
    /// The time from then until the run ended.
    pub run_time: Histogram,
    /// The time from the end of a run until its webhook was delivered.
    pub delivery_delay: Histogram,
    /// The duration of commits.
    pub commits: Histogram,
    /// How many changes each commit had.
    pub changes: Histogram,
    disk_outages: Count,
    disk_millis: Count,
    crons: CountedCrons,
}

/// Upper bounds in seconds: from a commit to an agent that works for an hour.
const SECONDS: [f64; 17] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0,
];

/// Upper bounds: from a change by itself to the most that one commit takes.
const CHANGES: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0];

crate::domain::words::words!(
    /// How a receiver responded to an attempt.
    ResponseClass {
        /// 2xx, or 1xx, which is not expected.
        Accepted = "2xx",
        Redirect = "3xx",
        Refused = "4xx",
        Broken = "5xx",
        /// There was no response, or it was not HTTP.
        Silent = "none",
    }
);

#[derive(Debug, Default)]
struct Count(AtomicU64);

#[derive(Debug)]
struct CountsByReason([Count; ReasonCode::ALL.len()]);

/// By hand, because the standard library derives it for at most 32 elements.
impl Default for CountsByReason {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Count::default()))
    }
}

impl Tx<'_> {
    /// Begins a transaction that writes.
    pub(super) fn begin(connection: &mut Connection) -> Result<Tx<'_>, StoreError> {
        Self::begin_as(connection, Writing::Alone)
    }

    /// Begins a transaction that writes, beside others or alone.
    pub(super) fn begin_as(connection: &mut Connection, writing: Writing) -> Result<Tx<'_>, StoreError> {
        Ok(Tx {
            transaction: Transaction::begin_as(connection, writing)?,
            counted: RefCell::default(),
            read_ahead: RefCell::default(),
            any_suspended: Cell::default(),
        })
    }

    /// Keeps what was locked and read before the next changes, where others may change it. Nothing but these changes may touch it
    /// meanwhile.
    pub(super) fn keep_ahead(&self, ahead: ReadAhead) {
        self.read_ahead.replace(ahead);
    }

    /// Returns a run that was read ahead, once: it is about to change.
    pub(super) fn take_read_ahead(&self, run_id: RunId) -> Option<ReadRun> {
        self.read_ahead.borrow_mut().runs.remove(&run_id)
    }

    /// Returns what was read ahead of a cron, as far as nothing has changed it since.
    pub(super) fn cron_ahead(&self, cron_id: CronId) -> Option<CronAhead> {
        self.read_ahead.borrow().crons.get(&cron_id).copied()
    }

    /// Forgets what was read ahead of a cron: it is about to change.
    pub(super) fn forget_ahead(&self, cron_id: CronId) {
        self.read_ahead.borrow_mut().crons.remove(&cron_id);
    }

    /// Counts an event once the transaction is committed.
    pub(super) fn count(&self, counted: Counted) {
        self.counted.borrow_mut().push(counted);
    }

    /// Counts and logs the end of a run once the transaction is committed, if the run has ended. `retried` says whether its
    /// occurrence goes on with a further run.
    pub(super) fn count_end(&self, run: &Run, retried: bool) {
        if let Some(ended) = Ended::of(run) {
            self.count(Counted::Ended(Ended { retried, ..ended }));
        }
    }

    /// Returns a mark for [`Tx::forget_since`].
    pub(super) fn mark(&self) -> usize {
        self.counted.borrow().len()
    }

    /// Forgets the events since `mark`, which were undone.
    pub(super) fn forget_since(&self, mark: usize) {
        self.counted.borrow_mut().truncate(mark);
    }

    /// Adds what has ended to the roll-ups. Call this once, at the end of the transaction.
    pub(super) fn roll_up(&self, daemon: DaemonNumber) -> Result<(), StoreError> {
        let counted = self.counted.borrow();
        let ended = counted.iter().filter_map(|counted| match counted {
            Counted::Ended(ended) => Some(ended),
            Counted::Started { .. }
            | Counted::Attempted { .. }
            | Counted::Delivered { .. }
            | Counted::NeverSent { .. } => None,
        });
        rollups::add(self, daemon, ended)
    }

    /// Commits the transaction, and returns its events, which are to be counted once it is known to be committed: there is a mark
    /// if that is not known yet.
    pub(super) fn commit(self) -> Result<(Vec<Counted>, Option<Mark>), StoreError> {
        let mark = self.transaction.commit()?;
        Ok((self.counted.into_inner(), mark))
    }
}

impl<'t> Deref for Tx<'t> {
    type Target = Transaction<'t>;

    fn deref(&self) -> &Transaction<'t> {
        &self.transaction
    }
}

impl Default for CommitCounts {
    fn default() -> Self {
        Self {
            ended: Default::default(),
            reasons: Default::default(),
            never_ran: Default::default(),
            deliveries: Default::default(),
            attempts: Default::default(),
            start_delay: Histogram::of(&SECONDS),
            run_time: Histogram::of(&SECONDS),
            delivery_delay: Histogram::of(&SECONDS),
            commits: Histogram::of(&SECONDS),
            changes: Histogram::of(&CHANGES),
            disk_outages: Count::default(),
            disk_millis: Count::default(),
            crons: CountedCrons::default(),
        }
    }
}

impl CommitCounts {
    /// Counts what was committed.
    pub(super) fn add_all(&self, committed: &[Counted]) {
        committed.iter().for_each(|counted| self.add(counted));
    }

    fn add(&self, counted: &Counted) {
        match counted {
            Counted::Started { cron_id, late } => {
                self.start_delay.observe(*late);
                self.crons.with(*cron_id, |cron| cron.lateness.observe(*late));
            }
            Counted::Ended(ended @ Ended { status, code, trigger, took, occurrences, .. }) => {
                self.crons.with(ended.cron_id, |cron| cron.add(ended));
                if let Some(code) = code {
                    self.reasons[*status as usize].0[*code as usize].add(*occurrences);
                }
                match status {
                    Status::Skipped | Status::Missed => self.never_ran[*status as usize].add(*occurrences),
                    Status::Success
                    | Status::Error
                    | Status::Timeout
                    | Status::Interrupted
                    | Status::Cancelled => self.ended[*status as usize][*trigger as usize].add(1),
                }
                if let Some(took) = took {
                    self.run_time.observe(*took);
                }
            }
            Counted::Attempted { code } => self.attempts[ResponseClass::of(*code) as usize].add(1),
            Counted::NeverSent { status, deliveries } => {
                self.deliveries[*status as usize].add(u64::try_from(*deliveries).unwrap_or(u64::MAX));
            }
            Counted::Delivered { status, took } => {
                self.deliveries[*status as usize].add(1);
                if *status == DeliveryStatus::Delivered {
                    self.delivery_delay.observe(*took);
                }
            }
        }
    }

    /// Counts a time in which the store could not commit, which is over.
    pub(super) fn disk_is_back(&self, took: Duration) {
        self.disk_outages.add(1);
        self.disk_millis.add(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    }

    /// Returns how often the store could not commit, and for how long, as far as that is over.
    pub fn disk_outages(&self) -> (u64, Duration) {
        (self.disk_outages.get(), Duration::from_millis(self.disk_millis.get()))
    }

    /// Returns what was counted by cron.
    pub fn by_cron(&self) -> CountsByCron {
        self.crons.now()
    }

    /// Counts these crons one by one from now on, as many as there may be: those first that are counted already, and then in
    /// this order.
    pub(super) fn count_crons(&self, crons: &[CronId]) {
        self.crons.set(crons);
    }

    /// Returns how many runs of this trigger ended with this status.
    pub fn ended(&self, status: Status, trigger: Trigger) -> u64 {
        self.ended[status as usize][trigger as usize].get()
    }

    /// Returns how many occurrences were skipped or missed.
    pub fn never_ran(&self, status: Status) -> u64 {
        self.never_ran[status as usize].get()
    }

    /// Returns how many runs and occurrences ended with this status for this reason.
    pub fn reasons(&self, status: Status, code: ReasonCode) -> u64 {
        self.reasons[status as usize].0[code as usize].get()
    }

    /// Returns how many deliveries ended with this status.
    pub fn deliveries(&self, status: DeliveryStatus) -> u64 {
        self.deliveries[status as usize].get()
    }

    /// Returns how many attempts got a response of this class.
    pub fn attempts(&self, response: ResponseClass) -> u64 {
        self.attempts[response as usize].get()
    }
}

impl ResponseClass {
    fn of(code: Option<u16>) -> Self {
        match code {
            None => Self::Silent,
            Some(..300) => Self::Accepted,
            Some(300..400) => Self::Redirect,
            Some(400..500) => Self::Refused,
            Some(500..) => Self::Broken,
        }
    }
}

impl Count {
    fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Execution;
    use crate::store::tests::open_store;

    #[tokio::test]
    async fn what_is_undone_was_not_counted() {
        let folder = tempfile::tempdir().unwrap();
        let store = open_store(folder.path(), Execution::WriterThread);
        let work = |undone: bool| {
            store.write(move |tx| {
                tx.count(Counted::Ended(Ended {
                    cron_id: None,
                    at: jiff::Timestamp::UNIX_EPOCH,
                    ran: false,
                    late: false,
                    retried: false,
                    called: "daily".to_owned(),
                    run_id: String::new(),
                    status: Status::Missed,
                    code: Some(ReasonCode::CatchupNone),
                    recorded_code: Some(ReasonCode::CatchupNone),
                    trigger: Trigger::Schedule,
                    retry: 0,
                    took: None,
                    occurrences: 7,
                    scheduled_for: jiff::Timestamp::UNIX_EPOCH,
                    error: None,
                    extends_record: false,
                }));
                if undone { Err(StoreError::Conflict("no".to_owned())) } else { Ok(()) }
            })
        };
        let (first, undone, last) = tokio::join!(work(false), work(true), work(false));
        assert_eq!((first.is_ok(), undone.is_ok(), last.is_ok()), (true, false, true));
        assert_eq!(store.counts().never_ran(Status::Missed), 14);
    }
}
