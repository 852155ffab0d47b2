//! Waiting for the end of a run: `join`, or what the answer of `wait` and `stream` goes on to say. All of it is a
//! hint; the truth is asked for afterwards.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::{Method, StatusCode};
use serde_json::Value;

use super::client::{AgentClient, CallError};
use crate::domain::bounds::{ANSWER_BYTES_MAX, EVENT_LINE_BYTES_MAX, JOIN_SILENCE};
use crate::domain::cron::Mode;
use crate::domain::ids::{BackendRunId, ThreadId};
use crate::domain::run::RunError;
use crate::transport::{BodyStream, TransportError, read_body};

/// The rest of an answer that ends when the run does.
pub struct ResponseStream {
    mode: Mode,
    body: BodyStream,
}

/// What was heard of the end of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Followed {
    /// It went to its end, or to where it waits for a human.
    Values {
        /// What the graph returned.
        values: Value,
        /// Whether it stopped at an interrupt.
        interrupted: bool,
    },
    /// It failed.
    Error(RunError),
    /// The end was heard, but what was said is too large to keep.
    TooLarge,
    /// The connection ended before the run, or fell silent.
    Cut(String),
    /// This server has no `join`.
    NoJoin,
}

impl ResponseStream {
    pub(super) fn new(mode: Mode, body: BodyStream) -> Self {
        Self { mode, body }
    }

    /// Listens to the end.
    pub async fn listen(self) -> Followed {
        match self.mode {
            Mode::Stream => listen_to_events(self.body).await,
            Mode::Background | Mode::Wait => listen_to_json(self.body).await,
        }
    }
}

impl AgentClient {
    /// Waits at the server until the run is over.
    pub async fn join(&self, thread_id: ThreadId, backend_run_id: BackendRunId) -> Followed {
        let path = format!("/threads/{thread_id}/runs/{backend_run_id}/join");
        let response = match self.open(Method::GET, &path, None).await {
            Ok(response) => response,
            Err(error) => return Followed::Cut(error.to_string()),
        };
        match response.status() {
            status if status.is_success() => listen_to_json(response.into_body()).await,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                Followed::NoJoin
            }
            status => Followed::Cut(format!("backend answered {}", status.as_u16())),
        }
    }

    /// Asks the server to stop a run. That it did is seen when the run is looked at.
    pub async fn cancel(&self, thread_id: ThreadId, backend_run_id: BackendRunId) -> Result<(), CallError> {
        let path = format!("/threads/{thread_id}/runs/{backend_run_id}/cancel?wait=false&action=interrupt");
        let answer = self.ask(Method::POST, &path, None).await?;
        match answer.status {
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND => Err(CallError::NotFound(answer.words())),
            status => Err(CallError::Status { code: status.as_u16(), detail: answer.words() }),
        }
    }
}

async fn listen_to_json(body: BodyStream) -> Followed {
    match read_body(body, ANSWER_BYTES_MAX, JOIN_SILENCE).await {
        Ok(bytes) => match serde_json::from_slice::<Value>(&bytes) {
            Ok(value) => joined(value),
            Err(error) => Followed::Cut(format!("its answer is no JSON ({error})")),
        },
        Err(TransportError::TooLarge(_)) => Followed::TooLarge,
        Err(error) => Followed::Cut(error.to_string()),
    }
}

fn joined(value: Value) -> Followed {
    if let Some(error) = value.get("__error__") {
        return Followed::Error(run_error(error));
    }
    match value {
        Value::Object(mut values) => {
            let interrupted = values.remove("__interrupt__").is_some();
            Followed::Values { values: Value::Object(values), interrupted }
        }
        values => Followed::Values { values, interrupted: false },
    }
}

/// `{"error", "message"}`, whatever is there of it.
pub(super) fn run_error(error: &Value) -> RunError {
    let text = |key: &str| error[key].as_str().map(str::to_owned);
    match error {
        Value::Object(_) => RunError {
            error: text("error").unwrap_or_else(|| "Error".to_owned()),
            message: text("message").unwrap_or_default(),
        },
        Value::String(message) => RunError { error: "Error".to_owned(), message: message.clone() },
        other => RunError { error: "Error".to_owned(), message: other.to_string() },
    }
}

/// Server-sent events (WHATWG HTML §9.2): we want the last `values` and an `error`, and to know when it ends.
async fn listen_to_events(mut body: BodyStream) -> Followed {
    let mut events = Events::default();
    loop {
        match tokio::time::timeout(JOIN_SILENCE, body.next()).await {
            Err(_) => return Followed::Cut(silence(JOIN_SILENCE)),
            Ok(None) => return events.end(),
            Ok(Some(Err(error))) => return Followed::Cut(error.to_string()),
            Ok(Some(Ok(bytes))) => events.feed(&bytes),
        }
    }
}

fn silence(wait: Duration) -> String {
    format!("no sign of life for {}", humantime::format_duration(wait))
}

/// Events read so far, bounded: a line that is too long is passed over.
#[derive(Default)]
struct Events {
    line: BytesMut,
    too_long: bool,
    name: String,
    data: String,
    values: Option<Value>,
    error: Option<RunError>,
    missed_values: bool,
}

impl Events {
    fn feed(&mut self, bytes: &Bytes) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + piece.len() > EVENT_LINE_BYTES_MAX {
                self.too_long = true;
                self.line.clear();
            }
            if !self.too_long {
                self.line.extend_from_slice(piece);
            }
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let bytes = self.line.split();
        if std::mem::take(&mut self.too_long) {
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

    /// A stream that ends may have been cut: only what it said counts, and the truth is asked for anyway.
    fn end(self) -> Followed {
        match (self.error, self.values) {
            (Some(error), _) => Followed::Error(error),
            (None, _) if self.missed_values => Followed::TooLarge,
            (None, Some(values)) => joined(values),
            (None, None) => Followed::Cut("the stream ended without values".to_owned()),
        }
    }
}
