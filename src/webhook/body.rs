//! The body of a webhook. It has the agent server's own shape, key for key, so that a receiver written for
//! that server works unchanged; agentcron adds its own fields under `metadata`.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::config::WebhooksConfig;
use crate::domain::cron::Request;
use crate::domain::ids::ThreadId;
use crate::domain::reason::{Reason, ReasonCode};
use crate::domain::redaction::{self, Pointer};
use crate::domain::run::{BackendRun, Outcome, Run, Status};

/// An ended run, with everything that its webhook reports.
pub struct EndedRun<'a> {
    pub run: &'a Run,
    pub request: &'a Request,
    /// The thread that it ran on, or would have run on.
    pub thread_id: ThreadId,
    /// `None` if the run never reached the backend.
    pub backend_run: Option<&'a BackendRun>,
    pub outcome: &'a Outcome,
    /// The run's JSON as the backend returned it, if it did.
    pub report: Option<Value>,
    /// agentcron's own fields for `metadata`, such as the cron's name.
    pub identity: Map<String, Value>,
    /// What must not be kept: the body waits in the store until it is delivered. The outcome is without it already.
    pub redact: &'a [Pointer],
    /// The receiver's URL; the body shows it without its query.
    pub url: &'a str,
    pub sent_at: Timestamp,
}

/// Returns the body, the same bytes for every attempt to deliver it.
pub fn body(mut ended: EndedRun<'_>, settings: &WebhooksConfig) -> Vec<u8> {
    let report = ended.report.take();
    let mut body = server_fields(&ended, report);
    own_fields(ended, &mut body);
    within(settings.body_bytes_max, settings.allowed_fields.as_deref(), body)
}

/// A larger body is sent without `values` and `kwargs`, if need be without `interrupts` too, and marked as truncated.
fn within(bytes_max: usize, allowed_fields: Option<&[String]>, mut body: Map<String, Value>) -> Vec<u8> {
    if let Some(allowed) = allowed_fields {
        body.retain(|key, _| allowed.contains(key));
    }
    let mut body = Value::Object(body);
    let mut text = body.to_string();
    // `kwargs` holds the input, which may be the large part.
    for large in [["values", "kwargs"].as_slice(), &["interrupts"]] {
        if text.len() <= bytes_max {
            break;
        }
        for key in large {
            if let Some(value) = body.get_mut(key) {
                *value = if *key == "kwargs" { json!({}) } else { Value::Null };
            }
        }
        body["truncated"] = json!(true);
        text = body.to_string();
    }
    text.into_bytes()
}

/// Returns the fields that the backend reports about the run. Those that it did not report are filled with
/// the values that it would have had.
fn server_fields(ended: &EndedRun<'_>, report: Option<Value>) -> Map<String, Value> {
    let mut body = match report {
        Some(Value::Object(run)) => run,
        _ => Map::new(),
    };
    let run_id = ended.backend_run.map_or(ended.run.run_id.0, |backend_run| backend_run.backend_run_id.0);
    let request = ended.request;
    let mut default = |key: &str, value: &dyn Fn() -> Value| {
        if !body.contains_key(key) {
            body.insert(key.to_owned(), value());
        }
    };
    default("run_id", &|| json!(run_id.to_string()));
    default("thread_id", &|| json!(ended.thread_id.to_string()));
    default("assistant_id", &|| json!(request.assistant_id));
    default("metadata", &|| json!({}));
    default("kwargs", &|| Value::Object(request.payload.clone()));
    default("multitask_strategy", &|| json!(request.multitask_strategy.map_or("enqueue", |s| s.as_str())));
    default("created_at", &|| json!(stamp(ended.run.due_at)));
    default("updated_at", &|| json!(stamp(ended.outcome.ended_at)));
    default("langsmith_session_name", &|| Value::Null);
    if let Some(Value::Object(kwargs)) = body.get_mut("kwargs") {
        redact_request(ended.redact, kwargs);
        kwargs.insert("webhook".to_owned(), json!(super::redacted(ended.url)));
    }
    body
}

