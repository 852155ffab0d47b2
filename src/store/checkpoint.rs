//! Moves what was committed from the WAL into the database.

use std::path::Path;

use jiff::Timestamp;

use super::rows::millis;
use super::{Execution, Store, StoreError, open};

impl Store {
    /// Moves what was committed into the database, on a connection of its own: commits go on meanwhile.
    ///
    /// It is no loss if this fails: the writer does the same once the WAL is large enough.
    pub async fn checkpoint(&self) {
        let Some(path) = self.file().map(Path::to_path_buf) else { return };
        if !matches!(self.readers.execution(), Execution::WriterThread) {
            return;
        }
        match tokio::task::spawn_blocking(move || checkpoint(&path)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "checkpoint not made"),
            Err(error) => tracing::debug!(%error, "checkpoint not made"),
        }
    }

    /// Records when the last backup was made.
    pub async fn record_backup(&self, at: Timestamp) -> Result<(), StoreError> {
        self.write(move |tx| {
            tx.execute("UPDATE installation SET backed_up_at = ?1", [millis(at)])?;
            Ok(())
        })
        .await
    }
}

fn checkpoint(path: &Path) -> Result<(), StoreError> {
    let connection = open::open_to_checkpoint(path)?;
    Ok(connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
}
