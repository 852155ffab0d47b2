//! How the daemon, its configuration and the last 24 hours are.

use std::fmt::Display;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::{Time, notice_kinds};
use crate::domain::delivery_mode::{DeliveryMode, Suspension};
use crate::domain::plan::next_within;
use crate::store::{self, CronRow, DaemonState, Overview, Reader, StoreError, WebhookQueue};
use crate::webhook::redacted;

/// What is counted.
const WINDOW: SignedDuration = SignedDuration::from_hours(24);

/// The state of the daemon, of the configuration and of the last 24 hours.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct State {
    /// Whether it runs.
    pub daemon: Daemon,
    /// The database.
    pub store: StoreFile,
    /// The files beside what is in force.
    pub configuration: Configuration,
    /// How many crons there are.
    pub crons: usize,
    /// What fires next.
    pub next: Option<Next>,
    /// Runs of the last 24 hours that are over, by status.
    pub ended_24h: Counts,
    /// Runs that are not over, by phase.
    pub not_over: Counts,
    /// Webhooks of runs of the last 24 hours, by status.
    pub deliveries_24h: Counts,
    /// Webhooks that wait for their next attempt.
    pub deliveries_waiting: u64,
    /// What the daemon has to say of itself.
    pub notices: Vec<Notice>,
    /// What stands between all webhooks and their receivers.
    pub webhooks: Webhooks,
}

/// The state as the daemon itself tells it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DaemonStatus {
    /// As the command tells it.
    #[serde(flatten)]
    pub state: State,
    /// Its version.
    #[schema(example = "0.1.0")]
    pub version: &'static str,
    /// Its time.
    pub now: Time,
    /// What keeps the store from committing right now, such as a full disk.
    pub trouble: Option<String>,
}

/// Whether the daemon runs; null if that cannot be found out.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Daemon {
    /// Whether it runs.
    pub running: Option<bool>,
    /// Its process.
    pub pid: Option<u32>,
}

/// The database.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StoreFile {
    /// Where.
    pub path: String,
    /// Whether it is there yet.
    pub exists: bool,
}

/// What the configuration files say beside what the daemon goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Configuration {
    /// The same.
    Same,
    /// Other crons than the daemon has taken up.
    Different {
        /// New ones.
        added: usize,
        /// Other definitions.
        changed: usize,
        /// Those that are gone.
        removed: usize,
    },
    /// They cannot be loaded, and the last good ones go on.
    Mistakes {
        /// How many.
        mistakes: usize,
    },
    /// There are none.
    Missing,
}

/// An occurrence to come.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Next {
    /// When.
    pub at: Time,
    /// Whose.
    pub cron_name: String,
}

/// What the daemon has to say of itself.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Notice {
    /// What it is about.
    #[schema(schema_with = notice_kinds)]
    pub kind: &'static str,
    /// Since when.
    pub at: Time,
    /// In words.
    pub detail: String,
}

/// What stands between all webhooks and their receivers.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Webhooks {
    /// Since when the configuration disables them.
    pub disabled_since: Option<Time>,
    /// The hold that keeps them, if one does.
    pub held: Option<Held>,
    /// The release that goes on, if one does.
    pub released: Option<Released>,
    /// How many are suppressed.
    pub suppressed: u64,
    /// How many URLs are suspended.
    pub suspended_urls: u64,
    /// The latest of them.
    pub suspended: Vec<Suspended>,
}

/// A hold of all webhooks.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Held {
    /// Nothing has been sent since.
    pub since: Time,
    /// Why, for people.
    pub note: Option<String>,
    /// How many wait.
    pub waiting: u64,
}

/// A release at a rate.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Released {
    /// What was due by then had piled up.
    pub since: Time,
    /// Attempts begun in a second.
    pub per_second: u32,
    /// How many of what had piled up are left.
    pub left: u64,
}

/// A URL whose receiver has said that it is gone.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Suspended {
    /// Which, without its query.
    pub url: String,
    /// Since when.
    pub since: Time,
    /// What the receiver said.
    pub detail: String,
    /// The delivery that it said so to.
    #[schema(format = Uuid)]
    pub delivery_id: String,
}

