//! The only writer. Closures wait in a queue, and all that wait are committed in one transaction, because the
//! cost of a commit is its fsync, however much it contains. Each closure has its own savepoint, and its
//! caller gets the result after the commit.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::counts::{CommitCounts, Counted, Tx};
use super::daemons::Registration;
use super::lease::Lease;
use super::sql::{Connection, Fate, Mark, Writing};
use super::weather::{StoreFault, Weather};
use super::write_queue::{Changes, Closure, HeldChange, Queue, QueuedWrite, STOPPED};
use super::{DaemonLock, Execution, StoreError, daemons, held_runs, outages};
use crate::clock::Clock;
use crate::domain::backoff;
use crate::domain::bounds::{
    CONTENDED_BESIDE_MAX, CONTENDED_MAX, CONTENDED_WAIT, STORE_CONNECTED_EVERY, WRITES_QUEUED,
};
use crate::domain::ids::DaemonNumber;
use crate::domain::outage::{Away, Outage};
use crate::pulse::Pulse;

/// The wait before a commit is tried again while the disk is full or the file is locked.
const RETRY_WAIT: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    execute: Execute,
    health: Arc<WriterHealth>,
}

enum Execute {
    Thread { queue: Option<mpsc::Sender<Box<dyn QueuedWrite>>>, thread: Option<JoinHandle<()>> },
    Inline(Mutex<Connection>, Option<Weather>),
}

/// What others can read about the writer.
struct WriterHealth {
    clock: Clock,
    /// Tells others what cannot be committed.
    lock: Arc<DaemonLock>,
    /// Whose sign of life each commit renews.
    daemon: DaemonNumber,
    /// How often the store had gone back to an earlier state at the start of this daemon.
    timeline: i64,
    lease: Lease,
    /// What keeps us from committing right now, and since when.
    trouble: Mutex<Option<(Timestamp, String)>>,
    /// When the latest commit began.
    last_commit: Mutex<Timestamp>,
    counts: CommitCounts,
    pulse: Pulse,
    /// Notified after each commit.
    committed: Notify,
    /// The same, for any number of those who want to know.
    commits: watch::Sender<()>,
    /// Whether others have taken this daemon for gone, so that nothing more is committed.
    is_ousted: AtomicBool,
    /// Cancelled when the thread has ended: what is queued at that moment is neither run nor dropped.
    ended: CancellationToken,
}

