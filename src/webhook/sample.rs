//! A webhook that reports no real run, for `agentcron webhook test` and `doctor --send`. It has the shape of
//! a real one and is marked as a test.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::body::{EndedRun, body};
use crate::config::WebhooksConfig;
use crate::domain::cron::{Mode, OnRunCompleted, Request, Target};
use crate::domain::ids::{BackendRunId, CronId, DefinitionId, FIRST_RUN, InstallationId, RunId};
use crate::domain::run::{BackendRun, CronVersion, Outcome, Run, RunState, Status, Trigger};

/// How long the invented run claims to have taken.
const TOOK: Duration = Duration::from_millis(3);

/// A webhook about an invented run.
pub struct SampleWebhook<'a> {
    /// Distinguishes this sample from every other one.
    pub id: Uuid,
    /// The cron that the run claims to belong to.
    pub cron_name: &'a str,
    pub assistant_id: &'a str,
    /// The receiver's URL; the body shows it without its query.
    pub url: &'a str,
    /// When the run claims to have ended.
    pub at: Timestamp,
}

impl SampleWebhook<'_> {
    /// Returns an id that no real run has.
    pub fn webhook_id(&self) -> String {
        format!("msg_test_{}", self.id)
    }

    /// Returns the body, made by the same code as every real one.
    pub fn body(&self, settings: &WebhooksConfig) -> Vec<u8> {
        let cron_id = CronId::of_name(InstallationId::default(), self.cron_name);
        let run_id = RunId(self.id);
        let began_at = self.at.saturating_sub(TOOK).unwrap_or(self.at);
        let backend_run = BackendRun {
            start_number: 1,
            thread_id: run_id.thread_of_start(1),
            backend_run_id: BackendRunId(self.id),
            started_at: began_at,
            cancelling: None,
        };
        let message = |role: &str, content: &str| json!({ "role": role, "content": content });
        let question = message("user", "This is a test of your webhook.");
        let values =
            json!({ "messages": [&question, message("assistant", "echo: This is a test of your webhook.")] });
        let outcome = Outcome {
            status: Status::Success,
            reason: None,
            error: None,
            values: Some(values),
            interrupts: None,
            ended_at: self.at,
            learnt_at: self.at,
        };
        let run = Run {
            run_id,
            cron: Some(CronVersion {
                cron_id,
                name: self.cron_name.to_owned(),
                definition_id: DefinitionId::of_content(cron_id, "a test"),
            }),
            trigger: Trigger::Manual,
            retry: FIRST_RUN,
            first_started_at: None,
            scheduled_for: self.at,
            due_at: began_at,
            start_before: self.at,
            send_count: 1,
            not_found_count: 0,
            reason: None,
            state: RunState::Ended { backend_run: Some(backend_run.clone()), outcome: outcome.clone() },
        };
        let request = Request {
            assistant_id: self.assistant_id.to_owned(),
            target: Target::Stateless(OnRunCompleted::Delete),
            mode: Mode::Background,
            payload: Map::from_iter([("input".to_owned(), json!({ "messages": [question] }))]),
            metadata: Map::new(),
            multitask_strategy: None,
        };
        let ended = EndedRun {
            run: &run,
            request: &request,
            thread_id: backend_run.thread_id,
            backend_run: Some(&backend_run),
            outcome: &outcome,
            report: None,
            identity: identity(&run, cron_id, self.cron_name),
            redact: &[],
            url: self.url,
            sent_at: self.at,
        };
        body(ended, settings)
    }
}

fn identity(run: &Run, cron_id: CronId, cron_name: &str) -> Map<String, Value> {
    let fields = [
        ("cron_id", json!(cron_id.to_string())),
        ("agentcron_cron_id", json!(cron_id.to_string())),
        ("cron_name", json!(cron_name)),
        ("scheduled_for", json!(run.scheduled_for.to_string())),
        ("agentcron_retry", json!(run.retry)),
        ("agentcron_installation_id", json!(InstallationId::default().to_string())),
        ("agentcron_run_id", json!(run.run_id.to_string())),
        ("agentcron_test", json!(true)),
    ];
    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_sample_looks_like_a_real_webhook_and_is_marked_as_a_test() {
        let settings = crate::config::webhooks_by_default().unwrap();
        let (id, at) = (Uuid::from_u128(7), Timestamp::from_second(1_800_000_000).unwrap());
        let url = "https://ops.example/hook?token=sesame";
        let made = SampleWebhook { id, cron_name: "daily", assistant_id: "agent", url, at };
        let made: Value = serde_json::from_slice(&made.body(&settings)).unwrap();
        let real = include_str!("../../tests/fixtures/langgraph/webhook_success.json");
        let real: Value = serde_json::from_str(real).unwrap();
        let keys = |body: &Value| body.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(keys(&made), keys(&real["body"]));
        assert_eq!((&made["metadata"]["agentcron_test"], &made["status"]), (&json!(true), &json!("success")));
        assert!(!made.to_string().contains("sesame"));
    }
}
