//! The daemons that this store has had: who may have sent a run that bears its id.

use std::collections::HashSet;
use std::sync::PoisonError;

use jiff::Timestamp;

use super::counts::Tx;
use super::lease::Sharing;
use super::lock::{DaemonLock, LifeSigns};
use super::recovery;
use super::rows::{millis, parsed, time, time_option};
use super::sql::{Connection, Transaction};
use super::{Store, StoreError, failovers, open, outages};
use crate::domain::bounds::DAEMONS_REMEMBERED;
use crate::domain::daemon::{DaemonName, Process};
use crate::domain::ids::{DaemonId, DaemonNumber, InstallationId};
use crate::domain::lease;
use crate::domain::members::Members;
use crate::domain::outage::{Away, DISK_WHY, Outage};

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
    /// Since when it could not commit, if it could not until its end.
    pub disk_since: Option<Timestamp>,
}

impl FormerDaemon {
    /// Adds what its lock file says and it could not commit. What lies before its last commit is about another daemon, and
    /// what lies after `now` is not true.
    pub(super) fn told_by(mut self, signs: LifeSigns, now: Timestamp) -> Self {
        let true_of_it = |at: Option<Timestamp>| at.filter(|at| (self.seen_at..=now).contains(at));
        self.stopped_at = self.stopped_at.or(true_of_it(signs.stopped_at));
        self.disk_since = true_of_it(signs.disk_since);
        self.seen_at = true_of_it(signs.seen_at).unwrap_or(self.seen_at);
        self
    }

    /// Returns when it ended, as far as that is known.
    pub(super) fn ended_at(self) -> Timestamp {
        self.stopped_at.unwrap_or(self.seen_at)
    }

    /// Returns the time since it ended as an outage, after that of the disk at its end.
    pub fn outages(self, until: Option<Timestamp>) -> impl Iterator<Item = Outage> {
        let (ended_at, why) = (self.ended_at(), if self.stopped_at.is_some() { STOPPED } else { KILLED });
        let disk = |since: Timestamp| Outage::new(Away::Disk, since, Some(ended_at.max(since)), DISK_WHY);
        self.disk_since.map(disk).into_iter().chain([Outage::new(Away::Daemon, ended_at, until, why)])
    }
}

/// What a daemon finds at its start.
#[derive(Debug, Default)]
pub struct Predecessor {
    /// How it ended; `None` if there was none.
    pub former: Option<FormerDaemon>,
    /// What was away when it ended, over as of then: it is not known whether it still is.
    pub away: Vec<Outage>,
}

/// What a daemon has found and was given at its start.
pub(super) struct Registration {
    pub(super) installation_id: InstallationId,
    /// Those that have had the store, as far as they are remembered.
    pub(super) daemons: HashSet<DaemonId>,
    pub(super) number: DaemonNumber,
    /// How often the store had gone back to an earlier state then.
    pub(super) timeline: i64,
    pub(super) predecessor: Predecessor,
    pub(super) process: Process,
    pub(super) members: Members,
}