impl WriterHealth {
    fn trouble(&self) -> Option<(Timestamp, String)> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        execution: Execution,
        clock: Clock,
        lock: Arc<DaemonLock>,
        (registration, began): (&Registration, Duration),
        trouble: Option<(Timestamp, String)>,
    ) -> Self {
        let health = Arc::new(WriterHealth {
            last_commit: Mutex::new(clock.now()),
            lease: Lease::new(clock.clone(), registration.name(lock.sharing()), began, trouble.is_some()),
            clock,
            lock,
            daemon: registration.number,
            timeline: registration.timeline,
            trouble: Mutex::new(trouble),
            counts: CommitCounts::default(),
            pulse: Pulse::new("store writer"),
            committed: Notify::new(),
            commits: watch::Sender::new(()),
            is_ousted: AtomicBool::new(false),
            ended: CancellationToken::new(),
        });
        let execute = match execution {
            Execution::Inline => Execute::Inline(Mutex::new(connection), None),
            Execution::Simulated(weather) => Execute::Inline(Mutex::new(connection), Some(weather)),
            Execution::WriterThread => {
                let (queue, waiting) = mpsc::channel(WRITES_QUEUED);
                let shared = Arc::clone(&health);
                let thread = std::thread::Builder::new()
                    .name("store-writer".to_owned())
                    .spawn(move || write_until_closed(connection, waiting, &shared))
                    .ok();
                Execute::Thread { queue: Some(queue), thread }
            }
        };
        Self { execute, health }
    }

    pub(super) fn trouble(&self) -> Option<(Timestamp, String)> {
        self.health.trouble()
    }

    pub(super) fn last_commit(&self) -> Timestamp {
        *self.health.last_commit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.health.clock
    }

    /// Returns how often the store had gone back to an earlier state at the start of this daemon.
    pub(super) fn timeline(&self) -> i64 {
        self.health.timeline
    }

    pub(super) fn lease(&self) -> &Lease {
        &self.health.lease
    }

    pub(super) fn counts(&self) -> &CommitCounts {
        &self.health.counts
    }

    pub(super) fn pulse(&self) -> &Pulse {
        &self.health.pulse
    }

    pub(super) fn committed(&self) -> &Notify {
        &self.health.committed
    }

    pub(super) fn commits(&self) -> &watch::Sender<()> {
        &self.health.commits
    }

    pub(super) fn queued(&self) -> usize {
        match &self.execute {
            Execute::Thread { queue: Some(queue), .. } => queue.max_capacity() - queue.capacity(),
            Execute::Thread { queue: None, .. } | Execute::Inline(..) => 0,
        }
    }

    /// Returns why nothing is committed any more.
    fn stopped(&self) -> StoreError {
        match self.health.is_ousted.load(Ordering::Relaxed) {
            true => StoreError::Ousted,
            false => StoreError::Lost(STOPPED.to_owned()),
        }
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        changes: Changes,
        work: impl FnMut(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, result) = oneshot::channel();
        let closure: Box<dyn QueuedWrite> = Box::new(Closure { changes, work, result: None, reply });
        match &self.execute {
            Execute::Inline(connection, weather) => {
                let fault = match weather {
                    Some(weather) => weather.next().await,
                    None => StoreFault::None,
                };
                if fault != StoreFault::BeforeCommit {
                    let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                    commit_until_done(&mut connection, vec![closure], &self.health, &mut Queue::Inline);
                }
                if fault != StoreFault::None {
                    return Err(StoreError::Lost(format!("simulated: {fault:?}")));
                }
            }
            Execute::Thread { queue, .. } => {
                let queue = queue.as_ref().ok_or_else(|| self.stopped())?;
                queue.send(closure).await.map_err(|_| self.stopped())?;
            }
        }
        tokio::select! {
            biased;
            result = result => result.map_err(|_| self.stopped())?,
            () = self.health.ended.cancelled() => Err(self.stopped()),
        }
    }
}

impl Drop for Writer {
    /// Waits until everything that was queued is committed and the file is closed.
    fn drop(&mut self) {
        if let Execute::Thread { queue, thread } = &mut self.execute {
            drop(queue.take());
            if let Some(thread) = thread.take() {
                let _ = thread.join();
            }
        }
    }
}

fn write_until_closed(
    mut connection: Connection,
    waiting: mpsc::Receiver<Box<dyn QueuedWrite>>,
    health: &WriterHealth,
) {
    let _ended = health.ended.clone().drop_guard();
    let mut queue = Queue::Thread { waiting, next: VecDeque::new(), is_sorted: connection.is_far() };
    while let Some(first) = queue.wait() {
        health.pulse.busy();
        let mut batch = vec![first];
        queue.join_waiting(&mut batch);
        match commit_until_done(&mut connection, batch, health, &mut queue) {
            Committed::Yes => {}
            // The truth is in the file and not in this process: nothing more is accepted.
            Committed::StoreLost => return,
        }
        health.pulse.idle();
    }
    connection.close();
}

/// Whether the store can still be written after a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Committed {
    Yes,
    StoreLost,
}

