//! The state of the daemon, of its configuration, and of the last 24 hours.

use std::fmt::Display;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::{Time, aways, notice_kinds};
use crate::domain::delivery_mode::{DeliveryMode, Suspension};
use crate::domain::outage::{self, Away};
use crate::domain::plan::Decided;
use crate::store::{self, CronRow, DaemonState, Overview, Reader, StoreError, WebhookQueue};
use crate::webhook::redacted;

/// How far back ended runs and deliveries are counted.
const COUNTED_PERIOD: SignedDuration = SignedDuration::from_hours(24);

/// The state of the daemon, of the configuration and of the last 24 hours.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StatusReport {
    pub daemon: DaemonProcess,
    pub store: StoreFile,
    /// Whether the configuration files match the configuration in force.
    pub configuration: Configuration,
    /// How many crons there are.
    pub crons: usize,
    /// The next occurrence of all crons; null if nothing is scheduled.
    pub next: Option<NextOccurrence>,
    /// Runs that ended in the last 24 hours, by status.
    pub ended_24h: Counts,
    /// Runs in progress, by phase.
    pub in_progress: Counts,
    /// Webhooks about runs that ended in the last 24 hours, by status.
    pub deliveries_24h: Counts,
    /// How many webhooks are queued.
    pub deliveries_waiting: u64,
    /// What the agent server refuses us now, with 401 or 403.
    pub denied: Denied,
    /// The outages that had not ended 24 hours ago, latest first.
    pub outages: Vec<Outage>,
    /// What the operator should know.
    pub notices: Vec<Notice>,
    /// What keeps webhooks from their receivers.
    pub webhooks: Webhooks,
}

/// The state as the daemon itself reports it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DaemonStatus {
    #[serde(flatten)]
    pub report: StatusReport,
    /// The version of the daemon.
    #[schema(example = "0.1.0")]
    pub version: &'static str,
    /// The daemon's clock.
    pub now: Time,
    /// What keeps the store from committing at the moment, such as a full disk; null if nothing does.
    pub trouble: Option<String>,
}

/// What the agent server refuses us, because `backend.api_key` and `backend.headers` do not let us see everything.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Denied {
    /// How many runs cannot be followed.
    pub runs: u64,
    /// How many threads cannot be deleted.
    pub threads: u64,
}

/// The process of the daemon.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DaemonProcess {
    /// Whether a daemon is running; null if that is unknown.
    pub running: Option<bool>,
    /// Its process id, if known.
    pub pid: Option<u32>,
}

/// The file of the store.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StoreFile {
    pub path: String,
    pub exists: bool,
}

/// How the configuration files compare with the configuration in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Configuration {
    /// The files match the configuration in force.
    Same,
    /// The files differ from what the daemon last loaded.
    Different {
        /// Crons that are only in the files.
        added: usize,
        /// Crons that are defined differently in the files.
        changed: usize,
        /// Crons that are no longer in the files.
        removed: usize,
    },
    /// The files have mistakes; what they take away stays as it was.
    Mistakes { mistakes: usize },
    /// There are no configuration files.
    Missing,
}

/// The next occurrence.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NextOccurrence {
    pub at: Time,
    pub cron_name: String,
}

/// A time in which something that the daemon depends on was away, or the daemon itself.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Outage {
    #[schema(schema_with = aways)]
    pub what: &'static str,
    /// Which receiver it was: scheme and host of its URL; null for everything else.
    pub receiver: Option<String>,
    pub since: Time,
    /// Null while it lasts.
    pub until: Option<Time>,
    /// Human-readable.
    pub why: String,
}

impl Outage {
    pub fn of(outage: &outage::Outage) -> Self {
        Self {
            what: outage.what.as_str(),
            receiver: (outage.what == Away::Receiver).then(|| outage.subject.clone()),
            since: Time(outage.since),
            until: outage.until.map(Time),
            why: outage.why.clone(),
        }
    }
}

/// Something that the operator should know.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Notice {
    #[schema(schema_with = notice_kinds)]
    pub kind: &'static str,
    /// Since when it applies.
    pub at: Time,
    /// What happened, human-readable.
    pub detail: String,
}

/// What keeps webhooks from their receivers.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Webhooks {
    /// Since when the configuration has disabled webhooks; null if it does not.
    pub disabled_since: Option<Time>,
    /// Null if webhooks are not held.
    pub held: Option<Hold>,
    /// Null if no backlog is being released at a rate.
    pub released: Option<Release>,
    /// How many webhooks are suppressed.
    pub suppressed: u64,
    /// How many URLs are suspended.
    pub suspended_urls: u64,
    /// The URLs that were suspended last.
    pub suspended: Vec<SuspendedUrl>,
}

/// A hold on all webhooks.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Hold {
    pub since: Time,
    /// Why, human-readable.
    pub note: Option<String>,
    /// How many webhooks are queued.
    pub waiting: u64,
}

/// A release of the backlog at a limited rate.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Release {
    /// The backlog is what was due by this instant.
    pub since: Time,
    /// Attempts per second.
    pub per_second: u32,
    /// How many webhooks of the backlog are left.
    pub left: u64,
}

/// A URL that gets no webhooks because its receiver said that it is gone.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SuspendedUrl {
    /// Without the query.
    pub url: String,
    pub since: Time,
    /// What the receiver responded.
    pub detail: String,
    /// The delivery to which the receiver said so.
    #[schema(format = Uuid)]
    pub delivery_id: String,
}

