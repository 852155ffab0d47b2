//! Runs: as an entry of a listing, and with everything that is known about them.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    Act, Attempt, Outage, Time, Word, delivery_reason_code_or_null, delivery_statuses, phases,
    reason_code_or_null, run_event_kinds, run_statuses, triggers,
};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::reason::{DeliveryReasonCode, ReasonCode, RunEventKind};
use crate::domain::run::{self, BackendRun, Phase, RunState, Trigger};
use crate::present::runs;
use crate::present::timeline::timeline;
use crate::store::{self, DeliveryRow, RunRow};
use crate::webhook::redacted;

/// A run, or the record of occurrences that never ran.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// For an occurrence of a cron, it is derived from the cron and the instant.
    #[schema(format = Uuid)]
    pub run_id: String,
    /// Null if a client of the agent server started the run.
    #[schema(format = Uuid)]
    pub cron_id: Option<String>,
    /// The name of the cron at that time.
    pub cron_name: Option<String>,
    /// What started it.
    #[schema(schema_with = triggers)]
    pub trigger: Word<Trigger>,
    /// How it ended; while it is in progress, its phase.
    #[schema(schema_with = run_statuses)]
    pub status: String,
    #[schema(schema_with = phases)]
    pub phase: Word<Phase>,
    /// Why it has this status, for programs; null if there is nothing to explain.
    #[schema(schema_with = reason_code_or_null)]
    pub reason_code: Option<Word<ReasonCode>>,
    /// Why it has this status, human-readable.
    pub reason: Option<String>,
    /// The outage because of which it did not run, or could not be cancelled at once; null if it was none, or one that is too long ago to be remembered.
    pub outage: Option<Outage>,
    /// The instant of the occurrence.
    pub scheduled_for: Time,
    /// Which run of its occurrence it is: 0 for the first one, 1 for the first retry.
    pub retry: u32,
    /// When it is due to start: `scheduled_for` plus jitter; for a backfill, the time of the request; for a retry, after
    /// its wait.
    pub due_at: Time,
    /// The run of the same cron that must end before it may start; null if it waits for none.
    #[schema(format = Uuid)]
    pub waits_for: Option<String>,
    /// When the agent server accepted it; null if it has not.
    pub started_at: Option<Time>,
    /// When it ended, by the agent server's account of how long it took; otherwise when agentcron learnt of it. Null while
    /// it is in progress.
    pub ended_at: Option<Time>,
    /// The thread on the agent server.
    #[schema(format = Uuid)]
    pub thread_id: Option<String>,
    /// The agent server's own id of the run.
    #[schema(format = Uuid)]
    pub backend_run_id: Option<String>,
    /// How many times it was sent to the agent server.
    pub send_count: u32,
    /// What went wrong on the agent server; null if nothing did.
    pub error: Option<RunError>,
    /// The webhook about its end; null if there is none.
    pub webhook: Option<RunWebhook>,
    /// How many occurrences this record covers. It can be more than one if they were missed or skipped.
    pub occurrences: u64,
    /// The last of them; null if there is only one.
    pub last_scheduled_for: Option<Time>,
}

/// An error as the agent server reports it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RunError {
    /// The kind of error.
    pub error: String,
    pub message: String,
}

/// The state of the webhook of a run.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RunWebhook {
    #[schema(format = Uuid)]
    pub delivery_id: String,
    #[schema(schema_with = delivery_statuses)]
    pub status: Word<DeliveryStatus>,
    /// How many attempts were made, including one in flight.
    pub attempts: u32,
}

/// A run with everything that is known about it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RunDetails {
    #[serde(flatten)]
    pub run: Run,
    /// Identifies the version of the cron's definition that it was planned with.
    #[schema(format = Uuid)]
    pub definition_id: Option<String>,
    /// The start deadline: if the run still waits to be sent then, it ends as `error`.
    pub start_before: Time,
    /// How many reconciliations in a row could not yet tell whether its latest start reached the agent server.
    pub not_found_count: u32,
    /// What its graph returned; null if it returned nothing, or if agentcron could not keep it.
    pub values: Value,
    /// The questions at which its graph stopped and waits for a human, each with its `id` and `value`; null if there
    /// are none.
    pub interrupts: Value,
    /// All runs of its occurrence, this one included, the first one first; empty for a client's run.
    pub runs: Vec<Run>,
    /// What happened to it beyond the usual course, in order of time.
    pub events: Vec<RunEvent>,
    /// The outages of the agent server, the disk and the daemon meanwhile, the latest first.
    pub outages: Vec<Outage>,
    /// The webhooks about its end.
    pub deliveries: Vec<RunDelivery>,
    /// What somebody did to it and to the other runs of its occurrence: the latest 10, the latest first.
    pub acts: Vec<Act>,
    /// Everything that happened to it, to its webhooks and to what it depends on, in order of time; for holders of a key.
    pub timeline: Vec<TimelineEntry>,
}

/// Something that happened to a run beyond the usual course.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RunEvent {
    pub at: Time,
    #[schema(schema_with = run_event_kinds)]
    pub event: Word<RunEventKind>,
    pub detail: Option<String>,
}

/// Something that happened to a run, or will.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TimelineEntry {
    pub at: Time,
    /// Human-readable.
    pub text: String,
}

