//! What this process has committed, counted for metrics: since its start, and whatever housekeeping forgets later.
//!
//! What a transaction counts waits in it until it is committed: one that is rolled back has counted nothing.

use std::cell::RefCell;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::Transaction;

use super::StoreError;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::reason::ReasonCode;
use crate::domain::run::{Run, RunState, Status, Trigger};

/// Something that has happened.
#[derive(Clone, Copy, Debug)]
pub(super) enum Counted {
    /// The backend has accepted a run, so long after it was due.
    Started { late: Duration },
    /// A run is over that took so long on the backend, if it got there.
    Ended { status: Status, code: Option<ReasonCode>, trigger: Trigger, took: Option<Duration> },
    /// Occurrences were skipped or missed.
    NeverRan { status: Status, code: ReasonCode, occurrences: u64 },
    /// A receiver has answered with this HTTP status, or not at all.
    Attempted { code: Option<u16> },
    /// A delivery is over with its last attempt, so long after its run was.
    Delivered { status: DeliveryStatus, took: Duration },
    /// Deliveries are over without a further attempt.
    NeverSent { status: DeliveryStatus, deliveries: usize },
}

/// A transaction of the writer, and what is to be counted once it is committed.
pub(super) struct Tx<'t> {
    transaction: Transaction<'t>,
    counted: RefCell<Vec<Counted>>,
}

/// All counts since the process started.
#[derive(Debug, Default)]
pub struct Counts {
    ended: [[Count; Trigger::ALL.len()]; Status::ALL.len()],
    reasons: [[Count; ReasonCode::ALL.len()]; Status::ALL.len()],
    never_ran: [Count; Status::ALL.len()],
    deliveries: [Count; DeliveryStatus::ALL.len()],
    answers: [Count; Answer::ALL.len()],
    /// From being due until the backend accepted a run.
    pub start_delay: Histogram,
    /// From then to its end.
    pub run_time: Histogram,
    /// From the end of a run until a receiver had been told.
    pub delivery_delay: Histogram,
    /// Commits of the store.
    pub commits: Histogram,
}

crate::domain::cron::words!(
    /// How a receiver has answered.
    Answer {
        /// 2xx, or a class below that nobody uses.
        Accepted = "2xx",
        /// 3xx.
        Redirect = "3xx",
        /// 4xx.
        Refused = "4xx",
        /// 5xx.
        Broken = "5xx",
        /// Not at all, or by what is no HTTP.
        Silent = "none",
    }
);

/// One count.
#[derive(Debug, Default)]
struct Count(AtomicU64);

/// How many took how long.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Each for itself; the last for what is beyond all bounds.
    buckets: [Count; BOUNDS_SECONDS.len() + 1],
    sum_us: Count,
}

/// A histogram at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Tally {
    /// Upper bounds in seconds, each with the count of all at or below it.
    pub buckets: Vec<(f64, u64)>,
    /// All.
    pub count: u64,
    /// In seconds.
    pub sum: f64,
}

/// From a commit to an agent that works for an hour.
const BOUNDS_SECONDS: [f64; 17] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0,
];

impl Tx<'_> {
    pub(super) fn of(transaction: Transaction<'_>) -> Tx<'_> {
        Tx { transaction, counted: RefCell::default() }
    }

    /// To be counted if it is committed.
    pub(super) fn count(&self, counted: Counted) {
        self.counted.borrow_mut().push(counted);
    }

    /// To be counted if it is committed, and if it is over.
    pub(super) fn count_end(&self, run: &Run) {
        let RunState::Ended { backend_run, outcome } = &run.state else { return };
        let (status, trigger) = (outcome.status, run.trigger);
        let code = outcome.reason.as_ref().map(|reason| reason.code);
        self.count(match status {
            Status::Skipped | Status::Missed => {
                Counted::NeverRan { status, code: code.unwrap_or(ReasonCode::Unknown), occurrences: 1 }
            }
            Status::Success | Status::Error | Status::Timeout | Status::Interrupted | Status::Cancelled => {
                let since = |backend_run: &crate::domain::run::BackendRun| {
                    crate::domain::backoff::between(backend_run.started_at, outcome.ended_at)
                };
                Counted::Ended { status, code, trigger, took: backend_run.as_ref().map(since) }
            }
        });
    }

    /// How much there is to count by now.
    pub(super) fn mark(&self) -> usize {
        self.counted.borrow().len()
    }

    /// What came after the mark was undone.
    pub(super) fn forget_since(&self, mark: usize) {
        self.counted.borrow_mut().truncate(mark);
    }

    /// Commits, and counts.
    pub(super) fn commit(self, counts: &Counts) -> Result<(), StoreError> {
        self.transaction.commit()?;
        self.counted.into_inner().into_iter().for_each(|counted| counts.add(counted));
        Ok(())
    }
}

