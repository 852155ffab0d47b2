//! The one writer. Closures queue up; all that wait commit in one transaction, since the price of a commit is its
//! fsync, whatever is in it. Each has a savepoint, and each is answered after the commit.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::counts::{Counts, Tx};
use super::{Execution, StoreError};
use crate::domain::bounds::{WRITES_PER_COMMIT, WRITES_QUEUED};

/// Between two tries to commit on a full disk or a locked file.
const RETRY_WAIT: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    execute: Execute,
    health: Arc<WriterHealth>,
}

enum Execute {
    Thread { queue: Option<mpsc::Sender<Box<dyn Work>>>, thread: Option<JoinHandle<()>> },
    Inline(Mutex<Connection>),
}

/// How it goes, for those who ask.
#[derive(Default)]
struct WriterHealth {
    /// What keeps us from committing right now.
    trouble: Mutex<Option<String>>,
    /// What was committed.
    counts: Counts,
}

/// Where a commit finds more to take along, and learns whether anybody still waits for the disk to have room.
enum Queue<'q> {
    Thread(&'q mut mpsc::Receiver<Box<dyn Work>>),
    Inline,
}

impl Queue<'_> {
    /// What waits by now, without waiting for more; `batch` stays within its bound.
    fn join_waiting(&mut self, batch: &mut Vec<Box<dyn Work>>) {
        match self {
            Queue::Inline => {}
            Queue::Thread(waiting) => {
                while batch.len() < WRITES_PER_COMMIT
                    && let Ok(next) = waiting.try_recv()
                {
                    batch.push(next);
                }
            }
        }
    }

    fn is_closed(&self) -> bool {
        match self {
            Queue::Inline => true,
            Queue::Thread(waiting) => waiting.is_closed(),
        }
    }
}

/// A closure with a place for its result, waiting for its transaction.
trait Work: Send {
    /// May be called again, if its transaction was undone.
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), StoreError>;
    /// Puts an error in the place of what `run` kept.
    fn fail(&mut self, error: StoreError);
    fn answer(self: Box<Self>);
}

struct Closure<T, F> {
    work: F,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: FnMut(&Tx<'_>) -> Result<T, StoreError> + Send> Work for Closure<T, F> {
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), StoreError> {
        // What it kept in a transaction that was undone, such as places of receivers, is to be had again.
        self.result = None;
        let value = (self.work)(tx)?;
        self.result = Some(Ok(value));
        Ok(())
    }

    fn fail(&mut self, error: StoreError) {
        self.result = Some(Err(error));
    }

    fn answer(self: Box<Self>) {
        let lost = || Err(StoreError::Lost("the writer stopped".to_owned()));
        // Nobody may be waiting any more; the change stands all the same.
        let _ = self.reply.send(self.result.unwrap_or_else(lost));
    }
}