impl Webhooks {
    fn of(mode: &WebhookQueue) -> Self {
        let (held, released) = match &mode.mode {
            DeliveryMode::Free => (None, None),
            DeliveryMode::Held(hold) => {
                let (since, note) = (Time(hold.since), hold.note.clone());
                (Some(Held { since, note, waiting: mode.backlog }), None)
            }
            DeliveryMode::Released(release) => {
                let (since, per_second) = (Time(release.since), release.per_second);
                (None, Some(Released { since, per_second, left: mode.backlog }))
            }
        };
        let suspended = |suspension: &Suspension| Suspended {
            url: redacted(&suspension.url),
            since: Time(suspension.since),
            detail: suspension.detail.clone(),
            delivery_id: suspension.delivery_id.to_string(),
        };
        Self {
            disabled_since: mode.disabled_since.map(Time),
            held,
            released,
            suppressed: mode.suppressed,
            suspended_urls: mode.suspended_count,
            suspended: mode.suspended.iter().map(suspended).collect(),
        }
    }
}

/// That the daemon lives.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Alive {
    /// `ok`.
    pub status: &'static str,
}

/// Whether the daemon can do its work.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Whether it can.
    pub ready: bool,
    /// Why it cannot.
    pub reasons: Vec<&'static str>,
    /// What is wrong beside that.
    pub warnings: Vec<&'static str>,
}

/// Counts by word; what there is none of is left out.
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

/// What [`State`] is made of.
pub struct Facts {
    /// Counts.
    pub overview: Overview,
    /// The crons.
    pub crons: Vec<CronRow>,
    /// What the daemon has to say.
    pub notices: Vec<store::Notice>,
    /// How webhooks flow.
    pub mode: WebhookQueue,
}

impl Facts {
    /// Reads them, as they are `now`.
    pub fn read(reader: &Reader, now: Timestamp) -> Result<Self, StoreError> {
        let since = now.saturating_sub(WINDOW).unwrap_or(Timestamp::MIN);
        Ok(Self {
            overview: reader.overview(since)?,
            crons: reader.crons()?,
            notices: reader.notices()?,
            mode: reader.webhook_queue()?,
        })
    }

    /// Of a store that is not there yet.
    pub fn none() -> Self {
        Self {
            overview: Overview::default(),
            crons: Vec::new(),
            notices: Vec::new(),
            mode: WebhookQueue::default(),
        }
    }

    /// What fires next, and when.
    pub fn next(&self, now: Timestamp) -> Option<(Timestamp, &str)> {
        let running = self.crons.iter().filter(|row| row.state.paused.is_none());
        running.filter_map(|row| Some((next_within(row.cron.as_ref().ok()?, now)?, row.name.as_str()))).min()
    }
}

impl State {
    /// Of the facts.
    pub fn of(
        path: &Path,
        daemon: &DaemonState,
        configuration: Configuration,
        facts: &Facts,
        now: Timestamp,
    ) -> Self {
        let (running, pid) = match daemon {
            DaemonState::Running { pid } => (Some(true), *pid),
            DaemonState::Stopped => (Some(false), None),
            DaemonState::Unknown(_) => (None, None),
        };
        let next = facts.next(now);
        let overview = &facts.overview;
        let notice = |notice: &store::Notice| Notice {
            kind: notice.kind.as_str(),
            at: Time(notice.at),
            detail: notice.detail.clone(),
        };
        Self {
            daemon: Daemon { running, pid },
            store: StoreFile { path: path.display().to_string(), exists: path.exists() },
            configuration,
            crons: facts.crons.len(),
            next: next.map(|(at, name)| Next { at: Time(at), cron_name: name.to_owned() }),
            ended_24h: Counts::of(&overview.ended),
            not_over: Counts::of(&overview.in_progress),
            deliveries_24h: Counts::of(&overview.deliveries),
            deliveries_waiting: overview.deliveries_waiting,
            notices: facts.notices.iter().map(notice).collect(),
            webhooks: Webhooks::of(&facts.mode),
        }
    }
}
