//! The requests that delete history, and their responses.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Time;
use crate::engine::retention::PruneState;
use crate::present::forgetting;
use crate::store::{self, ForgetSubject, Purpose};

/// How far the deletion of old history is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Pruning {
    /// The pass that was asked for, or else the latest one: they are counted since the start of the daemon.
    pub pass: u64,
    /// The latest pass that has ended.
    pub ended_pass: u64,
    /// When the latest pass began.
    pub began_at: Option<Time>,
    /// When the latest pass that has ended did so.
    pub ended_at: Option<Time>,
    /// Runs and records that the latest pass has deleted so far.
    pub runs: u64,
    /// Webhooks that went with them.
    pub deliveries: u64,
    /// Runs of which it has deleted the values or the bodies of webhooks.
    pub values: u64,
    /// How many seconds the daemon must still run until it believes the clock: it deletes nothing until then.
    pub clock_doubted_seconds: u64,
}

/// A request to forget a cron or a thread; exactly one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForgetRequest {
    /// The name or id of the cron.
    #[schema(example = "daily-digest")]
    pub cron: Option<String>,
    /// The id of the thread.
    #[schema(format = Uuid)]
    pub thread: Option<String>,
    /// Only report what would be forgotten.
    #[serde(default)]
    pub dry_run: bool,
}

/// What was forgotten, or would be.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Forgotten {
    pub dry_run: bool,
    /// Runs and records, with their timelines.
    pub runs: u64,
    /// Webhooks, with their attempts.
    pub deliveries: u64,
    /// Versions of definitions.
    pub definitions: u64,
    /// Crons that are forgotten themselves, because they had been removed.
    pub crons: u64,
    /// Crons that go on, without a history.
    pub crons_stay: u64,
    /// The threads of its runs, for you to delete on the agent server; a thousand at most.
    #[schema(value_type = Vec<String>)]
    pub threads: Vec<String>,
    /// What is not in the database and may still hold something of it, one sentence each.
    pub beyond_reach: Vec<String>,
}

impl Pruning {
    pub fn of(state: &PruneState, pass: u64) -> Self {
        Self {
            pass,
            ended_pass: state.ended,
            began_at: state.began_at.map(Time),
            ended_at: state.ended_at.map(Time),
            runs: state.deleted.runs,
            deliveries: state.deleted.deliveries,
            values: state.deleted.values,
            clock_doubted_seconds: state.clock_doubted_for.as_secs(),
        }
    }
}

impl ForgetRequest {
    pub fn purpose(&self) -> Purpose {
        if self.dry_run { Purpose::DryRun } else { Purpose::Act }
    }
}

impl Forgotten {
    pub fn of(subject: &ForgetSubject, forgotten: &store::Forgotten, purpose: Purpose) -> Self {
        Self {
            dry_run: purpose == Purpose::DryRun,
            runs: forgotten.deleted.runs,
            deliveries: forgotten.deleted.deliveries,
            definitions: forgotten.definitions,
            crons: forgotten.crons,
            crons_stay: forgotten.crons_stay,
            threads: forgotten.threads.iter().map(ToString::to_string).collect(),
            beyond_reach: forgetting::beyond_reach(subject),
        }
    }
}