/// Commits that a daemon has the store now, and the time since its predecessor as an outage. Until then it must send nothing.
pub(super) fn register(
    connection: &mut Connection,
    lock: &DaemonLock,
    daemon_id: DaemonId,
    now: Timestamp,
) -> Result<Registration, StoreError> {
    let tx = Tx::begin(connection)?;
    let former = former(&tx)?.map(|former| former.told_by(lock.former, now));
    // While others that share the store are alive, nobody was missing.
    let former = former.filter(|former| match lock.sharing() {
        Sharing::Alone => true,
        Sharing::Shared => lease::gone_at(former.seen_at, None) <= now,
    });
    let mut away = Vec::new();
    if let Some(former) = former {
        away = outages::end_all(&tx, former.ended_at())?;
        for outage in former.outages(Some(now)).filter(|outage| outage.since < now) {
            outages::save(&tx, &outage)?;
        }
    }
    let process = this_process();
    let sql = "INSERT INTO daemons (daemon_id, started_at, seen_at, host, pid, version) VALUES (?1, ?2, ?2, ?3, ?4, ?5) \
               RETURNING number";
    let row = (daemon_id.to_string(), millis(now), &process.host, process.pid, &process.version);
    let number = DaemonNumber(tx.query_value(sql, row)?);
    failovers::note_history(&tx)?;
    let timeline = recovery::sweep(&tx, number, now)?;
    // One that may still hold something stays until that is recovered.
    tx.execute(
        "DELETE FROM daemons WHERE number <= ?1 - ?2 AND recovered_at IS NOT NULL",
        (number.0, DAEMONS_REMEMBERED),
    )?;
    let installation_id = open::installation_id(&tx)?;
    let daemons = tx.query("SELECT daemon_id FROM daemons", (), |row| parsed(row, "daemon_id"))?;
    let members = members(&tx, number, lock.sharing(), now)?;
    // Whoever does not know whether it is registered registers again.
    if tx.commit()?.1.is_some() {
        return Err(StoreError::Unconfirmed);
    }
    lock.tell(|own| {
        let now = Some(now);
        *own = LifeSigns { started_at: now, seen_at: now, stopped_at: None, ..*own };
    });
    let predecessor = Predecessor { former, away };
    Ok(Registration {
        installation_id,
        daemons: daemons.into_iter().collect(),
        number,
        timeline,
        predecessor,
        process,
        members,
    })
}

impl Registration {
    /// Returns what the daemon is called where several share the store.
    pub(super) fn name(&self, sharing: Sharing) -> Option<DaemonName> {
        let name = || DaemonName { number: self.number, host: self.process.host.clone() };
        (sharing == Sharing::Shared).then(name)
    }
}

/// Returns the name of this machine.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Returns this process and its machine.
fn this_process() -> Process {
    Process::new(&host_name(), std::process::id())
}

/// Returns the daemons that take work now.
fn members(
    tx: &Transaction<'_>,
    own: DaemonNumber,
    sharing: Sharing,
    now: Timestamp,
) -> Result<Members, StoreError> {
    let all = match sharing {
        Sharing::Alone => Vec::new(),
        Sharing::Shared => tx.query(
            "SELECT number FROM daemons WHERE recovered_at IS NULL AND stopped_at IS NULL AND seen_at > ?1",
            [millis(lease::alive_since(now))],
            |row| Ok(DaemonNumber(row.get("number")?)),
        )?,
    };
    Ok(Members::of(own, all))
}

