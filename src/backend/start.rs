//! Starts a run: one POST, whose answer is sorted into what is certain and what is not.

use std::time::Duration;

use http::{Method, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::answer::{Answer, located_run, retry_after};
use super::call_error::Denial;
use super::client::AgentClient;
use super::follow::ResponseStream;
use crate::domain::bounds::ANSWER_BYTES_MAX;
use crate::domain::cron::Mode;
use crate::domain::ids::{BackendRunId, ThreadId};
use crate::domain::trace::TraceParent;
use crate::transport::{BodyStream, TransportError, read_body};

#[derive(Clone, Debug)]
pub struct StartRequest {
    /// The server makes this thread if it does not exist.
    pub thread_id: ThreadId,
    pub mode: Mode,
    /// The fields of the server's API, with placeholders filled in.
    pub body: Map<String, Value>,
    pub trace: TraceParent,
}

/// A run that the backend has accepted.
pub struct Started {
    pub backend_run_id: BackendRunId,
    /// The rest of the same answer, which reports the end of the run (modes `wait` and `stream`).
    pub response_stream: Option<ResponseStream>,
}

/// What may be concluded from the answer to the POST. `detail` says what happened.
pub enum StartAnswer {
    /// The backend has the run.
    Accepted(Started),
    /// The backend certainly did not start the run; the same request may be sent again.
    NotSent { detail: String },
    /// The backend did not start the run, and the same request may be sent again: it asked us to wait, if it said so
    /// this long.
    PutOff { detail: String, wait: Option<Duration> },
    /// The backend refused our key: nothing will start until somebody fixes it.
    Denied(Denial),
    /// The backend will never start this run.
    Rejected { detail: String },
    /// Another run is in progress on the thread.
    Busy { detail: String },
    /// It is not known whether the run started.
    Unclear { detail: String },
}

impl AgentClient {
    /// Sends the one POST of a start and returns what its answer means. It never sends twice: the runner
    /// decides what follows an unclear answer.
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
            // The run must outlive our connection to it.
            body.insert("on_disconnect".to_owned(), json!("continue"));
        }
        match self.open_in(request.trace, Method::POST, &path, &Value::Object(body)).await {
            Ok(response) => self.judge_response(request.mode, response).await,
            Err(error) => {
                let detail = format!("agent server unreachable: {error}");
                match error {
                    TransportError::NotSent(_) => StartAnswer::NotSent { detail },
                    TransportError::Tls(_)
                    | TransportError::Denied(_)
                    | TransportError::Broken(_)
                    | TransportError::TooLarge(_) => StartAnswer::Unclear { detail },
                }
            }
        }
    }

    async fn judge_response(&self, mode: Mode, response: Response<BodyStream>) -> StartAnswer {
        let located = located_run(response.headers());
        if response.status().is_success() && mode != Mode::Background {
            return match located {
                Some(backend_run_id) => StartAnswer::Accepted(Started {
                    backend_run_id,
                    response_stream: Some(ResponseStream::new(mode, response.into_body())),
                }),
                None => StartAnswer::Unclear {
                    detail: "the agent server answered without the id of the run".to_owned(),
                },
            };
        }
        let (parts, body) = response.into_parts();
        match read_body(body, ANSWER_BYTES_MAX, self.request_timeout()).await {
            Ok(body) => {
                let (status, headers, secrets) = (parts.status, parts.headers, self.secrets().clone());
                judge(&Answer { status, headers, body, secrets }, located)
            }
            // The head has shown already that the run was accepted.
            Err(error) => match located.filter(|_| parts.status.is_success()) {
                Some(backend_run_id) => {
                    StartAnswer::Accepted(Started { backend_run_id, response_stream: None })
                }
                None => StartAnswer::Unclear {
                    detail: format!(
                        "the agent server answered {}, and then failed: {error}",
                        parts.status.as_u16()
                    ),
                },
            },
        }
    }
}

fn judge(answer: &Answer, located: Option<BackendRunId>) -> StartAnswer {
    let code = answer.status.as_u16();
    let detail = format!("the agent server answered {code}{}", answer.message());
    if let Some(denial) = answer.denial() {
        return StartAnswer::Denied(denial);
    }
    match answer.status {
        status if status.is_success() => match run_id_in(answer).or(located) {
            Some(backend_run_id) => StartAnswer::Accepted(Started { backend_run_id, response_stream: None }),
            None => StartAnswer::Unclear {
                detail: format!("the agent server answered {code} without a run_id{}", answer.message()),
            },
        },
        StatusCode::CONFLICT => StartAnswer::Busy { detail },
        StatusCode::TOO_MANY_REQUESTS | StatusCode::TOO_EARLY => {
            StartAnswer::PutOff { detail, wait: retry_after(&answer.headers) }
        }
        status if status.is_redirection() => {
            let to =
                answer.headers.get(http::header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("?");
            StartAnswer::Rejected {
                detail: format!(
                    "the agent server answered {code}, a redirect to {}; set backend.url to its real address",
                    answer.secrets.redact(to)
                ),
            }
        }
        // A proxy that gave up waiting may have forwarded the request.
        StatusCode::REQUEST_TIMEOUT => StartAnswer::Unclear { detail },
        status if status.is_client_error() => StartAnswer::Rejected { detail },
        _ => StartAnswer::Unclear { detail },
    }
}

fn run_id_in(answer: &Answer) -> Option<BackendRunId> {
    let run: Value = serde_json::from_slice(&answer.body).ok()?;
    run["run_id"].as_str()?.parse().ok()
}
