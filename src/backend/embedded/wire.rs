//! Runs, threads and thread states as JSON, with all the keys of the real server's responses.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::graph::{GraphError, GraphPosition};
use super::records::{Interrupt, RunRecord, ThreadRecord, ThreadStatus};

/// The versions that the embedded server reports: those of the real server that it was compared with.
pub(super) const API_VERSION: &str = "0.16.7";
pub(super) const GRAPH_VERSION: &str = "1.2.22";

pub(super) fn bytes(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

pub(super) fn timestamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string()
}

pub(super) fn run_not_found() -> Value {
    json!({"error": "HTTPException", "message": "404: Run not found"})
}

/// Returns the graph's values as in the body of `wait`: `{}` for a thread on which no run has started.
pub(super) fn values_or_empty(values: Option<&Value>) -> Value {
    values.cloned().unwrap_or_else(|| json!({}))
}

/// The columns of a run, in the order of the real server's error message about an invalid `select`.
pub(super) const RUN_COLUMNS: [&str; 10] = [
    "run_id",
    "thread_id",
    "assistant_id",
    "metadata",
    "status",
    "kwargs",
    "multitask_strategy",
    "created_at",
    "updated_at",
    "langsmith_session_name",
];

/// Returns a run with these columns, or with all if the list is empty.
pub(super) fn run(run: &RunRecord, columns: &[String]) -> Value {
    let accepted = &run.accepted;
    let wanted = RUN_COLUMNS
        .into_iter()
        .filter(|&column| columns.is_empty() || columns.iter().any(|asked| asked == column));
    let mut fields = Map::new();
    for column in wanted {
        let value = match column {
            "run_id" => json!(accepted.run_id.to_string()),
            "thread_id" => json!(accepted.thread_id.to_string()),
            "assistant_id" => json!(accepted.request.assistant.id().to_string()),
            "metadata" => Value::Object(accepted.metadata.clone()),
            "status" => json!(run.status.as_str()),
            "kwargs" => kwargs(run),
            "multitask_strategy" => json!(accepted.request.strategy.as_str()),
            "created_at" => json!(timestamp(accepted.created_at)),
            "updated_at" => json!(timestamp(run.updated_at)),
            _ => Value::Null,
        };
        fields.insert(column.to_owned(), value);
    }
    Value::Object(fields)
}

fn kwargs(run: &RunRecord) -> Value {
    let request = &run.accepted.request;
    json!({
        "input": request.input,
        "command": request.command,
        "config": config(run),
        "context": request.context,
        "stream_mode": request.stream_mode,
        "interrupt_before": request.interrupt_before,
        "interrupt_after": request.interrupt_after,
        "webhook": request.webhook,
        "feedback_keys": request.feedback_keys,
        "temporary": false,
        "subgraphs": false,
        "resumable": false,
        "checkpoint_during": true,
        "durability": request.durability,
    })
}

fn config(run: &RunRecord) -> Value {
    let accepted = &run.accepted;
    let request = &accepted.request;
    let mut config = request.config.clone();
    let mut configurable = request.context.as_object().cloned().unwrap_or_default();
    configurable.extend(fields(json!({
        "langgraph_auth_user": null,
        "langgraph_auth_user_id": "",
        "langgraph_auth_permissions": [],
        "langgraph_request_id": accepted.request_id,
        "__request_start_time_ms__": request.received_at.as_millisecond(),
        "__after_seconds__": request.after_seconds,
        "run_id": accepted.run_id.to_string(),
        "thread_id": accepted.thread_id.to_string(),
        "graph_id": request.assistant.graph_id(),
        "assistant_id": request.assistant.id().to_string(),
        "user_id": "",
    })));
    let mut metadata = accepted.metadata.clone();
    if run.has_started {
        configurable.insert("__pregel_node_finished".to_owned(), Value::Null);
        metadata.extend(start_metadata());
    }
    config.insert("configurable".to_owned(), Value::Object(configurable));
    config.insert("metadata".to_owned(), Value::Object(metadata));
    Value::Object(config)
}

/// Returns what the server adds to a run's metadata when it starts the run.
fn start_metadata() -> Map<String, Value> {
    fields(json!({
        "run_attempt": 1,
        "langgraph_version": GRAPH_VERSION,
        "langgraph_api_version": API_VERSION,
        "langgraph_plan": "enterprise",
        "langgraph_host": "self-hosted",
        "langgraph_api_url": "http://127.0.0.1:8123",
    }))
}

pub(super) fn thread(thread: &ThreadRecord) -> Value {
    let mut answer = json!({
        "thread_id": thread.thread_id.to_string(),
        "status": match thread.status {
            ThreadStatus::Idle => "idle",
            ThreadStatus::Busy => "busy",
            ThreadStatus::Interrupted => "interrupted",
            ThreadStatus::Error => "error",
        },
        "metadata": thread.metadata,
        "config": thread.config,
        "created_at": timestamp(thread.created_at),
        "updated_at": timestamp(thread.updated_at),
        "state_updated_at": timestamp(thread.state_updated_at),
        "values": thread.values,
    });
    if thread.was_used {
        answer["error"] = json!(thread.error.as_ref().map(GraphError::to_json));
        answer["interrupts"] = match &thread.interrupt {
            None => json!({}),
            Some(interrupt) => json!({ interrupt.task_id.to_string(): [self::interrupt(interrupt)] }),
        };
    }
    answer
}

/// Returns an interrupt as in the JSON of a thread, without the schema that the run's own response has.
pub(super) fn interrupt(interrupt: &Interrupt) -> Value {
    json!({"id": interrupt.id, "value": interrupt.question})
}

/// Returns what is asked of a thread's newest checkpoint: which run made it, and what would come next.
pub(super) fn state(thread: &ThreadRecord) -> Value {
    let Some((run, at)) = &thread.checkpoint else { return json!({ "next": [], "metadata": null }) };
    let node = run.request.assistant.node();
    let mut metadata = run.metadata.clone();
    metadata.insert("run_id".to_owned(), json!(run.run_id.to_string()));
    json!({
        "values": values_or_empty(thread.values.as_ref()),
        "next": if thread.position == GraphPosition::BeforeNode { json!([node]) } else { json!([]) },
        "metadata": metadata,
        "created_at": timestamp(*at),
    })
}

fn fields(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
