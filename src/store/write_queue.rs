//! The closures that wait for the writer.

use tokio::sync::{mpsc, oneshot};

use super::StoreError;
use super::counts::Tx;
use crate::domain::bounds::WRITES_PER_COMMIT;
use crate::domain::ids::RunId;

/// Why nothing is committed any more.
pub(super) const STOPPED: &str = "its writer has stopped";

/// The closures that are not in the batch yet. Once the queue is closed, the writer no longer waits for the
/// disk to have room.
pub(super) enum Queue<'q> {
    Thread(&'q mut mpsc::Receiver<Box<dyn QueuedWrite>>),
    Inline,
}

impl Queue<'_> {
    /// Moves the closures that wait by now into `batch`, up to its bound, without waiting for more.
    pub(super) fn join_waiting(&mut self, batch: &mut Vec<Box<dyn QueuedWrite>>) {
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

    pub(super) fn is_closed(&self) -> bool {
        match self {
            Queue::Inline => true,
            Queue::Thread(waiting) => waiting.is_closed(),
        }
    }
}

/// A closure that waits for its transaction, with room for its result.
pub(super) trait QueuedWrite: Send {
    /// The only run that anybody holds and that it changes, if that is known.
    fn about(&self) -> Option<RunId>;
    /// Runs the closure and keeps its result. It is called again if the transaction was undone.
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), StoreError>;
    /// Replaces the result that `run` kept by an error.
    fn fail(&mut self, error: StoreError);
    /// Sends the result to the caller.
    fn reply(self: Box<Self>);
}

pub(super) struct Closure<T, F> {
    pub(super) about: Option<RunId>,
    pub(super) work: F,
    pub(super) result: Option<Result<T, StoreError>>,
    pub(super) reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: FnMut(&Tx<'_>) -> Result<T, StoreError> + Send> QueuedWrite for Closure<T, F> {
    fn about(&self) -> Option<RunId> {
        self.about
    }

    fn run(&mut self, tx: &Tx<'_>) -> Result<(), StoreError> {
        // Dropped first: the result of a transaction that was undone may hold permits that this run needs
        // again.
        self.result = None;
        let value = (self.work)(tx)?;
        self.result = Some(Ok(value));
        Ok(())
    }

    fn fail(&mut self, error: StoreError) {
        self.result = Some(Err(error));
    }

    fn reply(self: Box<Self>) {
        // Its caller may have stopped waiting; the change is committed all the same.
        let _ = self.reply.send(self.result.unwrap_or_else(|| Err(StoreError::Lost(STOPPED.to_owned()))));
    }
}
