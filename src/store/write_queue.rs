//! What waits for the writer: closures, each with what it changes, which says beside which others it may be committed.

use std::collections::VecDeque;

use tokio::sync::{mpsc, oneshot};

use super::StoreError;
use super::counts::Tx;
use super::sql::Writing;
use crate::domain::bounds::WRITES_PER_COMMIT;
use crate::domain::ids::RunId;

/// What a closure changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changes {
    /// Anything, and nobody else writes meanwhile.
    Anything,
    /// What it finds free, while other daemons do the same (`store/hot/mod.rs`).
    Free,
    /// A run that this daemon holds, while other daemons do the same with theirs.
    Held(HeldChange),
}

/// A change about a run that this daemon holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeldChange {
    pub(super) run_id: RunId,
    /// Whether it may change, or go by, the cron of the run or its other runs.
    pub(super) with_cron: bool,
}

impl Changes {
    pub(super) fn writing(self) -> Writing {
        match self {
            Self::Anything => Writing::Alone,
            Self::Free | Self::Held(_) => Writing::Beside,
        }
    }

    pub(super) fn held(self) -> Option<HeldChange> {
        match self {
            Self::Held(change) => Some(change),
            Self::Anything | Self::Free => None,
        }
    }

    /// Whether both are in one transaction if the engine is far. What changes held runs locks them in one order before all else, and
    /// what takes what is free waits for no lock of a row: if both were one, each would wait for what the other one has.
    fn fits(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

/// A closure that waits for its transaction, with room for its result.
pub(super) trait QueuedWrite: Send {
    fn changes(&self) -> Changes;
    /// Runs the closure and keeps its result. It is called again if the transaction was undone.
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), StoreError>;
    /// Replaces the result that `run` kept by an error.
    fn fail(&mut self, error: StoreError);
    /// Sends the result to the caller.
    fn reply(self: Box<Self>);
}

pub(super) struct Closure<T, F> {
    pub(super) changes: Changes,
    pub(super) work: F,
    pub(super) result: Option<Result<T, StoreError>>,
    pub(super) reply: oneshot::Sender<Result<T, StoreError>>,
}

/// Why nothing is committed any more, unless more is known.
pub(super) const STOPPED: &str = "its writer has stopped";

impl<T: Send, F: FnMut(&Tx<'_>) -> Result<T, StoreError> + Send> QueuedWrite for Closure<T, F> {
    fn changes(&self) -> Changes {
        self.changes
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

/// The closures that are not in the batch yet. Once the queue is closed, the writer no longer waits for the
/// disk to have room.
pub(super) enum Queue {
    Thread {
        waiting: mpsc::Receiver<Box<dyn QueuedWrite>>,
        /// What was taken from the queue and did not fit into a batch.
        next: VecDeque<Box<dyn QueuedWrite>>,
        /// Whether a batch has closures of one kind only.
        is_sorted: bool,
    },
    Inline,
}

impl Queue {
    /// Waits for the first closure of a batch, or returns `None` once there will be none.
    pub(super) fn wait(&mut self) -> Option<Box<dyn QueuedWrite>> {
        match self {
            Queue::Inline => None,
            Queue::Thread { waiting, next, .. } => next.pop_front().or_else(|| waiting.blocking_recv()),
        }
    }

    /// Moves the closures that wait by now into `batch`, up to its bound, without waiting for more: in their order, as far as they
    /// fit.
    pub(super) fn join_waiting(&mut self, batch: &mut Vec<Box<dyn QueuedWrite>>) {
        let Queue::Thread { waiting, next, is_sorted } = self else { return };
        while batch.len() < WRITES_PER_COMMIT
            && let Some(joining) = next.pop_front().or_else(|| waiting.try_recv().ok())
        {
            let fits = batch.first().is_none_or(|first| first.changes().fits(joining.changes()));
            if *is_sorted && !fits {
                next.push_front(joining);
                break;
            }
            batch.push(joining);
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        match self {
            Queue::Inline => true,
            Queue::Thread { waiting, .. } => waiting.is_closed(),
        }
    }
}