/// Commits the batch, waiting as long as the disk is full or the file is locked, and sends every caller its
/// result. What has ended is logged after that, so that nobody waits for the log.
fn commit_until_done(
    connection: &mut Connection,
    mut batch: Vec<Box<dyn QueuedWrite>>,
    health: &WriterHealth,
    queue: &mut Queue,
) -> Committed {
    let mut contended = 0;
    let outcome = loop {
        let began = health.clock.now();
        let writing = writing(&batch, health, contended);
        match commit(connection, &mut batch, health, queue, writing) {
            Ok(counted) => break Ok(counted),
            Err(error) if error.is_contention() && contended < CONTENDED_MAX => {
                contended += 1;
                std::thread::sleep(CONTENDED_WAIT * contended);
            }
            Err(error) if (error.is_disk_full() || error.is_busy()) && !queue.is_closed() => {
                report(health, Some((began, &error)));
                std::thread::sleep(RETRY_WAIT);
            }
            // Nothing of it is committed.
            Err(error) if error.is_away() && !queue.is_closed() => match connection.reconnect() {
                Ok(()) => {}
                Err(still) if still.is_away() => {
                    report(health, Some((began, &still)));
                    std::thread::sleep(STORE_CONNECTED_EVERY);
                }
                Err(error) => break Err(error),
            },
            Err(error) => break Err(error),
        }
    };
    match &outcome {
        // It begins anew, and says so.
        Err(StoreError::Ousted) => health.is_ousted.store(true, Ordering::Relaxed),
        outcome => report(health, outcome.as_ref().err().map(|error| (health.clock.now(), error))),
    }
    if let Err(error) = &outcome {
        for work in &mut batch {
            work.fail(match error {
                StoreError::Ousted => StoreError::Ousted,
                error => StoreError::Lost(error.to_string()),
            });
        }
    }
    for work in batch {
        work.reply();
    }
    match outcome {
        Ok(counted) => {
            for counted in counted {
                if let Counted::Ended(ended) = counted {
                    ended.log();
                }
            }
            health.committed.notify_one();
            health.commits.send_replace(());
            Committed::Yes
        }
        Err(_) => Committed::StoreLost,
    }
}

/// Returns whether a transaction is committed that was not confirmed. It waits until the server says so.
fn is_committed(
    connection: &mut Connection,
    mark: &Mark,
    health: &WriterHealth,
    queue: &Queue,
) -> Result<bool, StoreError> {
    let began = health.clock.now();
    loop {
        match connection.fate_of(mark) {
            Ok(Some(Fate::Committed)) => return Ok(true),
            Ok(Some(Fate::RolledBack)) => return Ok(false),
            // What others have of it is another daemon's to find out.
            Ok(Some(Fate::Lost)) => return Err(StoreError::Ousted),
            Ok(None) => {}
            Err(error) if error.is_away() && !queue.is_closed() => report(health, Some((began, &error))),
            Err(error) => return Err(error),
        }
        std::thread::sleep(STORE_CONNECTED_EVERY);
    }
}

/// Returns whether a batch is committed beside others. It is not if it was in their way too often, or if an outage is over, which
/// concerns every run.
fn writing(batch: &[Box<dyn QueuedWrite>], health: &WriterHealth, contended: u32) -> Writing {
    match batch.first() {
        Some(first) if contended <= CONTENDED_BESIDE_MAX && health.trouble().is_none() => {
            first.changes().writing()
        }
        Some(_) | None => Writing::Alone,
    }
}

/// Commits the whole batch, and what was queued while the batch ran, in one transaction: the claim of a run
/// follows its planning so closely that both can share an fsync.
///
/// # Errors
/// The error that made the whole transaction impossible. A closure's own failure goes only to its caller.
fn commit(
    connection: &mut Connection,
    batch: &mut Vec<Box<dyn QueuedWrite>>,
    health: &WriterHealth,
    queue: &mut Queue,
    writing: Writing,
) -> Result<Vec<Counted>, StoreError> {
    // A savepoint makes SQLite copy every page that is changed after it, and hardly any closure fails.
    match commit_as(connection, batch, health, queue, (writing, Savepoints::None))? {
        Some(counted) => Ok(counted),
        None => {
            Ok(commit_as(connection, batch, health, queue, (writing, Savepoints::Each))?.unwrap_or_default())
        }
    }
}

/// What is undone if a closure fails by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Savepoints {
    /// The whole transaction.
    None,
    /// What that closure has done.
    Each,
}

