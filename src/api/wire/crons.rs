//! Crons: as a line of a listing, and with their definition.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Run, Time, cron_sources, pause_causes};
use crate::domain::cron;
use crate::domain::cron_state;
use crate::domain::plan::{is_excluded, next_within};
use crate::store::{self, CronRow};
use crate::webhook::redacted;

/// So many of the occurrences to come are told.
const UPCOMING: usize = 10;

/// A cron, and how it stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Cron {
    /// Which.
    #[schema(format = Uuid)]
    pub cron_id: String,
    /// Its name.
    pub cron_name: String,
    /// Where its definition lives.
    #[schema(schema_with = cron_sources)]
    pub source: &'static str,
    /// `file:line:column` of a cron from a file.
    pub location: Option<String>,
    /// Whether occurrences are fired at all. Null, like the other fields of its definition, if that cannot be read.
    pub enabled: Option<bool>,
    /// The cron expression.
    pub schedule: Option<String>,
    /// The zone that it is read in.
    pub timezone: Option<String>,
    /// The schedule in words.
    pub description: Option<String>,
    /// Assistant id or graph name.
    pub assistant_id: Option<String>,
    /// Its pause, if it is paused.
    pub paused: Option<Pause>,
    /// Whether the next occurrence is skipped, once.
    pub skip_next: bool,
    /// Runs in a row that ended as `error` or `timeout`.
    pub failures_in_a_row: u32,
    /// The next instant that its calendar names.
    pub next_at: Option<Time>,
    /// How many of its runs the agent server has or may have.
    pub running: u64,
    /// The latest occurrence that is over.
    pub last: Option<Run>,
    /// Why this version of agentcron cannot read its definition.
    pub problem: Option<String>,
}

/// A pause that goes on.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Pause {
    /// Occurrences after this instant are skipped.
    pub since: Time,
    /// Who paused it.
    #[schema(schema_with = pause_causes)]
    pub cause: &'static str,
    /// Why, for people.
    pub note: Option<String>,
}

/// A cron with its definition.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CronDetails {
    /// The cron.
    #[serde(flatten)]
    pub cron: Cron,
    /// The version of its definition.
    #[schema(format = Uuid)]
    pub definition_id: String,
    /// The definition as stored: by the names of the configuration, defaults left out, placeholders as written, the
    /// query of the webhook's URL left out.
    #[schema(value_type = Object)]
    pub definition: Value,
    /// Since when it is known.
    pub created_at: Time,
    /// Since when it has this definition.
    pub updated_at: Time,
    /// The next instants that its calendar names; none if it is disabled.
    pub upcoming: Vec<Occurrence>,
}

/// An instant that a calendar names.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Occurrence {
    /// When.
    pub at: Time,
    /// Whether it falls on an excluded day and will be skipped.
    pub excluded: bool,
}

impl Cron {
    /// Of a row; its next time is after `now`.
    pub fn of(row: &CronRow, now: Timestamp) -> Self {
        let cron = row.cron.as_ref().ok();
        let text = |take: fn(&cron::Cron) -> String| cron.map(take);
        Self {
            cron_id: row.cron_id.to_string(),
            cron_name: row.name.clone(),
            source: row.source.as_str(),
            location: row.location.clone(),
            enabled: cron.map(|cron| cron.enabled),
            schedule: text(|cron| cron.calendar.expression().to_owned()),
            timezone: text(|cron| cron.calendar.timezone().to_owned()),
            description: text(|cron| cron.calendar.describe()),
            assistant_id: text(|cron| cron.request.assistant_id.clone()),
            paused: row.state.paused.as_ref().map(Pause::of),
            skip_next: row.state.skip_next,
            failures_in_a_row: row.state.failures,
            next_at: cron.and_then(|cron| next_within(cron, now)).map(Time),
            running: row.running,
            last: row.last.as_ref().map(Run::of),
            problem: row.cron.as_ref().err().cloned(),
        }
    }
}

impl Pause {
    /// Of a pause.
    pub fn of(pause: &cron_state::Pause) -> Self {
        Self { since: Time(pause.since), cause: pause.cause.as_str(), note: pause.note.clone() }
    }
}

impl CronDetails {
    /// Of all that is known.
    pub fn of(details: &store::CronDetails, now: Timestamp) -> Self {
        let mut definition = details.definition.clone();
        if let Some(Value::String(url)) = definition.get_mut("webhook") {
            *url = redacted(url);
        }
        Self {
            cron: Cron::of(&details.row, now),
            definition_id: details.row.definition_id.to_string(),
            definition,
            created_at: Time(details.created_at),
            updated_at: Time(details.updated_at),
            upcoming: details.row.cron.as_ref().map_or(Vec::new(), |cron| upcoming(cron, now)),
        }
    }
}

fn upcoming(cron: &cron::Cron, now: Timestamp) -> Vec<Occurrence> {
    let instants = std::iter::successors(next_within(cron, now), |at| next_within(cron, *at));
    instants.take(UPCOMING).map(|at| Occurrence { at: Time(at), excluded: is_excluded(cron, at) }).collect()
}