/// A delivery of a run, with its attempts.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RunDelivery {
    #[schema(format = Uuid)]
    pub delivery_id: String,
    /// Where it is sent; without the query.
    pub url: String,
    #[schema(schema_with = delivery_statuses)]
    pub status: Word<DeliveryStatus>,
    /// Why it has this status, for programs; null if there is nothing to explain.
    #[schema(schema_with = delivery_reason_code_or_null)]
    pub reason_code: Option<Word<DeliveryReasonCode>>,
    /// Why it has this status, human-readable.
    pub reason: Option<String>,
    /// When the run ended.
    pub created_at: Time,
    /// When the next attempt is due; null if none is, or if one is in flight.
    pub due_at: Option<Time>,
    /// When its last attempt ended, or when it was given up; null while it is queued.
    pub ended_at: Option<Time>,
    /// In the order in which they were made.
    pub attempts: Vec<Attempt>,
}

impl Run {
    pub fn of(row: &RunRow) -> Self {
        let run = &row.run;
        let (backend_run, outcome) = match &run.state {
            RunState::Running(backend_run) => (Some(backend_run), None),
            RunState::Ended { backend_run, outcome } => (backend_run.as_ref(), Some(outcome)),
            RunState::Pending { .. } | RunState::Sending { .. } | RunState::Unconfirmed { .. } => {
                (None, None)
            }
        };
        let text = |take: fn(&BackendRun) -> String| backend_run.map(take);
        Self {
            run_id: run.run_id.to_string(),
            cron_id: run.cron_id().map(|id| id.to_string()),
            cron_name: run.cron_name().map(str::to_owned),
            trigger: Word(run.trigger),
            status: row.status_word().to_owned(),
            phase: Word(run.state.phase()),
            reason_code: run.reason.as_ref().map(|reason| Word(reason.code)),
            reason: run.reason.as_ref().and_then(|reason| reason.message.clone()),
            outage: row.outage.as_ref().map(Outage::of),
            scheduled_for: Time(run.scheduled_for),
            retry: run.retry,
            due_at: Time(run.due_at),
            waits_for: row.waits_for.map(|run_id| run_id.to_string()),
            started_at: backend_run.map(|backend_run| Time(backend_run.started_at)),
            ended_at: outcome.map(|outcome| Time(outcome.ended_at)),
            thread_id: text(|backend_run| backend_run.thread_id.to_string()),
            backend_run_id: text(|backend_run| backend_run.backend_run_id.to_string()),
            send_count: run.send_count,
            error: outcome.and_then(|outcome| outcome.error.as_ref()).map(RunError::of),
            webhook: row.webhook.as_ref().map(RunWebhook::of),
            occurrences: row.occurrences,
            last_scheduled_for: row.last_scheduled_for.map(Time),
        }
    }

    /// Returns the name under which tables show it.
    pub fn called(&self) -> &str {
        run::called(self.cron_name.as_deref())
    }

    /// Returns the time from the scheduled instant until the agent server accepted it, or `None` if it never did.
    pub fn lateness(&self) -> Option<SignedDuration> {
        Some(self.started_at?.0.duration_since(self.scheduled_for.0))
    }

    /// Returns the time from the acceptance by the agent server until the end, or `None` if it lacks either or the end is not
    /// known.
    pub fn duration(&self) -> Option<SignedDuration> {
        let is_known = !self.reason_code.is_some_and(|Word(code)| code.leaves_end_unknown());
        is_known.then_some(self.ended_at?.0.duration_since(self.started_at?.0))
    }

    /// Returns the reason and the graph's own error in one text, or what it waits for, empty if there is none of these.
    pub fn why(&self) -> String {
        let error = self.error.as_ref().map(|error| (error.error.as_str(), error.message.as_str()));
        runs::why(error, self.reason.as_deref(), self.waits_for.as_deref())
    }
}

impl RunError {
    fn of(error: &run::RunError) -> Self {
        Self { error: error.error.clone(), message: error.message.clone() }
    }
}

impl RunWebhook {
    fn of(delivery: &DeliveryRow) -> Self {
        Self {
            delivery_id: delivery.delivery_id.to_string(),
            status: Word(delivery.status),
            attempts: delivery.attempts,
        }
    }
}

impl RunDetails {
    pub fn of(details: &store::RunDetails) -> Self {
        let run = &details.row.run;
        let event = |event: &store::EventRow| RunEvent {
            at: Time(event.at),
            event: Word(event.event),
            detail: event.detail.clone(),
        };
        Self {
            run: Run::of(&details.row),
            definition_id: run.cron.as_ref().map(|cron| cron.definition_id.to_string()),
            start_before: Time(run.start_before),
            not_found_count: run.not_found_count,
            values: details.values.clone().unwrap_or(Value::Null),
            interrupts: details.interrupts.clone().unwrap_or(Value::Null),
            runs: details.runs_of_occurrence.iter().map(Run::of).collect(),
            events: details.events.iter().map(event).collect(),
            outages: details.outages.iter().map(Outage::of).collect(),
            deliveries: details.deliveries.iter().map(RunDelivery::of).collect(),
            acts: details.acts.iter().map(Act::of).collect(),
            timeline: timeline(details)
                .into_iter()
                .map(|entry| TimelineEntry { at: Time(entry.at), text: entry.text })
                .collect(),
        }
    }
}

impl RunDelivery {
    fn of(details: &store::DeliveryDetails) -> Self {
        let delivery = &details.delivery;
        Self {
            delivery_id: delivery.delivery_id.to_string(),
            url: redacted(&delivery.url),
            status: Word(delivery.status),
            reason_code: delivery.reason.as_ref().map(|reason| Word(reason.code)),
            reason: delivery.reason.as_ref().and_then(|reason| reason.message.clone()),
            created_at: Time(delivery.created_at),
            due_at: delivery.due_at.map(Time),
            ended_at: delivery.ended_at.map(Time),
            attempts: details.attempts.iter().map(Attempt::of).collect(),
        }
    }
}
