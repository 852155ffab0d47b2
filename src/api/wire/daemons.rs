//! The daemons of a store.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Time, Word, lives};
use crate::domain::daemon::{self, Life};
use crate::domain::ids::DaemonNumber;
use crate::store::DaemonRow;

/// A daemon of the store.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Daemon {
    /// Each start of a process has another number.
    pub number: i64,
    /// The name of its machine.
    #[schema(example = "web-1")]
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    #[schema(example = "0.1.0")]
    pub version: String,
    /// Whether it works, is about to end, or gives no sign of life.
    #[schema(schema_with = lives)]
    pub state: Word<Life>,
    pub started_at: Time,
    /// Its last sign of life.
    pub seen_at: Time,
    /// When it began to end; null if it has not.
    pub stopped_at: Option<Time>,
    /// What it has claimed and not given back.
    pub holds: Holds,
}

/// What a daemon holds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct Holds {
    /// Runs that it starts, reconciles or follows.
    pub runs: u64,
    /// Webhooks that it sends.
    pub webhooks: u64,
    /// Threads that it deletes on the agent server.
    pub threads: u64,
}

impl Daemon {
    pub fn of(row: &DaemonRow) -> Self {
        Self {
            number: row.number.0,
            host: row.process.host.clone(),
            pid: row.process.pid,
            version: row.process.version.clone(),
            state: Word(row.life),
            started_at: Time(row.started_at),
            seen_at: Time(row.seen_at),
            stopped_at: row.stopped_at.map(Time),
            holds: Holds {
                runs: row.holds.runs,
                webhooks: row.holds.deliveries,
                threads: row.holds.deletions,
            },
        }
    }
}

/// Which daemon of a store that several share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DaemonName {
    pub number: i64,
    /// The name of its machine.
    #[schema(example = "web-1")]
    pub host: String,
}

impl DaemonName {
    pub fn of(name: &daemon::DaemonName) -> Self {
        Self { number: name.number.0, host: name.host.clone() }
    }

    /// Returns the name that it shows.
    pub fn name(&self) -> daemon::DaemonName {
        daemon::DaemonName { number: DaemonNumber(self.number), host: self.host.clone() }
    }
}
