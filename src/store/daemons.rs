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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::InstallationId;
    use crate::store::Execution;

    #[tokio::test]
    async fn a_store_remembers_the_daemons_that_it_has_had_but_not_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let mut daemons = Vec::new();
        for _ in 0..DAEMONS_REMEMBERED + 2 {
            let store = Store::open(&path, Execution::Inline, InstallationId::default()).unwrap();
            assert!(daemons.last().is_none_or(|last| store.has_had_daemon(*last)));
            assert!(store.has_had_daemon(store.run_owner().daemon_id));
            store.record_daemon().await.unwrap();
            daemons.push(store.run_owner().daemon_id);
        }
        let store = Store::open(&path, Execution::Inline, InstallationId::default()).unwrap();
        let known: Vec<bool> = daemons.iter().map(|daemon| store.has_had_daemon(*daemon)).collect();
        assert_eq!(known, [vec![false; 2], vec![true; 100]].concat());
    }
}
