//! The state of the daemon, of its configuration, and of the last 24 hours.

use std::fmt::Display;

use jiff::Timestamp;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use super::{Daemon, DaemonName, Pause, Time, Word, aways, concerns, notice_kinds};
use crate::domain::cron_state::CronStatus;
use crate::domain::outage::{self, Away};
use crate::present::attention::{self, Concern};
use crate::store::{self, CronHead, DaemonState, NoticeKind, StatusSnapshot};

/// The state of the daemon, of the configuration and of the last 24 hours.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StatusReport {
    /// What is wrong, or unusual on purpose; the worst first.
    pub attention: Vec<Attention>,
    pub daemon: DaemonProcess,
    /// The daemons of the store, the worst first: several if they share it.
    pub daemons: Vec<Daemon>,
    /// The clock by which this was said.
    pub now: Time,
    pub store: StorePlace,
    /// Whether the configuration files match the configuration in force.
    pub configuration: Configuration,
    /// The pause of all crons; null if it is not in force.
    pub all_paused: Option<Pause>,
    /// How many crons there are.
    pub crons: usize,
    /// The crons by state, `unreadable` among them.
    pub crons_by_state: Counts,
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
    /// When the agent server answered last, also if it refused something; null if it never did, or if the daemon does not
    /// respond.
    pub backend_heard_at: Option<Time>,
    /// What the agent server does not let us do now.
    pub denied: Denied,
    /// The outages that had not ended 24 hours ago, latest first.
    pub outages: Vec<Outage>,
    /// What the operator should know.
    pub notices: Vec<Notice>,
    /// How many webhooks are suppressed: recorded, and not sent.
    pub suppressed: u64,
    /// When the daemon made its last backup by `store.backup`; null if it never made one.
    pub backed_up_at: Option<Time>,
}

/// Something that an operator should know.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Attention {
    /// What it is about.
    #[schema(schema_with = concerns)]
    pub what: Word<Concern>,
    /// Which cron, receiver or URL it is about; null if there is only one of its kind.
    pub subject: Option<String>,
    pub since: Option<Time>,
    /// What is wrong, human-readable.
    pub text: String,
    /// What to do about it; null if nothing has to be done.
    pub todo: Option<String>,
    /// Whether somebody has to act: false if it is wanted, or passes by itself.
    pub needs_person: bool,
}

/// What the agent server does not let us do, although it answers: it refuses `backend.api_key` and `backend.headers`, or shows
/// nothing for the moment.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct Denied {
    /// How many runs cannot be followed.
    pub runs: u64,
    /// How many threads cannot be deleted.
    pub threads: u64,
}

/// The process of the daemon.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DaemonProcess {
    /// Whether a daemon is running; null if that is unknown.
    pub running: Option<bool>,
    /// Its process id, if known.
    pub pid: Option<u32>,
    /// When it started; null if no daemon is running.
    pub started_at: Option<Time>,
    /// The version of the daemon, if it says so itself.
    #[schema(example = "0.1.0")]
    pub version: Option<String>,
}

/// Where the store is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StorePlace {
    /// The file, or the server and its database.
    pub path: String,
    pub exists: bool,
    /// With the latest changes, which may be in a file beside it.
    pub bytes: u64,
}

/// How the configuration files compare with the configuration in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
}

/// The next occurrence.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct NextOccurrence {
    pub at: Time,
    pub cron_name: String,
}

/// A time in which something that the daemon depends on was away, or the daemon itself.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Outage {
    #[schema(schema_with = aways)]
    pub what: Word<Away>,
    /// Which receiver it was: scheme and host of its URL, and the path if only that URL was away; null for everything else.
    pub receiver: Option<String>,
    pub since: Time,
    /// Null while it lasts.
    pub until: Option<Time>,
    /// Human-readable.
    pub why: String,
    /// The daemon that saw it, if several share the store; null otherwise, and if it was the matter of all of them.
    pub daemon: Option<DaemonName>,
}

impl Outage {
    pub fn of(outage: &outage::Outage) -> Self {
        Self {
            what: Word(outage.what),
            receiver: (outage.what == Away::Receiver).then(|| outage.subject.clone()),
            since: Time(outage.since),
            until: outage.until.map(Time),
            why: outage.why.clone(),
            daemon: outage.seen_by.as_ref().map(DaemonName::of),
        }
    }

    /// Returns the outage that it shows.
    pub fn outage(&self) -> outage::Outage {
        outage::Outage {
            what: self.what.0,
            subject: self.receiver.clone().unwrap_or_default(),
            since: self.since.0,
            until: self.until.map(|Time(until)| until),
            why: self.why.clone(),
            seen_by: self.daemon.as_ref().map(DaemonName::name),
        }
    }
}

/// Something that the operator should know.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Notice {
    #[schema(schema_with = notice_kinds)]
    pub kind: Word<NoticeKind>,
    /// Since when it applies.
    pub at: Time,
    /// What happened, human-readable.
    pub detail: String,
    /// The daemon that says so, if several share the store; null otherwise.
    pub daemon: Option<DaemonName>,
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

/// The last lines of the daemon's log.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LogTail {
    /// The oldest first.
    pub lines: Vec<String>,
}