/// Commits the batch, or returns `None` if nothing is committed because a closure failed and has no savepoint.
fn commit_as(
    connection: &mut Connection,
    batch: &mut Vec<Box<dyn QueuedWrite>>,
    health: &WriterHealth,
    queue: &mut Queue,
    (writing, savepoints): (Writing, Savepoints),
) -> Result<Option<Vec<Counted>>, StoreError> {
    let lease_from = health.lease.now();
    let tx = Tx::begin_as(connection, writing)?;
    if let Some((since, why)) = health.trouble() {
        // What is planned now shall know why it is late.
        let until = health.clock.now().max(since);
        let outage = Outage::new(Away::of_store(tx.is_far()), since, Some(until), why);
        outages::save(&tx, &Outage { seen_by: health.lease.name().cloned(), ..outage })?;
    }
    let mut done = 0;
    while done < batch.len() {
        let upto = batch.len();
        let held: Option<Vec<HeldChange>> =
            batch[done..upto].iter().map(|work| work.changes().held()).collect();
        // Whatever else is among them may change the same runs.
        if let Some(held) = held.filter(|held| tx.is_far() && !held.is_empty()) {
            tx.keep_ahead(held_runs::read_ahead(&tx, &held)?);
        }
        for work in &mut batch[done..upto] {
            if !run(&tx, work.as_mut(), savepoints)? {
                return Ok(None);
            }
        }
        // Once more, for what was queued meanwhile, unless it would have to lock its rows before those that are locked by now.
        if done == 0 && !tx.is_far() {
            queue.join_waiting(batch);
        }
        done = upto;
    }
    match tx.settle() {
        Err(error) if savepoints == Savepoints::None && !error.is_fatal() && !error.is_contention() => {
            return Ok(None);
        }
        settled => settled?,
    }
    tx.roll_up(health.daemon)?;
    let now = health.clock.now();
    // Others may have what it held by now: nothing of what it says counts any more.
    if !daemons::renew(&tx, health.daemon, health.timeline, now)? {
        return Err(StoreError::Ousted);
    }
    // A COMMIT that fails may have taken effect all the same. Only after a full disk or a lock is it known
    // not to have.
    let began = Instant::now();
    let (counted, mark) = tx.commit()?;
    if let Some(mark) = mark
        && !is_committed(connection, &mark, health, queue)?
    {
        return Err(StoreError::Unconfirmed);
    }
    health.counts.add_all(&counted);
    health.counts.commits.observe(began.elapsed());
    health.counts.changes.observe_number(batch.len());
    *health.last_commit.lock().unwrap_or_else(PoisonError::into_inner) = now;
    health.lease.renew(lease_from);
    Ok(Some(counted))
}

/// Runs a closure, and returns whether the transaction can go on.
fn run(tx: &Tx<'_>, work: &mut dyn QueuedWrite, savepoints: Savepoints) -> Result<bool, StoreError> {
    if savepoints == Savepoints::Each {
        tx.save()?;
    }
    let mark = tx.mark();
    let done = match savepoints {
        Savepoints::None => work.run(tx),
        Savepoints::Each => work.run(tx).and_then(|()| tx.settle()),
    };
    let can_go_on = match done {
        Ok(()) => true,
        Err(error) if error.is_disk_full() || error.is_fatal() || error.is_contention() || tx.is_over() => {
            return Err(error);
        }
        Err(_) if savepoints == Savepoints::None => return Ok(false),
        Err(error) => {
            work.fail(error);
            tx.forget_since(mark);
            tx.undo()?;
            true
        }
    };
    if savepoints == Savepoints::Each {
        tx.release()?;
    }
    Ok(can_go_on)
}

/// Logs once when trouble begins, and once when it has passed. A failure comes with when the attempt began.
fn report(health: &WriterHealth, failure: Option<(Timestamp, &StoreError)>) {
    let mut known = health.trouble.lock().unwrap_or_else(PoisonError::into_inner);
    match (known.is_some(), failure) {
        (false, Some((began, error))) => {
            tracing::error!(%error, "the store cannot commit; nothing new is fired until it can");
            *known = Some((began, error.to_string()));
            health.lock.tell_no_room(began);
        }
        (true, None) => {
            tracing::info!("the store can commit again");
            if let Some((since, _)) = known.take() {
                health.counts.disk_is_back(backoff::between(since, health.clock.now()));
            }
            health.lock.tell(|own| own.disk_since = None);
        }
        (false, None) => health.lock.tell(|own| own.disk_since = None),
        (true, Some(_)) => {}
    }
}

#[cfg(test)]
mod tests;
