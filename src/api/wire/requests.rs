//! What may be asked of a cron or a run, and what is answered.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Pause, Time, phases, triggers};
use crate::domain::bounds::{BACKFILL_INSTANTS_MAX, NOTE_CHARS_MAX};
use crate::domain::cron_state;
use crate::domain::run::{self, Trigger};
use crate::store::{BackfillFate, BackfillLine, CancelEffect};

/// No options.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// How to pause.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseBody {
    /// Why, for people.
    #[schema(max_length = 500, example = "the provider is down")]
    pub note: Option<String>,
}

/// Which past instants are to be run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackfillBody {
    /// The first instant that counts.
    #[schema(format = DateTime, example = "2026-03-01T00:00:00Z")]
    pub from: String,
    /// The first instant that does not count any more; not in the future.
    #[schema(format = DateTime, example = "2026-03-02T00:00:00Z")]
    pub to: String,
    /// Only tell what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// With more instants than this, or than 10000, nothing is done at all; 100 if it is not given.
    pub limit: Option<usize>,
}

/// The run that was asked for.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Triggered {
    /// Which.
    #[schema(format = Uuid)]
    pub run_id: String,
    /// Whose.
    #[schema(format = Uuid)]
    pub cron_id: Option<String>,
    /// Whose.
    pub cron_name: Option<String>,
    /// `manual`.
    #[schema(schema_with = triggers)]
    pub trigger: &'static str,
    /// Now.
    pub scheduled_for: Time,
    /// Where it is in its life.
    #[schema(schema_with = phases)]
    pub status: &'static str,
    /// The run that it waits for, by its cron's `overlap`.
    #[schema(format = Uuid)]
    pub waits_for: Option<String>,
}

/// How a cron stood, and how it stands now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CronStateChanged {
    /// Whose.
    pub cron_name: String,
    /// Before.
    pub before: CronState,
    /// Now.
    pub now: CronState,
}

/// How a cron stands besides its definition.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CronState {
    /// Its pause, if it is paused.
    pub paused: Option<Pause>,
    /// Whether the next occurrence is skipped, once.
    pub skip_next: bool,
    /// Runs in a row that ended as `error` or `timeout`.
    pub failures_in_a_row: u32,
}

/// What becomes of the instants of a backfill.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Backfilled {
    /// Whose.
    pub cron_name: String,
    /// `backfill`.
    #[schema(schema_with = triggers)]
    pub trigger: &'static str,
    /// Whether it is only told what would be done.
    pub dry_run: bool,
    /// How many are run.
    pub runs: usize,
    /// Every instant of the range.
    pub instants: Vec<Instant>,
}

/// One instant of a backfill.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Instant {
    /// By the calendar.
    pub scheduled_for: Time,
    /// Its run.
    #[schema(format = Uuid)]
    pub run_id: String,
    /// `run`; `exists`: it has a record already; `excluded`: it falls on an excluded day.
    pub fate: &'static str,
    /// Of the record that it has.
    pub status: Option<String>,
}

/// A run that is to end.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Cancelled {
    /// Which.
    #[schema(format = Uuid)]
    pub run_id: String,
    /// Whose.
    pub cron_name: Option<String>,
    /// Where it is in its life.
    #[schema(schema_with = phases)]
    pub status: &'static str,
    /// What is done about it.
    pub detail: String,
}

// The document names them as numbers.
const _: () = assert!(NOTE_CHARS_MAX == 500 && BACKFILL_INSTANTS_MAX == 10_000);

impl Triggered {
    /// Of a new run.
    pub fn of(run: &run::Run, waits_for: Option<String>) -> Self {
        Self {
            run_id: run.run_id.to_string(),
            cron_id: run.cron_id().map(|id| id.to_string()),
            cron_name: run.cron_name().map(str::to_owned),
            trigger: run.trigger.as_str(),
            scheduled_for: Time(run.scheduled_for),
            status: run.state.phase().as_str(),
            waits_for,
        }
    }
}

impl CronState {
    /// Of a standing.
    pub fn of(state: &cron_state::CronState) -> Self {
        Self {
            paused: state.paused.as_ref().map(Pause::of),
            skip_next: state.skip_next,
            failures_in_a_row: state.failures,
        }
    }
}

impl Backfilled {
    /// Of what became of every instant.
    pub fn of(cron_name: String, dry_run: bool, lines: &[BackfillLine]) -> Self {
        Self {
            cron_name,
            trigger: Trigger::Backfill.as_str(),
            dry_run,
            runs: lines.iter().filter(|line| line.fate == BackfillFate::Run).count(),
            instants: lines.iter().map(Instant::of).collect(),
        }
    }
}

impl Instant {
    fn of(line: &BackfillLine) -> Self {
        let (fate, status) = match &line.fate {
            BackfillFate::Run => ("run", None),
            BackfillFate::Exists(status) => ("exists", Some(status.clone())),
            BackfillFate::Excluded => ("excluded", None),
        };
        Self { scheduled_for: Time(line.scheduled_for), run_id: line.run_id.to_string(), fate, status }
    }
}

impl Cancelled {
    /// Of a run that was not over.
    pub fn of(run: &run::Run, effect: CancelEffect) -> Self {
        Self {
            run_id: run.run_id.to_string(),
            cron_name: run.cron_name().map(str::to_owned),
            status: run.state.phase().as_str(),
            detail: effect.message(run),
        }
    }
}
