//! The daemons that this store has had, one after the other: who may have sent a run that bears its id.

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::{Connection, Transaction};

use super::rows::{millis, parsed, time, time_option};
use super::{Store, StoreError, outages};
use crate::domain::bounds::DAEMONS_REMEMBERED;
use crate::domain::ids::DaemonId;
use crate::domain::outage::{Away, Outage};

const KILLED: &str = "it was killed or crashed, or the machine lost power";
const STOPPED: &str = "it was stopped";

/// The daemon that had the store last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormerDaemon {
    pub started_at: Timestamp,
    /// Its last sign of life.
    pub seen_at: Timestamp,
    /// When it began to end in good order; `None` if it was killed.
    pub stopped_at: Option<Timestamp>,
}

impl FormerDaemon {
    /// Returns the time since it ended as an outage.
    pub fn outage(self, until: Option<Timestamp>) -> Outage {
        let why = if self.stopped_at.is_some() { STOPPED } else { KILLED }.to_owned();
        let since = self.stopped_at.unwrap_or(self.seen_at);
        Outage { what: Away::Daemon, subject: String::new(), since, until, why }
    }
}

impl Store {
    /// Commits that this daemon has the store now, and the time since its predecessor as an outage. Until then it
    /// must send nothing. Returns how the predecessor ended, or `None` if there was none.
    pub async fn record_daemon(&self, now: Timestamp) -> Result<Option<FormerDaemon>, StoreError> {
        let daemon_id = self.run_owner().daemon_id;
        self.write(move |tx| {
            let former = former(tx)?;
            if let Some(former) = former {
                outages::end_all(tx, former.seen_at)?;
                let outage = former.outage(Some(now));
                if outage.since < now {
                    outages::save(tx, &outage)?;
                }
            }
            tx.execute(
                "INSERT INTO daemons (daemon_id, started_at, seen_at) VALUES (?1, ?2, ?2)",
                (daemon_id.to_string(), millis(now)),
            )?;
            let forget = "DELETE FROM daemons WHERE number <= (SELECT max(number) FROM daemons) - ?1";
            tx.execute(forget, [DAEMONS_REMEMBERED])?;
            Ok(former)
        })
        .await
    }

    /// Commits that this daemon begins to end in good order, so that nothing is planned after `now`.
    pub async fn record_stop(&self, now: Timestamp) -> Result<(), StoreError> {
        let daemon_id = self.run_owner().daemon_id;
        self.write(move |tx| {
            tx.execute(
                "UPDATE daemons SET stopped_at = ?2 WHERE daemon_id = ?1",
                (daemon_id.to_string(), millis(now)),
            )?;
            Ok(())
        })
        .await
    }
}

/// Returns the daemon that has the store, or had it last.
pub(super) fn former(tx: &Transaction<'_>) -> Result<Option<FormerDaemon>, StoreError> {
    let mut statement =
        tx.prepare("SELECT started_at, seen_at, stopped_at FROM daemons ORDER BY number DESC LIMIT 1")?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(FormerDaemon {
        started_at: time(row, "started_at")?,
        seen_at: time(row, "seen_at")?,
        stopped_at: time_option(row, "stopped_at")?,
    }))
}

/// Renews the last sign of life of the daemon that has the store, which is the latest one.
pub(super) fn renew(tx: &Transaction<'_>, now: Timestamp) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE daemons SET seen_at = max(seen_at, ?1) WHERE number = (SELECT max(number) FROM daemons)",
    )?
    .execute([millis(now)])?;
    Ok(())
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
            let store = Store::open(
                &path,
                Execution::Inline,
                InstallationId::default(),
                crate::clock::Clock::system(),
            )
            .unwrap();
            assert!(daemons.last().is_none_or(|last| store.has_had_daemon(*last)));
            assert!(store.has_had_daemon(store.run_owner().daemon_id));
            store.record_daemon(Timestamp::UNIX_EPOCH).await.unwrap();
            daemons.push(store.run_owner().daemon_id);
        }
        let store =
            Store::open(&path, Execution::Inline, InstallationId::default(), crate::clock::Clock::system())
                .unwrap();
        let known: Vec<bool> = daemons.iter().map(|daemon| store.has_had_daemon(*daemon)).collect();
        assert_eq!(known, [vec![false; 2], vec![true; 100]].concat());
    }
}
