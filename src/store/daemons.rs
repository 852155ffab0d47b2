//! The daemons that this store has had, one after the other: who may have sent a run that bears its id.

use std::collections::HashSet;

use rusqlite::Connection;

use super::rows::parsed;
use super::{Store, StoreError};
use crate::domain::bounds::DAEMONS_REMEMBERED;
use crate::domain::ids::DaemonId;

impl Store {
    /// Commits that this daemon has the store now. Until then it must send nothing.
    pub async fn record_daemon(&self) -> Result<(), StoreError> {
        let daemon_id = self.run_owner().daemon_id;
        self.write(move |tx| {
            tx.execute("INSERT INTO daemons (daemon_id) VALUES (?1)", [daemon_id.to_string()])?;
            let forget = "DELETE FROM daemons WHERE number <= (SELECT max(number) FROM daemons) - ?1";
            tx.execute(forget, [DAEMONS_REMEMBERED])?;
            Ok(())
        })
        .await
    }
}

/// Returns the daemons that have had the store, as far as they are remembered.
pub(super) fn read(connection: &Connection) -> Result<HashSet<DaemonId>, StoreError> {
    let mut statement = connection.prepare("SELECT daemon_id FROM daemons")?;
    let mut rows = statement.query([])?;
    let mut daemons = HashSet::new();
    while let Some(row) = rows.next()? {
        daemons.insert(parsed(row, "daemon_id")?);
    }
    Ok(daemons)
}
