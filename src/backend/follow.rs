//! Waits for the end of a run: at the server's `join`, or by reading the rest of the answer to `wait` and
//! `stream`. None of these decides that the run has ended; the run itself is queried afterwards.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::{Method, StatusCode};
use serde_json::Value;

use super::call_error::CallError;
use super::client::AgentClient;
use super::run_error::run_error;
use crate::domain::bounds::{ANSWER_BYTES_MAX, EVENT_LINE_BYTES_MAX, JOIN_SILENCE};
use crate::domain::cron::Mode;
use crate::domain::ids::{BackendRunId, ThreadId};
use crate::domain::run::RunError;
use crate::transport::{BodyStream, TransportError, read_body};

/// The rest of an answer, which ends when the run ends.
pub struct ResponseStream {
    mode: Mode,
    body: BodyStream,
}

/// The result of waiting for the end of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum JoinResult {
    Ended(ReportedEnd),
    /// No end was reported: the connection ended before the run did, fell silent, or brought something else.
    /// The text says what happened.
    Cut(String),
    NoJoin,
}

/// The end of a run, as `join`, `wait` or `stream` reported it.
#[derive(Clone, Debug, PartialEq)]
pub enum ReportedEnd {
    /// The graph returned these values. If it stopped at an interrupt, `interrupts` are its questions.
    Values {
        values: Value,
        interrupts: Option<Value>,
    },
    Error(RunError),
    /// What the graph returned is too large to be read.
    TooLarge,
}

impl ResponseStream {
    pub(super) fn new(mode: Mode, body: BodyStream) -> Self {
        Self { mode, body }
    }

    /// Reads the answer to its end.
    pub async fn read(self) -> JoinResult {
        match self.mode {
            Mode::Stream => read_events(self.body).await,
            Mode::Background | Mode::Wait => read_json(self.body).await,
        }
    }
}

impl AgentClient {
    /// Waits at the server until the run has ended.
    pub async fn join(&self, thread_id: ThreadId, backend_run_id: BackendRunId) -> JoinResult {
        let path = format!("/threads/{thread_id}/runs/{backend_run_id}/join");
        let response = match self.open(Method::GET, &path, None).await {
            Ok(response) => response,
            Err(error) => return JoinResult::Cut(error.to_string()),
        };
        match response.status() {
            status if status.is_success() => read_json(response.into_body()).await,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                JoinResult::NoJoin
            }
            status => JoinResult::Cut(format!("the agent server answered {}", status.as_u16())),
        }
    }

    /// Asks the server to cancel a run. Whether it did is seen when the run is queried.
    pub async fn cancel(&self, thread_id: ThreadId, backend_run_id: BackendRunId) -> Result<(), CallError> {
        let path = format!("/threads/{thread_id}/runs/{backend_run_id}/cancel?wait=false&action=interrupt");
        let answer = self.ask(Method::POST, &path, None).await?;
        match answer.status {
            status if status.is_success() => Ok(()),
            _ => Err(answer.failure()),
        }
    }
}

async fn read_json(body: BodyStream) -> JoinResult {
    match read_body(body, ANSWER_BYTES_MAX, JOIN_SILENCE).await {
        Ok(bytes) => match serde_json::from_slice::<Value>(&bytes) {
            Ok(value) => JoinResult::Ended(reported_end(value)),
            Err(error) => JoinResult::Cut(format!("its answer is not JSON ({error})")),
        },
        Err(TransportError::TooLarge(_)) => JoinResult::Ended(ReportedEnd::TooLarge),
        Err(error) => JoinResult::Cut(error.to_string()),
    }
}

fn reported_end(value: Value) -> ReportedEnd {
    if let Some(error) = value.get("__error__") {
        return ReportedEnd::Error(run_error(error));
    }
    match value {
        Value::Object(mut values) => {
            let interrupts = values.remove("__interrupt__").map(|given| questions([given]));
            ReportedEnd::Values { values: Value::Object(values), interrupts }
        }
        values => ReportedEnd::Values { values, interrupts: None },
    }
}

/// Returns the questions of a graph as a list of `{"id", "value"}`, the form of the state of a thread. They are
/// given in lists: the `__interrupt__` of `join` is one, and a thread has one for each task.
pub(super) fn questions(given: impl IntoIterator<Item = Value>) -> Value {
    let mut list = Vec::new();
    for questions in given {
        match questions {
            Value::Array(questions) => list.extend(questions),
            question => list.push(question),
        }
    }
    for question in list.iter_mut().filter_map(Value::as_object_mut) {
        // `join` has keys that the thread does not have; they are null unless the graph uses them.
        question.retain(|key, value| key == "value" || !value.is_null());
    }
    Value::Array(list)
}

/// Reads server-sent events (WHATWG HTML §9.2) for the last `values` and an `error`, until the stream ends.
async fn read_events(mut body: BodyStream) -> JoinResult {
    let mut events = Events::default();
    loop {
        match tokio::time::timeout(JOIN_SILENCE, body.next()).await {
            Err(_) => return JoinResult::Cut(silence(JOIN_SILENCE)),
            Ok(None) => return events.end(),
            Ok(Some(Err(error))) => return JoinResult::Cut(error.to_string()),
            Ok(Some(Ok(bytes))) => events.feed(&bytes),
        }
    }
}

fn silence(wait: Duration) -> String {
    format!("nothing received for {}", humantime::format_duration(wait))
}

/// The events read so far. Memory is bounded: a line that is too long is skipped.
#[derive(Default)]
struct Events {
    line: BytesMut,
    line_is_too_long: bool,
    name: String,
    data: String,
    values: Option<Value>,
    error: Option<RunError>,
    /// Whether the latest `values` were in a line that is too long.
    missed_values: bool,
}

impl Events {
    fn feed(&mut self, bytes: &Bytes) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + piece.len() > EVENT_LINE_BYTES_MAX {
                self.line_is_too_long = true;
                self.line.clear();
            }
            if !self.line_is_too_long {
                self.line.extend_from_slice(piece);
            }
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let bytes = self.line.split();
        if std::mem::take(&mut self.line_is_too_long) {
            self.missed_values |= self.name == "values";
            return;
        }
        let line = String::from_utf8_lossy(&bytes);
        let line = line.trim_end_matches(['\r', '\n']);
        match line.split_once(':') {
            _ if line.is_empty() => self.end_event(),
            Some(("event", name)) => self.name = name.trim().to_owned(),
            Some(("data", data)) if self.data.len() + data.len() <= EVENT_LINE_BYTES_MAX => {
                self.data.push_str(data.trim_start());
            }
            _ => {}
        }
    }

    fn end_event(&mut self) {
        let name = std::mem::take(&mut self.name);
        let data = std::mem::take(&mut self.data);
        let Ok(value) = serde_json::from_str::<Value>(&data) else { return };
        match name.as_str() {
            "values" => {
                self.values = Some(value);
                self.missed_values = false;
            }
            "error" => self.error = Some(run_error(&value)),
            _ => {}
        }
    }

    /// Returns what the stream has reported once it has ended. It may have ended because the connection was
    /// cut, but the run is queried anyway.
    fn end(self) -> JoinResult {
        match (self.error, self.values) {
            (Some(error), _) => JoinResult::Ended(ReportedEnd::Error(error)),
            (None, _) if self.missed_values => JoinResult::Ended(ReportedEnd::TooLarge),
            (None, Some(values)) => JoinResult::Ended(reported_end(values)),
            (None, None) => JoinResult::Cut("the stream ended without values".to_owned()),
        }
    }
}
