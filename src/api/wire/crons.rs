//! Crons: as an entry of a listing, and with their definition.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Act, Pause, Run, Time, Word, cron_sources};
use crate::config::{self, CronFields, CronIdentity, FieldError};
use crate::domain::cron::{self, CronSource};
use crate::domain::cron_state::CronStatus;
use crate::domain::ids::{CronId, InstallationId};
use crate::domain::plan::{Decided, is_excluded};
use crate::store::{self, CronRow};
use crate::webhook::redacted;

/// How many upcoming occurrences a cron is shown with.
const UPCOMING_MAX: usize = 10;

/// A cron and its state.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Cron {
    #[schema(format = Uuid)]
    pub cron_id: String,
    pub cron_name: String,
    /// Whether it is defined in a file or was created through the API.
    #[schema(schema_with = cron_sources)]
    pub source: Word<CronSource>,
    /// `file:line:column`, for a cron that is defined in a file.
    pub location: Option<String>,
    /// Whether its occurrences start runs. Null, like the other fields of its definition, if `problem` is set.
    pub enabled: Option<bool>,
    /// The cron expression.
    pub schedule: Option<String>,
    /// The time zone in which the expression is evaluated.
    pub timezone: Option<String>,
    /// The schedule, human-readable.
    pub description: Option<String>,
    /// An assistant id or the name of a graph.
    pub assistant_id: Option<String>,
    /// Null if it is not paused. Its own pause goes before one of all crons.
    pub paused: Option<Pause>,
    /// Whether its next occurrence will be skipped, once.
    pub skip_next: bool,
    /// How many of its runs in a row failed because of the cron itself; an outage does not count.
    pub failures_in_a_row: u32,
    /// The next occurrence; null if it is disabled or its schedule has ended.
    pub next_at: Option<Time>,
    /// How many of its runs are or may be on the agent server.
    pub running: u64,
    /// Its latest run or occurrence that has ended.
    pub last: Option<Run>,
    pub recent: Recent,
    /// Why this version of agentcron cannot read its definition; null if it can.
    pub problem: Option<String>,
}

/// What the latest 50 ends of a cron's runs say about it. An end that an outage or a person caused is none of these.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Recent {
    /// How many these are.
    pub runs: u64,
    /// How many of them worked.
    pub ok: u64,
    /// The time on the agent server within which half of them ended; null if it had none of them.
    pub p50_ms: Option<i64>,
    /// The time within which 95 % of them ended.
    pub p95_ms: Option<i64>,
}

/// Failures of a cron that are alike: in status, reason code and kind of error.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Failures {
    /// How many occurrences they concern.
    pub count: u64,
    /// The first of these.
    pub since: Time,
    pub last: Run,
}

/// A version of a cron's definition.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Version {
    #[schema(format = Uuid)]
    pub definition_id: String,
    /// When the cron got it last.
    pub since: Time,
    /// The keys in which it differs from the version before it; empty for the first one.
    pub changed: Vec<String>,
    /// What these keys said before and say now; without those that graphs read, unless to holders of a key.
    pub changes: Vec<KeyChange>,
}

/// A key that two versions of a definition do not have alike.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KeyChange {
    pub key: String,
    /// As `definition` has it; null if the version before did not have the key.
    pub old: Value,
    /// Null if this version does not have it.
    pub new: Value,
}

/// A cron with its definition.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CronDetails {
    #[serde(flatten)]
    pub cron: Cron,
    /// Identifies this version of its definition.
    #[schema(format = Uuid)]
    pub definition_id: String,
    /// The definition as stored: with the keys of the configuration, without defaults, with placeholders as written,
    /// without the query of the webhook's URL.
    #[schema(value_type = Object)]
    pub definition: Value,
    /// The thread of all its runs, which a `thread` in the definition only names; null if each run gets a new one, or if
    /// `problem` is set.
    #[schema(format = Uuid)]
    pub thread_id: Option<String>,
    /// When agentcron first loaded or created the cron.
    pub created_at: Time,
    /// When its definition last changed.
    pub updated_at: Time,
    /// Its latest versions, the present one first.
    pub versions: Vec<Version>,
    /// What went wrong in the last seven days (`error`, `timeout`, `missed`, or skipped because of an outage or a denial): like with like, the latest first, at most 5.
    pub failures: Vec<Failures>,
    /// What somebody did to it and to its runs: the latest 10, the latest first.
    pub acts: Vec<Act>,
    /// Its next occurrences, at most 10; empty if it is disabled.
    pub upcoming: Vec<Occurrence>,
}

/// An upcoming occurrence.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Occurrence {
    pub at: Time,
    /// Whether it is on an excluded day and will be skipped.
    pub excluded: bool,
}