impl Store {
    /// Returns what this daemon has found at its start, once.
    pub fn take_predecessor(&self) -> Predecessor {
        std::mem::take(&mut self.predecessor.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Leaves a sign of life without a commit.
    pub fn give_sign_of_life(&self, now: Timestamp) {
        self.lock.tell(|own| own.seen_at = Some(now));
    }

    /// Returns the daemons that take work, as of the last beat.
    pub fn members(&self) -> Members {
        self.members.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns what this daemon is called where several share the store.
    pub fn daemon_name(&self) -> Option<DaemonName> {
        self.writer.lease().name().cloned()
    }

    /// Commits a sign of life, and looks who else takes work. Returns whether somebody has come or gone.
    pub async fn beat(&self, now: Timestamp) -> Result<bool, StoreError> {
        let (own, sharing) = (self.number, self.sharing());
        let members = self.write(move |tx| members(tx, own, sharing, now)).await?;
        Ok(self.note_members(members))
    }

    /// Takes note of who else takes work, and returns whether somebody has come or gone.
    pub(super) fn note_members(&self, members: Members) -> bool {
        let mut known = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let has_changed = *known != members;
        *known = members;
        has_changed
    }

    /// Commits that this daemon begins to end in good order, so that nothing is planned after `now`.
    pub async fn record_stop(&self, now: Timestamp) -> Result<(), StoreError> {
        let daemon = self.number;
        self.lock.tell(|own| own.stopped_at = Some(now));
        self.write(move |tx| {
            tx.put("UPDATE daemons SET stopped_at = ?2 WHERE number = ?1", (daemon.0, millis(now)))?;
            Ok(())
        })
        .await
    }
}

/// Returns the daemon that has the store, or had it last.
pub(super) fn former(tx: &Transaction<'_>) -> Result<Option<FormerDaemon>, StoreError> {
    let sql =
        "SELECT started_at, seen_at, stopped_at FROM daemons ORDER BY seen_at DESC, number DESC LIMIT 1";
    tx.query_opt(sql, (), |row| {
        Ok(FormerDaemon {
            started_at: time(row, "started_at")?,
            seen_at: time(row, "seen_at")?,
            stopped_at: time_option(row, "stopped_at")?,
            disk_since: None,
        })
    })
}

/// Renews the last sign of life of a daemon. Returns whether nobody has taken it for gone, and the store is the one that it
/// knows.
pub(super) fn renew(
    tx: &Transaction<'_>,
    daemon: DaemonNumber,
    timeline: i64,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let renewed = tx.execute(
        "UPDATE daemons SET seen_at = max(seen_at, ?3) WHERE number = ?1 AND recovered_at IS NULL \
         AND (SELECT timeline FROM installation) = ?2",
        (daemon.0, timeline, millis(now)),
    )?;
    Ok(renewed == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::InstallationId;
    use crate::store::Execution;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Committed: seen at 10. Returns when it ended, how, and since when the disk was full.
    fn told(stopped: Option<i64>, signs: [Option<i64>; 3]) -> (i64, &'static str, Option<i64>) {
        let committed = FormerDaemon {
            started_at: at(1),
            seen_at: at(10),
            stopped_at: stopped.map(at),
            disk_since: None,
        };
        let [seen_at, stopped_at, disk_since] = signs.map(|sign| sign.map(at));
        let signs = LifeSigns { seen_at, stopped_at, disk_since, ..LifeSigns::default() };
        let outages: Vec<Outage> = committed.told_by(signs, at(100)).outages(Some(at(100))).collect();
        let (disk, down) = (outages.iter().find(|outage| outage.what == Away::Disk), outages.last().unwrap());
        assert!(disk.is_none_or(|disk| disk.until == Some(down.since)), "{outages:?}");
        let how = if down.why == STOPPED { "stopped" } else { "killed" };
        (down.since.as_second(), how, disk.map(|disk| disk.since.as_second()))
    }

    #[test]
    fn a_lock_file_tells_what_could_not_be_committed() {
        assert_eq!(told(None, [None; 3]), (10, "killed", None));
        assert_eq!(told(None, [Some(38), None, None]), (38, "killed", None));
        assert_eq!(told(None, [Some(38), None, Some(12)]), (38, "killed", Some(12)));
        assert_eq!(told(None, [Some(38), Some(40), Some(12)]), (40, "stopped", Some(12)));
        assert_eq!(told(Some(12), [Some(11), Some(12), None]), (12, "stopped", None));
        // Of the daemon before that, and of the future.
        assert_eq!(told(None, [Some(9), Some(8), Some(7)]), (10, "killed", None));
        assert_eq!(told(None, [Some(101), Some(102), Some(103)]), (10, "killed", None));
    }

    #[tokio::test]
    async fn a_store_remembers_the_daemons_that_it_has_had_but_not_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let mut daemons = Vec::new();
        for last in 1..=DAEMONS_REMEMBERED + 2 {
            let store = crate::store::tests::open_at(
                &path,
                Execution::Inline,
                InstallationId::default(),
                crate::clock::Clock::system(),
            )
            .unwrap();
            assert!(daemons.last().is_none_or(|last| store.has_had_daemon(*last)));
            assert!(store.has_had_daemon(store.run_owner().daemon_id));
            daemons.push(store.run_owner().daemon_id);
            store.recover(at(0)).await.unwrap();
            if last == DAEMONS_REMEMBERED + 2 {
                let known: Vec<bool> = daemons.iter().map(|daemon| store.has_had_daemon(*daemon)).collect();
                assert_eq!(known, [vec![false; 2], vec![true; 100]].concat());
            }
        }
    }
}
