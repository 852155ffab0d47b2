//! Runs: as a line of a listing, and with everything that is known.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    Time, delivery_reason_codes, delivery_statuses, phases, reason_codes, run_event_kinds, run_words,
    triggers,
};
use crate::domain::run::{self, BackendRun, RunState};
use crate::store::{self, AttemptRow, DeliveryRow, RunRow};
use crate::webhook::redacted;

/// One occurrence being executed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Run {
    /// Derived from the cron and the instant.
    #[schema(format = Uuid)]
    pub run_id: String,
    /// Whose occurrence it is; none if a client of the agent server asked for it.
    #[schema(format = Uuid)]
    pub cron_id: Option<String>,
    /// The cron's name at that time.
    pub cron_name: Option<String>,
    /// Why it exists.
    #[schema(schema_with = triggers)]
    pub trigger: &'static str,
    /// How it ended; while it is not over, its phase.
    #[schema(schema_with = run_words)]
    pub status: &'static str,
    /// Where it is in its life.
    #[schema(schema_with = phases)]
    pub phase: &'static str,
    /// Why it is as it is, for programs.
    #[schema(schema_with = reason_codes)]
    pub reason_code: Option<&'static str>,
    /// Why it is as it is, for people.
    pub reason: Option<String>,
    /// The instant by the calendar.
    pub scheduled_for: Time,
    /// Which run of its occurrence it is; 0 is the first.
    pub retry: u32,
    /// After jitter.
    pub due_at: Time,
    /// When the agent server accepted it.
    pub started_at: Option<Time>,
    /// When we learnt of its end.
    pub ended_at: Option<Time>,
    /// Where it runs.
    #[schema(format = Uuid)]
    pub thread_id: Option<String>,
    /// The agent server's own id for it.
    #[schema(format = Uuid)]
    pub backend_run_id: Option<String>,
    /// How often it was sent.
    pub send_count: u32,
    /// What went wrong.
    pub error: Option<RunError>,
    /// Whom it tells about its end.
    pub webhook: Option<RunWebhook>,
    /// How many occurrences this record covers; more than one for missed and paused ones.
    pub occurrences: u64,
    /// The last of them, if there are several.
    pub last_scheduled_for: Option<Time>,
}

/// An error by kind and words, as the agent server reports it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RunError {
    /// Its kind.
    pub error: String,
    /// Its words.
    pub message: String,
}

/// Where the webhook of a run has got to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RunWebhook {
    /// Which.
    #[schema(format = Uuid)]
    pub delivery_id: String,
    /// Where it stands.
    #[schema(schema_with = delivery_statuses)]
    pub status: &'static str,
    /// How many attempts were made or are being made.
    pub attempts: u32,
}

/// A run with everything that is known about it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RunDetails {
    /// The run.
    #[serde(flatten)]
    pub run: Run,
    /// The version of the definition that it was planned by.
    #[schema(format = Uuid)]
    pub definition_id: Option<String>,
    /// If the agent server has not accepted it by then, it ends as `error`.
    pub start_before: Time,
    /// How often in a row the agent server did not know it.
    pub not_found_count: u32,
    /// What its graph returned, as far as it is kept.
    pub values: Value,
    /// What happened to it beyond the usual, in order.
    pub events: Vec<RunEvent>,
    /// Whom it tells about its end.
    pub deliveries: Vec<RunDelivery>,
}

/// A line in the timeline of a run.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RunEvent {
    /// When.
    pub at: Time,
    #[schema(schema_with = run_event_kinds)]
    pub event: &'static str,
    pub detail: Option<String>,
}

/// A delivery of a run, with its attempts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RunDelivery {
    /// Which.
    #[schema(format = Uuid)]
    pub delivery_id: String,
    /// Where to, without its query.
    pub url: String,
    /// Where it stands.
    #[schema(schema_with = delivery_statuses)]
    pub status: &'static str,
    /// Why it is as it is, for programs.
    #[schema(schema_with = delivery_reason_codes)]
    pub reason_code: Option<&'static str>,
    /// Why it is as it is, for people.
    pub reason: Option<String>,
    /// When the run ended.
    pub created_at: Time,
    /// When the next attempt is due.
    pub due_at: Option<Time>,
    /// When there was nothing more to do.
    pub ended_at: Option<Time>,
    /// Its attempts, in order.
    pub attempts: Vec<RunAttempt>,
}

/// One HTTP try, in short.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RunAttempt {
    /// Counted from 1.
    pub attempt: u32,
    /// When it began.
    pub started_at: Time,
    /// When it was over.
    pub ended_at: Option<Time>,
    /// The HTTP status, if there was an answer.
    pub code: Option<u16>,
    /// What went wrong.
    pub detail: Option<String>,
}

impl Run {
    /// Of a row.
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
            trigger: run.trigger.as_str(),
            status: row.status_word(),
            phase: run.state.phase().as_str(),
            reason_code: run.reason.as_ref().map(|reason| reason.code.as_str()),
            reason: run.reason.as_ref().and_then(|reason| reason.message.clone()),
            scheduled_for: Time(run.scheduled_for),
            retry: run.retry,
            due_at: Time(run.due_at),
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
            status: delivery.status.as_str(),
            attempts: delivery.attempts,
        }
    }
}

impl RunDetails {
    /// Of all that is known.
    pub fn of(details: &store::RunDetails) -> Self {
        let run = &details.row.run;
        let event = |event: &store::EventRow| RunEvent {
            at: Time(event.at),
            event: event.event.as_str(),
            detail: event.detail.clone(),
        };
        Self {
            run: Run::of(&details.row),
            definition_id: run.cron.as_ref().map(|cron| cron.definition_id.to_string()),
            start_before: Time(run.start_before),
            not_found_count: run.not_found_count,
            values: details.values.clone().unwrap_or(Value::Null),
            events: details.events.iter().map(event).collect(),
            deliveries: details.deliveries.iter().map(RunDelivery::of).collect(),
        }
    }
}

impl RunDelivery {
    fn of(details: &store::DeliveryDetails) -> Self {
        let delivery = &details.delivery;
        Self {
            delivery_id: delivery.delivery_id.to_string(),
            url: redacted(&delivery.url),
            status: delivery.status.as_str(),
            reason_code: delivery.reason.as_ref().map(|reason| reason.code.as_str()),
            reason: delivery.reason.as_ref().and_then(|reason| reason.message.clone()),
            created_at: Time(delivery.created_at),
            due_at: delivery.due_at.map(Time),
            ended_at: delivery.ended_at.map(Time),
            attempts: details.attempts.iter().map(RunAttempt::of).collect(),
        }
    }
}

impl RunAttempt {
    /// Of a row.
    pub(super) fn of(attempt: &AttemptRow) -> Self {
        Self {
            attempt: attempt.attempt,
            started_at: Time(attempt.started_at),
            ended_at: attempt.ended_at.map(Time),
            code: attempt.code,
            detail: attempt.detail.clone(),
        }
    }
}
