//! Pauses, of one cron and of all crons.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Time, Word, pause_causes};
use crate::domain::cron_state::{self, PauseCause};

/// A pause in force.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Pause {
    /// Occurrences after this instant are skipped.
    pub since: Time,
    /// Occurrences at this instant or later are not, because the pause ends by itself then; null if somebody has to end it.
    pub until: Option<Time>,
    /// What paused the cron: a person, its failures, or a person who paused all crons.
    #[schema(schema_with = pause_causes)]
    pub cause: Word<PauseCause>,
    /// Why, human-readable.
    pub note: Option<String>,
}

impl Pause {
    /// Returns the pause that it shows.
    pub fn pause(&self) -> cron_state::Pause {
        let (until, note) = (self.until.map(|Time(until)| until), self.note.clone());
        cron_state::Pause { until, note, ..cron_state::Pause::since(self.since.0, self.cause.0) }
    }

    pub fn of(pause: &cron_state::Pause) -> Self {
        let (since, until) = (Time(pause.since), pause.until.map(Time));
        Self { since, until, cause: Word(pause.cause), note: pause.note.clone() }
    }
}
