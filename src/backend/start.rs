//! Starting a run: one POST, whose answer is sorted into what is certain and what is not.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::answer::{Answer, located_run, retry_after};
use super::client::AgentClient;
use super::follow::ResponseStream;
use crate::domain::bounds::ANSWER_BYTES_MAX;
use crate::domain::cron::Mode;
use crate::domain::ids::{BackendRunId, ThreadId};
use crate::transport::{TransportError, read_body};

/// What is to be started.
#[derive(Clone, Debug)]
pub struct StartRequest {
    /// On this thread; the server makes it if there is none.
    pub thread_id: ThreadId,
    /// By which of the server's three ways.
    pub mode: Mode,
    /// The server's own fields, placeholders filled in.
    pub body: Map<String, Value>,
}

/// A run that the backend has accepted.
pub struct Started {
    /// Its id there.
    pub backend_run_id: BackendRunId,
    /// What the same answer goes on to say about its end (`wait`, `stream`).
    pub response_stream: Option<ResponseStream>,
}

/// What a POST came to.
pub enum StartAnswer {
    /// The backend has it.
    Accepted(Started),
    /// It certainly did not start it; the same request may be sent again, not before `wait` if there is one.
    NotSent {
        /// Why.
        detail: String,
        /// How long the backend asks us to wait.
        wait: Option<Duration>,
    },
    /// Our key was refused: nothing will start until somebody mends it.
    Denied {
        /// Why.
        detail: String,
    },
    /// It will never start this.
    Rejected {
        /// Why.
        detail: String,
    },
    /// Something else is going on that thread.
    Busy {
        /// Why.
        detail: String,
    },
    /// Nobody knows.
    Unclear {
        /// Why.
        detail: String,
    },
}

impl AgentClient {
    /// Sends the one POST of an attempt. It is never sent twice: what follows an unclear answer is the runner's to
    /// decide.
    pub async fn start(&self, request: &StartRequest) -> StartAnswer {
        let suffix = match request.mode {
            Mode::Background => "",
            Mode::Wait => "/wait",
            Mode::Stream => "/stream",
        };
        let path = format!("/threads/{}/runs{suffix}", request.thread_id);
        let mut body = request.body.clone();
        body.insert("if_not_exists".to_owned(), json!("create"));
        if request.mode != Mode::Background {
            // A run must outlive our connection to it.
            body.insert("on_disconnect".to_owned(), json!("continue"));
        }
        let response = match self.open(Method::POST, &path, Some(&Value::Object(body))).await {
            Ok(response) => response,
            Err(TransportError::NotSent(detail)) => {
                return StartAnswer::NotSent { detail: format!("backend unreachable: {detail}"), wait: None };
            }
            Err(error) => return StartAnswer::Unclear { detail: format!("backend gave no answer: {error}") },
        };
        let located = located_run(response.headers());
        if response.status().is_success() && request.mode != Mode::Background {
            return match located {
                Some(backend_run_id) => StartAnswer::Accepted(Started {
                    backend_run_id,
                    response_stream: Some(ResponseStream::new(request.mode, response.into_body())),
                }),
                None => StartAnswer::Unclear { detail: "its answer names no run".to_owned() },
            };
        }
        let (parts, body) = response.into_parts();
        match read_body(body, ANSWER_BYTES_MAX, self.request_timeout()).await {
            Ok(body) => {
                let (status, headers, secrets) = (parts.status, parts.headers, self.secrets());
                judge(&Answer { status, headers, body, secrets }, located)
            }
            // The head has told already that it was accepted.
            Err(error) => match located.filter(|_| parts.status.is_success()) {
                Some(backend_run_id) => {
                    StartAnswer::Accepted(Started { backend_run_id, response_stream: None })
                }
                None => StartAnswer::Unclear {
                    detail: format!("backend answered {}, and then: {error}", parts.status.as_u16()),
                },
            },
        }
    }
}

fn judge(answer: &Answer, located: Option<BackendRunId>) -> StartAnswer {
    let code = answer.status.as_u16();
    let detail = format!("backend answered {code}{}", answer.words());
    match answer.status {
        status if status.is_success() => match run_id_in(answer).or(located) {
            Some(backend_run_id) => StartAnswer::Accepted(Started { backend_run_id, response_stream: None }),
            None => StartAnswer::Unclear {
                detail: format!("backend answered {code} without a run_id{}", answer.words()),
            },
        },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => StartAnswer::Denied { detail },
        StatusCode::CONFLICT => StartAnswer::Busy { detail },
        StatusCode::TOO_MANY_REQUESTS | StatusCode::TOO_EARLY => {
            StartAnswer::NotSent { detail, wait: retry_after(&answer.headers) }
        }
        status if status.is_redirection() => {
            let to =
                answer.headers.get(http::header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("?");
            StartAnswer::Rejected {
                detail: format!(
                    "backend answered {code}, a redirect to {}; set backend.url to where it really is",
                    answer.secrets.redact(to)
                ),
            }
        }
        // A proxy that gave up waiting may have handed the request on.
        StatusCode::REQUEST_TIMEOUT => StartAnswer::Unclear { detail },
        status if status.is_client_error() => StartAnswer::Rejected { detail },
        _ => StartAnswer::Unclear { detail },
    }
}

fn run_id_in(answer: &Answer) -> Option<BackendRunId> {
    let run: Value = serde_json::from_slice(&answer.body).ok()?;
    run["run_id"].as_str()?.parse().ok()
}
