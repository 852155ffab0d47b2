//! The daemons of a store: which work, which are about to end, which are lost, and what each holds.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{DaemonState, Reader};
use crate::domain::daemon::{self, Life, Process};
use crate::domain::ids::DaemonNumber;
use crate::store::lease::Sharing;
use crate::store::rows::{time, time_option};
use crate::store::sql::{Row, Transaction};
use crate::store::{FormerDaemon, StoreError};

/// A daemon that has not left the store, or that was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonRow {
    pub number: DaemonNumber,
    pub process: Process,
    pub life: Life,
    pub started_at: Timestamp,
    /// Its last sign of life.
    pub seen_at: Timestamp,
    /// When it began to end.
    pub stopped_at: Option<Timestamp>,
    pub holds: Holdings,
}

/// What a daemon holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Runs that it starts, reconciles or follows.
    pub runs: u64,
    /// Webhooks that it sends.
    pub deliveries: u64,
    /// Threads that it deletes.
    pub deletions: u64,
}

pub(super) const RUNS_HELD: &str = "SELECT held_by, count(*) AS number FROM runs INDEXED BY runs_in_progress \
     WHERE phase <> 'ended' AND held_by IS NOT NULL GROUP BY held_by";
pub(super) const DELIVERIES_HELD: &str = "SELECT held_by, count(*) AS number FROM deliveries INDEXED BY deliveries_sending \
     WHERE status = 'sending' AND held_by IS NOT NULL GROUP BY held_by";
pub(super) const DELETIONS_HELD: &str = "SELECT held_by, count(*) AS number FROM thread_deletions INDEXED BY thread_deletions_held \
     WHERE held_by IS NOT NULL GROUP BY held_by";

impl Reader {
    /// Returns the daemons of the store, the worst first. If one has it alone, its lock says whether that lives.
    pub fn daemons(
        &self,
        sharing: Sharing,
        state: &DaemonState,
        now: Timestamp,
    ) -> Result<Vec<DaemonRow>, StoreError> {
        let mut daemons = self.at_one_moment(|tx| present(tx, now))?;
        if sharing == Sharing::Alone {
            let former = self.former_daemon(state, now)?;
            let latest = daemons.iter().map(|daemon| daemon.number.0).max();
            daemons.retain(|daemon| Some(daemon.number.0) == latest);
            daemons = daemons.into_iter().filter_map(|daemon| alone(daemon, state, former)).collect();
        }
        daemons.sort_by_key(|daemon| (daemon.life, daemon.number.0));
        Ok(daemons)
    }
}

/// Returns what is known of the only daemon; `None` if it has ended in good order, or begins just now.
fn alone(daemon: DaemonRow, state: &DaemonState, former: Option<FormerDaemon>) -> Option<DaemonRow> {
    let stopped_at = former.and_then(|former| former.stopped_at).or(daemon.stopped_at);
    let life = match (state, stopped_at) {
        (DaemonState::Running { .. } | DaemonState::Unknown(_), None) => Life::Live,
        (DaemonState::Running { .. } | DaemonState::Unknown(_), Some(_)) => Life::Draining,
        (DaemonState::Stopped, None) => Life::Lost,
        (DaemonState::Stopped, Some(_)) | (DaemonState::Starting { .. }, _) => return None,
    };
    Some(DaemonRow { life, stopped_at, ..daemon })
}

fn present(tx: &Transaction<'_>, now: Timestamp) -> Result<Vec<DaemonRow>, StoreError> {
    let (runs, deliveries, deletions) =
        (held(tx, RUNS_HELD)?, held(tx, DELIVERIES_HELD)?, held(tx, DELETIONS_HELD)?);
    let of = |counts: &HashMap<i64, u64>, number: i64| counts.get(&number).copied().unwrap_or_default();
    let sql = "SELECT number, host, pid, version, started_at, seen_at, stopped_at FROM daemons \
               WHERE recovered_at IS NULL AND left_at IS NULL";
    tx.query(sql, (), |row: &Row<'_>| {
        let number: i64 = row.get("number")?;
        let (seen_at, stopped_at) = (time(row, "seen_at")?, time_option(row, "stopped_at")?);
        Ok(DaemonRow {
            number: DaemonNumber(number),
            process: Process { host: row.get("host")?, pid: row.get("pid")?, version: row.get("version")? },
            life: daemon::life(seen_at, stopped_at, now),
            started_at: time(row, "started_at")?,
            seen_at,
            stopped_at,
            holds: Holdings {
                runs: of(&runs, number),
                deliveries: of(&deliveries, number),
                deletions: of(&deletions, number),
            },
        })
    })
}

fn held(tx: &Transaction<'_>, sql: &str) -> Result<HashMap<i64, u64>, StoreError> {
    Ok(tx.query(sql, (), |row| Ok((row.get("held_by")?, row.count("number")?)))?.into_iter().collect())
}
