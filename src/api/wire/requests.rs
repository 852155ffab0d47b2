//! The requests that control crons and runs, and their responses.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Pause, Time, phases, triggers};
use crate::domain::bounds::{BACKFILL_INSTANTS_MAX, NOTE_CHARS_MAX};
use crate::domain::cron_state;
use crate::domain::run::{self, Trigger};
use crate::store::{Backfill, BackfillFate, BackfillLine, CancelEffect, ChangedPauseOfAll, Purpose};

/// A request without options.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmptyRequest {}

/// A request to pause a cron, or all crons.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// The reason; `agentcron list` shows it, and skipped occurrences have it in their `reason`.
    #[schema(max_length = 500, example = "the provider is down")]
    pub note: Option<String>,
    /// When the pause ends by itself; absent if somebody has to end it.
    #[schema(format = DateTime)]
    pub until: Option<String>,
}

/// A request to run past occurrences.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackfillRequest {
    /// Start of the range (inclusive); the beginning of the cron if absent or earlier than that.
    #[schema(format = DateTime, example = "2026-03-01T00:00:00Z")]
    pub from: Option<String>,
    /// End of the range (exclusive); not in the future.
    #[schema(format = DateTime, example = "2026-03-02T00:00:00Z")]
    pub to: String,
    /// Let the range start before the beginning of the cron: before the daemon first knew it.
    #[serde(default)]
    pub before_beginning: bool,
    /// Only report what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// The most occurrences to run; 100 if absent, at most 10000. If the range has more, nothing is run.
    pub limit: Option<usize>,
}

/// A request to start a run of a cron, or to run an occurrence again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// What the graph is given instead of the cron's own input; null or absent for that one. Placeholders are refused.
    #[serde(default)]
    pub input: Value,
}

/// The new run.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Triggered {
    #[schema(format = Uuid)]
    pub run_id: String,
    #[schema(format = Uuid)]
    pub cron_id: Option<String>,
    pub cron_name: Option<String>,
    /// Always `manual`.
    #[schema(schema_with = triggers)]
    pub trigger: &'static str,
    /// The instant of the request; for a retry, that of the occurrence.
    pub scheduled_for: Time,
    /// Which run of its occurrence it is: 0 for the first one, 1 for the first retry.
    pub retry: u32,
    /// Its phase.
    #[schema(schema_with = phases)]
    pub status: &'static str,
    /// The run that must end first, according to the cron's `overlap`; null if there is none.
    #[schema(format = Uuid)]
    pub waits_for: Option<String>,
}

/// The state of a cron before and after a change.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CronStateChanged {
    pub cron_name: String,
    pub before: CronState,
    pub now: CronState,
    /// How many runs that waited to be sent a pause has skipped.
    pub skipped: usize,
}

/// The pause of all crons before and after a change.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AllPausedChanged {
    /// Null if it was not in force.
    pub before: Option<Pause>,
    /// Null if it is not in force.
    pub now: Option<Pause>,
    /// How many runs that waited to be sent the pause has skipped.
    pub skipped: usize,
}

/// The state of a cron that is not part of its definition.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CronState {
    /// Null if it is not paused.
    pub paused: Option<Pause>,
    /// Whether its next occurrence will be skipped, once.
    pub skip_next: bool,
    /// How many of its runs in a row failed because of the cron itself; an outage does not count.
    pub failures_in_a_row: u32,
}

/// What was done for each occurrence of a backfill, or would be.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Backfilled {
    pub cron_name: String,
    /// Always `backfill`.
    #[schema(schema_with = triggers)]
    pub trigger: &'static str,
    pub dry_run: bool,
    /// Start of the range that was looked at.
    pub from: Time,
    /// How many occurrences are run.
    pub runs: usize,
    /// Every occurrence in the range.
    pub instants: Vec<BackfillInstant>,
}

/// One occurrence of a backfill.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BackfillInstant {
    pub scheduled_for: Time,
    #[schema(format = Uuid)]
    pub run_id: String,
    /// `run`: it is run; `exists`: it has run already, or was skipped for a reason other than a pause or an edit;
    /// `excluded`: it is on an excluded day.
    pub fate: &'static str,
    /// The status of the existing record; null if there is none.
    pub status: Option<String>,
}

/// The run that is being cancelled.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Cancelled {
    #[schema(format = Uuid)]
    pub run_id: String,
    pub cron_name: Option<String>,
    /// Its phase.
    #[schema(schema_with = phases)]
    pub status: &'static str,
    /// What is done about it, human-readable.
    pub detail: String,
}

// The OpenAPI document states these limits as numbers.
const _: () = assert!(NOTE_CHARS_MAX == 500 && BACKFILL_INSTANTS_MAX == 10_000);

impl BackfillRequest {
    pub fn purpose(&self) -> Purpose {
        if self.dry_run { Purpose::DryRun } else { Purpose::Act }
    }
}

impl Triggered {
    pub fn of(run: &run::Run, waits_for: Option<String>) -> Self {
        Self {
            run_id: run.run_id.to_string(),
            cron_id: run.cron_id().map(|id| id.to_string()),
            cron_name: run.cron_name().map(str::to_owned),
            trigger: run.trigger.as_str(),
            scheduled_for: Time(run.scheduled_for),
            retry: run.retry,
            status: run.state.phase().as_str(),
            waits_for,
        }
    }
}

impl AllPausedChanged {
    pub fn of(changed: &ChangedPauseOfAll) -> Self {
        let ChangedPauseOfAll { before, after, skipped } = changed;
        Self { before: before.as_ref().map(Pause::of), now: after.as_ref().map(Pause::of), skipped: *skipped }
    }
}

impl CronState {
    pub fn of(state: &cron_state::CronState) -> Self {
        Self {
            paused: state.paused.as_ref().map(Pause::of),
            skip_next: state.skip_next,
            failures_in_a_row: state.failures,
        }
    }
}

impl Backfilled {
    pub fn of(cron_name: String, purpose: Purpose, backfill: &Backfill) -> Self {
        let Backfill { from, lines } = backfill;
        Self {
            cron_name,
            trigger: Trigger::Backfill.as_str(),
            dry_run: purpose == Purpose::DryRun,
            from: Time(*from),
            runs: lines.iter().filter(|line| line.fate == BackfillFate::Run).count(),
            instants: lines.iter().map(BackfillInstant::of).collect(),
        }
    }
}

impl BackfillInstant {
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
    /// `run` has not ended; `effect` is what the store did about it.
    pub fn of(run: &run::Run, effect: CancelEffect) -> Self {
        Self {
            run_id: run.run_id.to_string(),
            cron_name: run.cron_name().map(str::to_owned),
            status: run.state.phase().as_str(),
            detail: effect.message(run),
        }
    }
}
