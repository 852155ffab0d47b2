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

/// What a thread holds between runs, as far as a graph is concerned.
#[derive(Clone, Copy)]
pub(super) struct Standing<'a> {
    pub(super) values: Option<&'a Value>,
    /// The last run stopped in front of the node (an interrupt or a failure), so a run without input goes on from there.
    pub(super) before_node: bool,
}

/// A run that took its input.
pub(super) struct Begun {
    pub(super) values: Value,
    pub(super) work: Work,
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

/// Takes the input of a run and says what is left to do.
pub(super) fn begin(request: &RunRequest, standing: Standing<'_>) -> Result<Begun, Fault> {
    let resume = request.command.get("resume");
    let mut values = standing.values.cloned().unwrap_or_else(|| json!({}));
    match &request.input {
        Value::Null if standing.values.is_none() => {
            return Err(Fault::new("EmptyInputError", "Received no input for __start__"));
        }
        Value::Null if standing.before_node => {}
        Value::Null => return Ok(Begun { values, work: Work::Nothing }),
        input => take_input(&mut values, input)?,
    }
    let work = match request.assistant {
        _ if stops_before(&request.interrupt_before, request.assistant) => Work::Halt { question: None },
        Assistant::Asker => match resume {
            None => Work::Halt { question: Some(json!({"question": "go on?"})) },
            Some(answer) => {
                Work::Node { takes: Duration::ZERO, answer: Ok(said_by_assistant("answer: ", answer)) }
            }
        },
        Assistant::Agent => echo(&values),
    };
    Ok(Begun { values, work })
}

/// Appends the node's message to the values.
pub(super) fn append(values: &mut Value, message: Value) {
    match values.get_mut("messages").and_then(Value::as_array_mut) {
        Some(messages) => messages.push(message),
        None => *values = json!({"messages": [message]}),
    }
}

fn take_input(values: &mut Value, input: &Value) -> Result<(), Fault> {
    let Some(fields) = input.as_object() else {
        let got = input.as_str().map_or_else(|| input.to_string(), str::to_owned);
        return Err(Fault::new("InvalidUpdateError", format!("Expected dict, got {got}")));
    };
    let added = match fields.get("messages") {
        None => &[],
        Some(Value::Array(added)) => added.as_slice(),
        Some(_) => return Err(Fault::new("TypeError", "can only concatenate list (not \"str\") to list")),
    };
    match values.get_mut("messages").and_then(Value::as_array_mut) {
        Some(messages) => messages.extend_from_slice(added),
        None => *values = json!({"messages": added}),
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

fn echo(values: &Value) -> Work {
    let last = values.get("messages").and_then(Value::as_array).and_then(|messages| messages.last());
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