impl Webhooks {
    fn of(queue: &WebhookQueue) -> Self {
        let (held, released) = match &queue.mode {
            DeliveryMode::Free => (None, None),
            DeliveryMode::Held(hold) => {
                let (since, note) = (Time(hold.since), hold.note.clone());
                (Some(Hold { since, note, waiting: queue.backlog }), None)
            }
            DeliveryMode::Released(release) => {
                let (since, per_second) = (Time(release.since), release.per_second);
                (None, Some(Release { since, per_second, left: queue.backlog }))
            }
        };
        let suspended = |suspension: &Suspension| SuspendedUrl {
            url: redacted(&suspension.url),
            since: Time(suspension.since),
            detail: suspension.detail.clone(),
            delivery_id: suspension.delivery_id.to_string(),
        };
        Self {
            disabled_since: queue.disabled_since.map(Time),
            held,
            released,
            suppressed: queue.suppressed,
            suspended_urls: queue.suspended_count,
            suspended: queue.suspended.iter().map(suspended).collect(),
        }
    }
}

/// The daemon is alive.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Liveness {
    /// Always `ok`.
    pub status: &'static str,
}

/// Whether the daemon can start runs and commit.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Readiness {
    pub ready: bool,
    /// Why it is not ready; empty if it is.
    pub reasons: Vec<&'static str>,
    /// Problems that do not keep it from being ready.
    pub warnings: Vec<&'static str>,
}

/// Counts by status or phase; those with a count of 0 are left out.
#[derive(Clone, Debug, ToSchema)]
#[schema(value_type = std::collections::BTreeMap<String, u64>, example = json!({ "success": 12, "error": 1 }))]
pub struct Counts(Vec<(String, u64)>);

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (word, count) in &self.0 {
            map.serialize_entry(word, count)?;
        }
        map.end()
    }
}

impl Counts {
    fn of<Word: Display>(counts: &[(Word, u64)]) -> Self {
        Self(counts.iter().map(|(word, count)| (word.to_string(), *count)).collect())
    }
}

/// What the store says at one moment, from which a [`StatusReport`] is made.
pub struct StatusSnapshot {
    pub overview: Overview,
    pub crons: Vec<CronRow>,
    pub decided: Decided,
    pub outages: Vec<outage::Outage>,
    pub notices: Vec<store::Notice>,
    pub queue: WebhookQueue,
}

impl StatusSnapshot {
    /// Reads the store; the last 24 hours end at `now`.
    pub fn read(reader: &Reader, now: Timestamp) -> Result<Self, StoreError> {
        let since = now.saturating_sub(COUNTED_PERIOD).unwrap_or(Timestamp::MIN);
        Ok(Self {
            overview: reader.overview(since)?,
            crons: reader.crons()?,
            decided: reader.decided(now)?,
            outages: reader.outages(since)?,
            notices: reader.notices()?,
            queue: reader.webhook_queue()?,
        })
    }

    /// Returns the snapshot of a store that does not exist yet.
    pub fn empty() -> Self {
        Self {
            overview: Overview::default(),
            crons: Vec::new(),
            decided: Decided::default(),
            outages: Vec::new(),
            notices: Vec::new(),
            queue: WebhookQueue::default(),
        }
    }

    /// Returns the next occurrence of all crons after `now`, and the cron's name; `None` if nothing is scheduled.
    pub fn next(&self, now: Timestamp) -> Option<(Timestamp, &str)> {
        let unpaused = self.crons.iter().filter(|row| row.state.paused.is_none());
        unpaused
            .filter_map(|row| {
                Some((self.decided.next_within(row.cron.as_ref().ok()?, now)?, row.name.as_str()))
            })
            .min()
    }
}

impl StatusReport {
    pub fn of(
        path: &Path,
        daemon: &DaemonState,
        configuration: Configuration,
        snapshot: &StatusSnapshot,
        now: Timestamp,
    ) -> Self {
        let (running, pid) = match daemon {
            DaemonState::Running { pid } => (Some(true), *pid),
            DaemonState::Stopped => (Some(false), None),
            DaemonState::Unknown(_) => (None, None),
        };
        let next = snapshot.next(now);
        let overview = &snapshot.overview;
        let notice = |notice: &store::Notice| Notice {
            kind: notice.kind.as_str(),
            at: Time(notice.at),
            detail: notice.detail.clone(),
        };
        Self {
            daemon: DaemonProcess { running, pid },
            store: StoreFile { path: path.display().to_string(), exists: path.exists() },
            configuration,
            crons: snapshot.crons.len(),
            next: next.map(|(at, name)| NextOccurrence { at: Time(at), cron_name: name.to_owned() }),
            ended_24h: Counts::of(&overview.ended),
            in_progress: Counts::of(&overview.in_progress),
            deliveries_24h: Counts::of(&overview.deliveries),
            deliveries_waiting: overview.deliveries_waiting,
            denied: Denied { runs: overview.denied.runs, threads: overview.denied.threads },
            outages: snapshot.outages.iter().map(Outage::of).collect(),
            notices: snapshot.notices.iter().map(notice).collect(),
            webhooks: Webhooks::of(&snapshot.queue),
        }
    }
}
