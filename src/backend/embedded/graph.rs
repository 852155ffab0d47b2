//! The two graphs of the embedded server as pure functions: `agent` echoes its input ("sleep N" waits, "boom"
//! fails, and "boom KIND: MESSAGE" fails with that error) and `asker` stops to ask a human. Each graph has one node, so a run takes the input, waits, and
//! answers.

use std::time::Duration;

use serde_json::{Value, json};

use super::assistant::Assistant;
use super::request::NewRun;

/// The longest sleep, so that no sum of instants can overflow.
const SLEEP_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// An exception raised by a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GraphError {
    /// The name of the exception's class.
    pub(super) class: String,
    pub(super) message: String,
}

impl GraphError {
    pub(super) fn new(class: impl Into<String>, message: impl Into<String>) -> Self {
        Self { class: class.into(), message: message.into() }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({"error": self.class, "message": self.message})
    }
}

/// What a run has to do after it has taken its input.
pub(super) enum GraphAction {
    /// Run the node for this time, then append its message or fail.
    Node { takes: Duration, result: Result<Value, GraphError> },
    /// Stop before the node, with a question if the graph asks one.
    Halt { question: Option<Value> },
    /// Nothing is left to do, and there was no input.
    Nothing,
}

/// Where the last run on a thread left the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GraphPosition {
    /// It stopped before the node, so a run without input continues there.
    BeforeNode,
    /// It has run the node, or no run has started yet.
    AtEnd,
}

/// Adds the input of a run to the thread's values and returns what the run has to do. A failure leaves the
/// values as they were.
pub(super) fn begin(
    request: &NewRun,
    values: &mut Option<Value>,
    position: GraphPosition,
) -> Result<GraphAction, GraphError> {
    match &request.input {
        Value::Null if values.is_none() => {
            return Err(GraphError::new("EmptyInputError", "Received no input for __start__"));
        }
        Value::Null if position == GraphPosition::BeforeNode => {}
        Value::Null => return Ok(GraphAction::Nothing),
        input => take_input(values, input)?,
    }
    if stops_before(&request.interrupt_before, request.assistant) {
        return Ok(GraphAction::Halt { question: None });
    }
    Ok(match request.assistant {
        Assistant::Agent => echo(values.as_ref()),
        Assistant::Asker => GraphAction::Halt { question: Some(json!({"question": "go on?"})) },
    })
}

/// Appends messages to the values.
pub(super) fn append(values: &mut Option<Value>, added: &[Value]) {
    match values.as_mut().and_then(messages) {
        Some(messages) => messages.extend_from_slice(added),
        None => *values = Some(json!({"messages": added})),
    }
}

fn messages(values: &mut Value) -> Option<&mut Vec<Value>> {
    values.get_mut("messages")?.as_array_mut()
}

fn take_input(values: &mut Option<Value>, input: &Value) -> Result<(), GraphError> {
    let Some(fields) = input.as_object() else {
        let got = input.as_str().map_or_else(|| input.to_string(), str::to_owned);
        return Err(GraphError::new("InvalidUpdateError", format!("Expected dict, got {got}")));
    };
    match fields.get("messages") {
        None => append(values, &[]),
        Some(Value::Array(added)) => append(values, added),
        Some(_) => {
            return Err(GraphError::new("TypeError", "can only concatenate list (not \"str\") to list"));
        }
    }
    Ok(())
}

fn stops_before(interrupt_before: &Value, assistant: Assistant) -> bool {
    match interrupt_before {
        Value::String(every) => every == "*",
        Value::Array(nodes) => nodes.iter().any(|node| node == assistant.node()),
        _ => false,
    }
}

fn echo(values: Option<&Value>) -> GraphAction {
    let last = values
        .and_then(|values| values.get("messages"))
        .and_then(Value::as_array)
        .and_then(|messages| messages.last());
    let said = last.and_then(|message| message.get("content")).and_then(Value::as_str).unwrap_or("");
    let takes = match said.strip_prefix("sleep ").and_then(|rest| rest.split_whitespace().next()) {
        None => Duration::ZERO,
        Some(seconds) => {
            match seconds.parse::<f64>().ok().and_then(|n| Duration::try_from_secs_f64(n).ok()) {
                Some(takes) => takes.min(SLEEP_MAX),
                None => {
                    let error = GraphError::new(
                        "ValueError",
                        format!("could not convert string to float: '{seconds}'"),
                    );
                    return GraphAction::Node { takes: Duration::ZERO, result: Err(error) };
                }
            }
        }
    };
    let result = if said == "boom" {
        Err(GraphError::new("ValueError", "boom"))
    } else if let Some((kind, message)) = said.strip_prefix("boom ").and_then(|text| text.split_once(": ")) {
        Err(GraphError::new(kind, message))
    } else {
        Ok(json!({"role": "assistant", "content": format!("echo: {said}")}))
    };
    GraphAction::Node { takes, result }
}
