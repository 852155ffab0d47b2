//! The body of a request that starts a run, parsed once. The error messages are the real server's.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::assistant::Assistant;
use crate::domain::cron::MultitaskStrategy;

/// A response with an error status and the body `{"detail": ...}`.
#[derive(Debug)]
pub(super) struct RequestError {
    status: StatusCode,
    detail: String,
}

impl RequestError {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    pub(super) fn no_such_thread(thread_id: Uuid) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("Thread with ID {thread_id} not found"))
    }
}

impl IntoResponse for RequestError {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"detail": self.detail}))).into_response()
    }
}

/// The request for one run. Most `Value`s are only echoed in the run's `kwargs` and mean nothing to the
/// graphs.
pub(super) struct NewRun {
    pub(super) assistant: Assistant,
    pub(super) input: Value,
    pub(super) command: Value,
    pub(super) metadata: Map<String, Value>,
    pub(super) config: Map<String, Value>,
    pub(super) context: Value,
    pub(super) webhook: Value,
    pub(super) interrupt_before: Value,
    pub(super) interrupt_after: Value,
    pub(super) stream_mode: Vec<Value>,
    pub(super) feedback_keys: Value,
    pub(super) durability: Value,
    pub(super) strategy: MultitaskStrategy,
    pub(super) after: Duration,
    pub(super) after_seconds: Value,
    /// Whether the thread is created if it does not exist.
    pub(super) creates_thread: bool,
    /// The caller's `x-request-id`; the server generates one if it is absent.
    pub(super) request_id: Option<String>,
    pub(super) received_at: Timestamp,
}

/// The longest delay that is honoured, so that instants do not overflow. No daemon runs that long.
const AFTER_MAX: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

impl NewRun {
    pub(super) fn parse(
        body: &[u8],
        headers: &HeaderMap,
        received_at: Timestamp,
    ) -> Result<Self, RequestError> {
        let mut fields = object(body)?;
        let assistant = assistant(&fields)?;
        let text = |key: &str| fields.get(key).and_then(Value::as_str);
        let strategy = text("multitask_strategy").and_then(|word| word.parse().ok());
        let creates_thread = text("if_not_exists") == Some("create");
        let after_seconds =
            fields.remove("after_seconds").filter(|after| !after.is_null()).unwrap_or(json!(0));
        let Some(after) = after_seconds.as_f64() else {
            return Err(wrong_type("after_seconds", &after_seconds, "number"));
        };
        let after = Duration::try_from_secs_f64(after.max(0.0)).unwrap_or(AFTER_MAX).min(AFTER_MAX);
        let metadata = take_object(&mut fields, "metadata")?;
        let config = take_object(&mut fields, "config")?;
        let context = take_object(&mut fields, "context")?;
        let configurable = config.get("configurable").and_then(Value::as_object);
        let context = configurable.cloned().unwrap_or(context);
        let stream_mode = match fields.remove("stream_mode") {
            Some(Value::Array(modes)) if !modes.is_empty() => modes,
            Some(Value::String(mode)) => vec![Value::String(mode)],
            _ => vec![json!("values")],
        };
        let mut take = |name: &str| fields.remove(name).unwrap_or(Value::Null);
        Ok(Self {
            assistant,
            input: take("input"),
            command: take("command"),
            metadata,
            config,
            context: Value::Object(context),
            webhook: take("webhook"),
            interrupt_before: take("interrupt_before"),
            interrupt_after: take("interrupt_after"),
            stream_mode,
            feedback_keys: take("feedback_keys"),
            durability: Some(take("durability")).filter(|given| !given.is_null()).unwrap_or(json!("async")),
            strategy: strategy.unwrap_or(MultitaskStrategy::Enqueue),
            after,
            after_seconds,
            creates_thread,
            request_id: headers.get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned),
            received_at,
        })
    }
}

/// Parses a body that must be a JSON object.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, RequestError> {
    serde_json::from_slice(body).map_err(|_| RequestError::invalid("Invalid JSON in request body"))
}

/// Removes and returns an optional field that must be an object. An absent field and null count as the empty
/// object.
pub(super) fn take_object(
    fields: &mut Map<String, Value>,
    name: &str,
) -> Result<Map<String, Value>, RequestError> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(object)) => Ok(object),
        Some(other) => Err(wrong_type(name, &other, "object")),
    }
}

fn assistant(fields: &Map<String, Value>) -> Result<Assistant, RequestError> {
    let given = fields.get("assistant_id").and_then(Value::as_str).unwrap_or_default();
    if let Some(known) = Assistant::ALL.into_iter().find(|known| known.graph_id() == given) {
        return Ok(known);
    }
    match Uuid::try_parse(given) {
        Ok(id) => {
            Assistant::ALL.into_iter().find(|known| known.id() == id).ok_or_else(thread_or_assistant_absent)
        }
        Err(_) => Err(RequestError::invalid(format!(
            "Invalid assistant: '{given}'. Must be either:\n- A valid assistant UUID, or\n- One of the registered graphs: agent, asker"
        ))),
    }
}

/// Returns the same error for both, so that a caller cannot find out which of them is absent.
pub(super) fn thread_or_assistant_absent() -> RequestError {
    RequestError::new(StatusCode::NOT_FOUND, "Thread or assistant not found.")
}

fn wrong_type(name: &str, given: &Value, expected: &str) -> RequestError {
    RequestError::invalid(format!(
        "{given} is not of type \"{expected}\"\n\nFailed validating \"type\" in schema[\"properties\"][\"{name}\"]\n\nOn instance[\"{name}\"]:\n    {given}"
    ))
}
