//! The two graphs that the embedded server knows, as pure functions: `agent` echoes ("sleep N" waits, "boom" fails)
//! and `asker` stops for a human. A graph here has one node, so a run is: take the input, wait, answer.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::{Uuid, uuid};

use super::request::RunRequest;

/// A sleep longer than this is cut, so that no sum of instants can overflow.
const SLEEP_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Which graph a run executes. The server makes one assistant for each graph, with an id derived from its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Assistant {
    Agent,
    Asker,
}

impl Assistant {
    pub(super) const ALL: [Assistant; 2] = [Assistant::Agent, Assistant::Asker];

    pub(super) fn graph_id(self) -> &'static str {
        match self {
            Assistant::Agent => "agent",
            Assistant::Asker => "asker",
        }
    }

    /// The ids that the real server gives to graphs of these names.
    pub(super) fn id(self) -> Uuid {
        match self {
            Assistant::Agent => uuid!("fe096781-5601-53d2-b2f6-0d3403f7e9ca"),
            Assistant::Asker => uuid!("7c5865b5-0e10-5c5f-8442-9225c0215d23"),
        }
    }

    pub(super) fn node(self) -> &'static str {
        match self {
            Assistant::Agent => "echo",
            Assistant::Asker => "ask",
        }
    }
}

/// An exception of the graph, by class name and text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) error: &'static str,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(error: &'static str, message: impl Into<String>) -> Self {
        Self { error, message: message.into() }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({"error": self.error, "message": self.message})
    }
}

/// What is left to do after the input was taken.
pub(super) enum Work {
    /// Run the node: this long, then this message or failure.
    Node { takes: Duration, answer: Result<Value, Fault> },
    /// Stop in front of the node; with a question if the graph asks one.
    Halt { question: Option<Value> },
    /// No input and nothing left to do.
    Nothing,
}

/// Takes the input of a run into the thread's values and says what is left to do; a failure leaves them as they were.
/// `before_node`: the last run stopped in front of the node, so that a run without input goes on from there.
pub(super) fn begin(
    request: &RunRequest,
    values: &mut Option<Value>,
    before_node: bool,
) -> Result<Work, Fault> {
    match &request.input {
        Value::Null if values.is_none() => {
            return Err(Fault::new("EmptyInputError", "Received no input for __start__"));
        }
        Value::Null if before_node => {}
        Value::Null => return Ok(Work::Nothing),
        input => take_input(values, input)?,
    }
    if stops_before(&request.interrupt_before, request.assistant) {
        return Ok(Work::Halt { question: None });
    }
    Ok(match (request.assistant, request.command.get("resume")) {
        (Assistant::Agent, _) => echo(values.as_ref()),
        (Assistant::Asker, None) => Work::Halt { question: Some(json!({"question": "go on?"})) },
        (Assistant::Asker, Some(answer)) => {
            Work::Node { takes: Duration::ZERO, answer: Ok(said_by_assistant("answer: ", answer)) }
        }
    })
}

/// How many messages a thread has; none if it never took an input.
pub(super) fn count(values: Option<&Value>) -> Option<usize> {
    values?.get("messages")?.as_array().map(Vec::len)
}

/// Takes back what was appended since `count` answered this.
pub(super) fn truncate(values: &mut Option<Value>, count: Option<usize>) {
    match (count, values.as_mut().and_then(messages)) {
        (Some(count), Some(messages)) => messages.truncate(count),
        (None, _) | (_, None) => *values = None,
    }
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

fn take_input(values: &mut Option<Value>, input: &Value) -> Result<(), Fault> {
    let Some(fields) = input.as_object() else {
        let got = input.as_str().map_or_else(|| input.to_string(), str::to_owned);
        return Err(Fault::new("InvalidUpdateError", format!("Expected dict, got {got}")));
    };
    match fields.get("messages") {
        None => append(values, &[]),
        Some(Value::Array(added)) => append(values, added),
        Some(_) => return Err(Fault::new("TypeError", "can only concatenate list (not \"str\") to list")),
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

fn echo(values: Option<&Value>) -> Work {
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
                    let fault =
                        Fault::new("ValueError", format!("could not convert string to float: '{seconds}'"));
                    return Work::Node { takes: Duration::ZERO, answer: Err(fault) };
                }
            }
        }
    };
    let answer = if said == "boom" {
        Err(Fault::new("ValueError", "boom"))
    } else {
        Ok(said_by_assistant("echo: ", &Value::from(said)))
    };
    Work::Node { takes, answer }
}

fn said_by_assistant(prefix: &str, what: &Value) -> Value {
    let text = what.as_str().map_or_else(|| what.to_string(), str::to_owned);
    json!({"role": "assistant", "content": format!("{prefix}{text}")})
}