/// Redacts what the run was given: input, and what a command makes of the state, have the shape of values.
fn redact_request(pointers: &[Pointer], kwargs: &mut Map<String, Value>) {
    if let Some(input) = kwargs.get_mut("input") {
        redaction::redact(pointers, input);
    }
    if let Some(update) = kwargs.get_mut("command").and_then(|command| command.get_mut("update")) {
        redaction::redact(pointers, update);
    }
}

fn own_fields(ended: EndedRun<'_>, body: &mut Map<String, Value>) {
    let outcome = ended.outcome;
    if let Some(Value::Object(metadata)) = body.get_mut("metadata") {
        metadata.extend(ended.identity);
        metadata.insert("agentcron_trigger".to_owned(), json!(ended.run.trigger.as_str()));
        metadata.insert("agentcron_status".to_owned(), json!(outcome.status.as_str()));
        if let Some(reason) = &outcome.reason {
            metadata.insert("agentcron_reason_code".to_owned(), json!(reason.code.as_str()));
            if let Some(message) = &reason.message {
                metadata.insert("agentcron_reason".to_owned(), json!(message));
            }
        }
    }
    let started_at = ended.backend_run.map(|backend_run| stamp(backend_run.started_at));
    body.insert("status".to_owned(), json!(server_status(outcome)));
    body.insert("run_started_at".to_owned(), json!(started_at));
    body.insert("run_ended_at".to_owned(), json!(stamp(outcome.ended_at)));
    body.insert("webhook_sent_at".to_owned(), json!(stamp(ended.sent_at)));
    body.insert("values".to_owned(), outcome.values.clone().unwrap_or_else(|| json!({})));
    if let Some(interrupts) = &outcome.interrupts {
        body.insert("interrupts".to_owned(), interrupts.clone());
    }
    let error = match (&outcome.error, outcome.status) {
        (Some(error), _) => Some(json!({ "error": error.error, "message": error.message })),
        (None, Status::Error | Status::Timeout) => {
            let message = outcome.reason.as_ref().map_or("", Reason::text);
            Some(json!({ "error": "AgentcronError", "message": message }))
        }
        (None, _) => None,
    };
    if let Some(error) = error {
        body.insert("error".to_owned(), error);
    }
}

/// Returns the agent server's name of a status, or our own if it has none. It calls a cancelled run
/// `interrupted`, or `rollback` if it has removed it.
fn server_status(outcome: &Outcome) -> &'static str {
    let is_rolled_back = outcome.reason.as_ref().is_some_and(|reason| reason.code == ReasonCode::RolledBack);
    match outcome.status {
        Status::Cancelled if is_rolled_back => "rollback",
        Status::Cancelled | Status::Interrupted => Status::Interrupted.as_str(),
        Status::Success | Status::Error | Status::Timeout | Status::Skipped | Status::Missed => {
            outcome.status.as_str()
        }
    }
}

/// Formats an instant as the agent server does: `2026-11-23T11:16:49.631098+00:00`.
fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn what_is_too_large_is_left_out_and_the_questions_last() {
        let body =
            json!({ "status": "s", "values": "v".repeat(50), "kwargs": { "k": 1 }, "interrupts": ["q"] });
        let Value::Object(body) = body else { panic!("no object") };
        let mut table = String::new();
        for (bytes_max, allowed) in
            [(200, None), (100, None), (70, None), (10, Some(["status", "interrupts"]))]
        {
            let allowed_fields = allowed.map(|fields| fields.map(str::to_owned).to_vec());
            let bytes = within(bytes_max, allowed_fields.as_deref(), body.clone());
            table.push_str(&format!("{bytes_max}: {}\n", String::from_utf8_lossy(&bytes)));
        }
        expect![[r#"
            200: {"status":"s","values":"vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv","kwargs":{"k":1},"interrupts":["q"]}
            100: {"status":"s","values":null,"kwargs":{},"interrupts":["q"],"truncated":true}
            70: {"status":"s","values":null,"kwargs":{},"interrupts":null,"truncated":true}
            10: {"status":"s","interrupts":null,"truncated":true}
        "#]].assert_eq(&table);
    }
}
