//! Reads of the daemon itself that are too long for the writer's queue: a search through all crons must not keep an
//! occurrence waiting.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Transaction;
use tokio::sync::Semaphore;

use super::{Execution, StoreError, open};
use crate::domain::bounds::READS_AT_ONCE;

/// Where reads happen; cheap to clone.
#[derive(Clone)]
pub(super) struct Reads {
    path: Arc<PathBuf>,
    execution: Execution,
    places: Arc<Semaphore>,
}

impl Reads {
    pub(super) fn new(path: &Path, execution: Execution) -> Self {
        let places = Arc::new(Semaphore::new(READS_AT_ONCE));
        Self { path: Arc::new(path.to_owned()), execution, places }
    }

    /// Runs `read` in a transaction of its own.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let path = Arc::clone(&self.path);
        let at_one_moment = move || {
            let connection = open::open_to_read(&path)?;
            let tx = connection.unchecked_transaction()?;
            read(&tx)
        };
        match self.execution {
            Execution::Inline => at_one_moment(),
            Execution::WriterThread => {
                // Held until the connection is closed again, even if nobody waits for the answer any more.
                let place = Arc::clone(&self.places).acquire_owned().await;
                let place = place.map_err(|error| StoreError::Refused(error.to_string()))?;
                let reading = tokio::task::spawn_blocking(move || {
                    let answer = at_one_moment();
                    drop(place);
                    answer
                });
                reading.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
            }
        }
    }
}