impl<'t> Deref for Tx<'t> {
    type Target = Transaction<'t>;

    fn deref(&self) -> &Transaction<'t> {
        &self.transaction
    }
}

impl Counts {
    fn add(&self, counted: Counted) {
        match counted {
            Counted::Started { late } => self.start_delay.observe(late),
            Counted::Ended { status, code, trigger, took } => {
                if let Some(code) = code {
                    self.reasons[status as usize][code as usize].add(1);
                }
                self.ended[status as usize][trigger as usize].add(1);
                if let Some(took) = took {
                    self.run_time.observe(took);
                }
            }
            Counted::NeverRan { status, code, occurrences } => {
                self.reasons[status as usize][code as usize].add(occurrences);
                self.never_ran[status as usize].add(occurrences);
            }
            Counted::Attempted { code } => self.answers[Answer::of(code) as usize].add(1),
            Counted::NeverSent { status, deliveries } => {
                self.deliveries[status as usize].add(u64::try_from(deliveries).unwrap_or(u64::MAX));
            }
            Counted::Delivered { status, took } => {
                self.deliveries[status as usize].add(1);
                if status == DeliveryStatus::Delivered {
                    self.delivery_delay.observe(took);
                }
            }
        }
    }

    /// Runs that are over, by how they ended and why they were.
    pub fn ended(&self, status: Status, trigger: Trigger) -> u64 {
        self.ended[status as usize][trigger as usize].get()
    }

    /// Occurrences that were skipped or missed.
    pub fn never_ran(&self, status: Status) -> u64 {
        self.never_ran[status as usize].get()
    }

    /// Returns how many runs and occurrences ended with this status for this reason.
    pub fn reasons(&self, status: Status, code: ReasonCode) -> u64 {
        self.reasons[status as usize][code as usize].get()
    }

    /// Deliveries that are over.
    pub fn deliveries(&self, status: DeliveryStatus) -> u64 {
        self.deliveries[status as usize].get()
    }

    /// Attempts that are over.
    pub fn attempts(&self, answer: Answer) -> u64 {
        self.answers[answer as usize].get()
    }
}

impl Answer {
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

impl Histogram {
    pub(super) fn observe(&self, took: Duration) {
        let beyond = BOUNDS_SECONDS.iter().take_while(|bound| took.as_secs_f64() > **bound).count();
        self.buckets[beyond].add(1);
        self.sum_us.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// As it is now.
    pub fn tally(&self) -> Tally {
        let mut count = 0;
        let mut below = |bucket: &Count| {
            count += bucket.get();
            count
        };
        let buckets = BOUNDS_SECONDS.iter().zip(&self.buckets).map(|(bound, b)| (*bound, below(b))).collect();
        let count = below(&self.buckets[BOUNDS_SECONDS.len()]);
        Tally { buckets, count, sum: Duration::from_micros(self.sum_us.get()).as_secs_f64() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Execution, Store};

    #[tokio::test]
    async fn what_is_undone_was_not_counted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(
            &folder.path().join("agentcron.db"),
            Execution::WriterThread,
            crate::domain::ids::InstallationId::default(),
        )
        .unwrap();
        let work = |undone: bool| {
            store.write(move |tx| {
                let (status, code) = (Status::Missed, ReasonCode::CatchupNone);
                tx.count(Counted::NeverRan { status, code, occurrences: 7 });
                if undone { Err(StoreError::Refused("no".to_owned())) } else { Ok(()) }
            })
        };
        let (first, undone, last) = tokio::join!(work(false), work(true), work(false));
        assert_eq!((first.is_ok(), undone.is_ok(), last.is_ok()), (true, false, true));
        assert_eq!(store.counts().never_ran(Status::Missed), 14);
    }

    #[test]
    fn a_histogram_counts_what_is_at_or_below_each_bound() {
        let histogram = Histogram::default();
        for millis in [1, 2, 250, 7_200_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let tally = histogram.tally();
        let at = |bound: f64| tally.buckets.iter().find(|(b, _)| *b == bound).unwrap().1;
        assert_eq!((at(0.001), at(0.0025), at(0.1), at(0.25), at(3600.0)), (1, 2, 2, 3, 3));
        assert_eq!((tally.count, tally.sum), (4, 7200.253));
    }
}