impl Writer {
    pub(super) fn new(connection: Connection, execution: Execution) -> Self {
        let health = Arc::new(WriterHealth::default());
        let execute = match execution {
            Execution::Inline => Execute::Inline(Mutex::new(connection)),
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

    pub(super) fn trouble(&self) -> Option<String> {
        self.health.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.health.counts
    }

    pub(super) fn queued(&self) -> usize {
        match &self.execute {
            Execute::Thread { queue: Some(queue), .. } => queue.max_capacity() - queue.capacity(),
            Execute::Thread { queue: None, .. } | Execute::Inline(_) => 0,
        }
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let closure: Box<dyn Work> = Box::new(Closure { work, result: None, reply });
        match &self.execute {
            Execute::Inline(connection) => {
                let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                commit_until_done(&mut connection, vec![closure], &self.health, &mut Queue::Inline);
            }
            Execute::Thread { queue, .. } => {
                let queue = queue.as_ref().ok_or_else(stopped)?;
                queue.send(closure).await.map_err(|_| stopped())?;
            }
        }
        answer.await.map_err(|_| stopped())?
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

fn stopped() -> StoreError {
    StoreError::Lost("its writer has stopped".to_owned())
}

fn write_until_closed(
    mut connection: Connection,
    mut waiting: mpsc::Receiver<Box<dyn Work>>,
    health: &WriterHealth,
) {
    while let Some(first) = waiting.blocking_recv() {
        let mut queue = Queue::Thread(&mut waiting);
        let mut batch = vec![first];
        queue.join_waiting(&mut batch);
        if !commit_until_done(&mut connection, batch, health, &mut queue) {
            // The truth is in the file, not in this process: refuse everything from now on.
            return;
        }
    }
    // A clean end leaves one file behind, not three.
    let _ = connection.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE);");
}

/// Commits the batch, waiting out what passes by itself. Answers everybody. False if the store is lost.
fn commit_until_done(
    connection: &mut Connection,
    mut batch: Vec<Box<dyn Work>>,
    health: &WriterHealth,
    queue: &mut Queue<'_>,
) -> bool {
    let outcome = loop {
        match commit(connection, &mut batch, &health.counts, queue) {
            Ok(()) => break Ok(()),
            Err(error) if (error.is_disk_full() || error.is_busy()) && !queue.is_closed() => {
                report(&health.trouble, Some(&error));
                std::thread::sleep(RETRY_WAIT);
            }
            Err(error) => break Err(error),
        }
    };
    report(&health.trouble, outcome.as_ref().err());
    if let Err(error) = &outcome {
        for work in &mut batch {
            work.fail(StoreError::Lost(error.to_string()));
        }
    }
    for work in batch {
        work.answer();
    }
    outcome.is_ok()
}

/// One transaction for the whole batch, and for what came while the batch was at work: the claim of a run follows
/// its planning so closely that both can have the same fsync.
///
/// # Errors
/// Whatever made the transaction as a whole impossible; a closure's own failure is its own answer.
fn commit(
    connection: &mut Connection,
    batch: &mut Vec<Box<dyn Work>>,
    counts: &Counts,
    queue: &mut Queue<'_>,
) -> Result<(), StoreError> {
    let tx = Tx::of(connection.transaction_with_behavior(TransactionBehavior::Immediate)?);
    run_each(&tx, batch)?;
    let known = batch.len();
    queue.join_waiting(batch);
    run_each(&tx, &mut batch[known..])?;
    // A COMMIT that fails may have happened all the same: only a full disk and a lock are known to leave nothing.
    let began = Instant::now();
    tx.commit(counts)?;
    counts.commits.observe(began.elapsed());
    Ok(())
}

/// Each in a savepoint of its own.
fn run_each(tx: &Tx<'_>, batch: &mut [Box<dyn Work>]) -> Result<(), StoreError> {
    for work in batch {
        tx.prepare_cached("SAVEPOINT work")?.execute([])?;
        let mark = tx.mark();
        match work.run(tx) {
            Ok(()) => {}
            Err(error) if error.is_disk_full() || error.is_fatal() || tx.is_autocommit() => {
                return Err(error);
            }
            Err(error) => {
                work.fail(error);
                tx.forget_since(mark);
                tx.prepare_cached("ROLLBACK TO work")?.execute([])?;
            }
        }
        tx.prepare_cached("RELEASE work")?.execute([])?;
    }
    Ok(())
}

/// Says so once when trouble begins and once when it is over.
fn report(trouble: &Mutex<Option<String>>, error: Option<&StoreError>) {
    let mut known = trouble.lock().unwrap_or_else(PoisonError::into_inner);
    match (known.is_some(), error) {
        (false, Some(error)) => {
            tracing::error!(%error, "the store cannot commit; nothing new is fired until it can");
            *known = Some(error.to_string());
        }
        (true, None) => {
            tracing::info!("the store commits again");
            *known = None;
        }
        (true, Some(_)) | (false, None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_closure_kept_is_given_back_before_it_runs_again() {
        let mut connection = Connection::open_in_memory().unwrap();
        let tx = Tx::of(connection.transaction().unwrap());
        let place = Arc::new(());
        let work = |_: &Tx<'_>| Ok((Arc::clone(&place), Arc::strong_count(&place)));
        let mut closure = Closure { work, result: None, reply: oneshot::channel().0 };
        closure.run(&tx).unwrap();
        closure.run(&tx).unwrap();
        let (_kept, holders) = closure.result.unwrap().unwrap();
        assert_eq!(holders, 2, "this test, and what is kept now");
    }
}