/// Counts by status or phase; those with a count of 0 are left out.
#[derive(Clone, Debug, Default, ToSchema)]
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

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let counts = serde_json::Map::deserialize(deserializer)?;
        Ok(Self(counts.into_iter().map(|(word, count)| (word, count.as_u64().unwrap_or(0))).collect()))
    }
}

impl Display for Counts {
    /// Writes `12 success, 1 error`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("none"),
            counts => {
                let texts: Vec<_> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
                f.write_str(&texts.join(", "))
            }
        }
    }
}

impl Counts {
    pub(super) fn of<Word: Display>(counts: &[(Word, u64)]) -> Self {
        Self(counts.iter().map(|(word, count)| (word.to_string(), *count)).collect())
    }

    /// Returns the count of a word.
    pub fn get(&self, word: &str) -> u64 {
        self.0.iter().find(|(counted, _)| counted == word).map_or(0, |(_, count)| *count)
    }

    fn of_crons(crons: &[CronHead]) -> Self {
        let state = |cron: &CronHead| cron.status.as_ref().map_or("unreadable", |status| status.as_str());
        let words = CronStatus::WORDS.iter().copied().chain(["unreadable"]);
        let counts = words.map(|word| (word, crons.iter().filter(|row| state(row) == word).count() as u64));
        Self::of(&counts.filter(|(_, count)| *count > 0).collect::<Vec<_>>())
    }
}

impl Attention {
    pub fn of(attention: &attention::Attention) -> Self {
        Self {
            what: Word(attention.what),
            subject: attention.subject.clone(),
            since: attention.since.map(Time),
            text: attention.text.clone(),
            todo: attention.todo.clone(),
            needs_person: attention.needs_person,
        }
    }
}

impl StatusReport {
    /// Returns the report of the store that is called `place`. `version` is that of the daemon, if it says so itself.
    pub fn of(place: &str, snapshot: &StatusSnapshot, version: Option<String>, now: Timestamp) -> Self {
        let (running, pid) = match snapshot.daemon {
            DaemonState::Running { pid } | DaemonState::Starting { pid, .. } => (Some(true), pid),
            DaemonState::Stopped => (Some(false), None),
            DaemonState::Unknown(_) => (None, None),
        };
        let is_starting = matches!(snapshot.daemon, DaemonState::Starting { .. });
        let last =
            snapshot.last_daemon.filter(|last| running.unwrap_or(last.stopped_at.is_none()) && !is_starting);
        let overview = &snapshot.overview;
        let notice = |notice: &store::Notice| Notice {
            kind: Word(notice.kind),
            at: Time(notice.at),
            detail: notice.detail.clone(),
            daemon: notice.of.as_ref().map(DaemonName::of),
        };
        let found = attention::attention(snapshot, now);
        Self {
            attention: found.iter().map(Attention::of).collect(),
            daemon: DaemonProcess {
                running,
                pid,
                started_at: last.map(|last| Time(last.started_at)),
                version,
            },
            daemons: snapshot.daemons.iter().map(Daemon::of).collect(),
            now: Time(now),
            store: StorePlace {
                path: place.to_owned(),
                exists: snapshot.bytes.is_some(),
                bytes: snapshot.bytes.unwrap_or_default(),
            },
            // The daemon loads changed files by itself; if it cannot, it leaves a notice of the mistakes.
            configuration: snapshot
                .mistakes()
                .map_or(Configuration::Same, |mistakes| Configuration::Mistakes { mistakes }),
            all_paused: snapshot.pause_of_all.as_ref().map(Pause::of),
            crons: snapshot.crons.len(),
            crons_by_state: Counts::of_crons(&snapshot.crons),
            next: snapshot.next.clone().map(|(at, cron_name)| NextOccurrence { at: Time(at), cron_name }),
            ended_24h: Counts::of(&overview.ended),
            in_progress: Counts::of(&overview.in_progress),
            deliveries_24h: Counts::of(&overview.deliveries),
            deliveries_waiting: overview.deliveries_waiting,
            backend_heard_at: snapshot.backend.heard_at.map(Time),
            denied: Denied { runs: overview.denied.runs, threads: overview.denied.threads },
            outages: snapshot.outages.iter().map(Outage::of).collect(),
            notices: snapshot.notices.iter().map(notice).collect(),
            suppressed: snapshot.queue.suppressed,
            backed_up_at: snapshot.backed_up_at.map(Time),
        }
    }

    /// Adds what is not in the store or known to the daemon, in its place.
    pub fn add(&mut self, found: &attention::Attention) {
        let key = |one: &Attention| one.what.0.rank(one.needs_person);
        let found = Attention::of(found);
        let place = self.attention.partition_point(|one| key(one) <= key(&found));
        self.attention.insert(place, found);
    }

    pub fn verdict(&self) -> Verdict {
        match self.daemon.running {
            Some(false) => Verdict::DaemonDown,
            Some(true) | None if self.attention.iter().any(|one| one.needs_person) => Verdict::NeedsPerson,
            Some(true) | None => Verdict::Well,
        }
    }
}

/// What a report comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Well,
    /// Something needs a person.
    NeedsPerson,
    /// No daemon is running.
    DaemonDown,
}