impl Cron {
    /// `next_at` is the next occurrence after `now` that is not in `decided`.
    pub fn of(row: &CronRow, decided: &Decided, now: Timestamp) -> Self {
        let cron = row.cron.as_ref().ok();
        let text = |take: fn(&cron::Cron) -> String| cron.map(take);
        Self {
            cron_id: row.cron_id.to_string(),
            cron_name: row.name.clone(),
            source: Word(row.source),
            location: row.location.clone(),
            enabled: cron.map(|cron| cron.enabled),
            schedule: text(|cron| cron.calendar.expression().to_owned()),
            timezone: text(|cron| cron.calendar.timezone().to_owned()),
            description: text(|cron| cron.calendar.describe()),
            assistant_id: text(|cron| cron.request.assistant_id.clone()),
            paused: row.state.paused.as_ref().map(Pause::of),
            skip_next: row.state.skip_next,
            failures_in_a_row: row.state.failures,
            next_at: cron.and_then(|cron| decided.next_within(cron, now)).map(Time),
            running: row.running,
            last: row.last.as_ref().map(Run::of),
            recent: Recent::of(&row.recent),
            problem: row.cron.as_ref().err().cloned(),
        }
    }

    /// Returns `None` if its definition cannot be read.
    pub fn status(&self) -> Option<CronStatus> {
        self.enabled.map(|enabled| CronStatus::of(enabled, self.paused.is_some()))
    }
}

impl Recent {
    fn of(recent: &store::Recent) -> Self {
        let took = |percent| recent.took(percent).and_then(|took| i64::try_from(took.as_millis()).ok());
        Self { runs: recent.runs, ok: recent.ok, p50_ms: took(50), p95_ms: took(95) }
    }
}

impl Failures {
    fn of(failures: &store::Failures) -> Self {
        let store::Failures { count, since, last } = failures;
        Self { count: *count, since: Time(*since), last: Run::of(last) }
    }
}

impl Version {
    fn of(version: &store::Version) -> Self {
        Self {
            definition_id: version.definition_id.to_string(),
            since: Time(version.since),
            changed: version.changes.iter().map(|change| change.key.clone()).collect(),
            changes: version.changes.iter().map(KeyChange::of).collect(),
        }
    }
}

impl KeyChange {
    fn of(change: &store::KeyChange) -> Self {
        let shown = |value: &Option<Value>| match value {
            Some(Value::String(url)) if change.key == "webhook" => Value::String(redacted(url)),
            value => value.clone().unwrap_or_default(),
        };
        Self { key: change.key.clone(), old: shown(&change.old), new: shown(&change.new) }
    }
}

impl CronDetails {
    pub fn of(details: &store::CronDetails, decided: &Decided, now: Timestamp) -> Self {
        let mut definition = details.definition.clone();
        if let Some(Value::String(url)) = definition.get_mut("webhook") {
            *url = redacted(url);
        }
        Self {
            cron: Cron::of(&details.row, decided, now),
            definition_id: details.row.definition_id.to_string(),
            definition,
            thread_id: details.row.cron.as_ref().ok().and_then(thread_id),
            created_at: Time(details.created_at),
            updated_at: Time(details.updated_at),
            versions: details.versions.iter().map(Version::of).collect(),
            failures: details.failures.iter().map(Failures::of).collect(),
            acts: details.acts.iter().map(Act::of).collect(),
            upcoming: details.row.cron.as_ref().map_or(Vec::new(), |cron| upcoming(cron, decided, now)),
        }
    }

    /// Returns the definition with its defaults, or the reason why this version of agentcron cannot read it. Its webhook and
    /// the ids in it are not those of the cron, which only the store can tell.
    pub fn parsed(&self) -> Result<cron::Cron, String> {
        let mut fields = CronFields::deserialize(&self.definition).map_err(|error| error.to_string())?;
        fields.webhook = None;
        let identity = CronIdentity {
            installation: InstallationId::default(),
            cron_id: CronId::default(),
            name: &self.cron.cron_name,
            source: self.cron.source.0,
        };
        let text = |errors: Vec<FieldError>| {
            errors.into_iter().map(|error| error.message).collect::<Vec<_>>().join("; ")
        };
        config::validate_cron_as(identity, &fields).map_err(text)
    }
}

fn thread_id(cron: &cron::Cron) -> Option<String> {
    match cron.request.target {
        cron::Target::Thread(thread_id) => Some(thread_id.to_string()),
        cron::Target::Stateless(_) => None,
    }
}

fn upcoming(cron: &cron::Cron, decided: &Decided, now: Timestamp) -> Vec<Occurrence> {
    let next = |after| decided.next_within(cron, after);
    let instants = std::iter::successors(next(now), |at| next(*at));
    instants
        .take(UPCOMING_MAX)
        .map(|at| Occurrence { at: Time(at), excluded: is_excluded(cron, at) })
        .collect()
}
