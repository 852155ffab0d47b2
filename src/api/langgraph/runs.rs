//! Runs with a webhook. The request is passed on without it, once the run is on record; the answer goes to the client as
//! it comes, and tells us which run of the agent server it is. From there on the runner has it, whether or not the
//! client stays: it follows the run to its end, and the webhook is delivered like any other.
//!
//! Whether the run goes on without the client is for the agent server to decide, by `on_disconnect`: when the client
//! goes, our connection goes as well. Only the head of the answer is waited for in any case.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::{MethodRouter, any};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use uuid::Uuid;

use super::record::Record;
use super::run_body::{RunBody, Threads};
use super::tee::{Until, data_of, first_event, tee};
use super::{AgentServer, Gateway, proxy, webhook_urls};
use crate::api::error_response::ErrorResponse;
use crate::api::timeouts::{body_fault, bounded};
use crate::backend::{AgentClient, located_run, located_thread};
use crate::crash::crash_point;
use crate::domain::bounds::{ASSISTANT_CHARS_MAX, HELD_BODY_WAIT, HTTP_BODY_BYTES_MAX};
use crate::domain::cron::{Mode, Template};
use crate::domain::ids::{BackendRunId, RunId, ThreadId};
use crate::domain::run_spec::ClientRunSpec;
use crate::domain::template;
use crate::transport::RelayError;

/// Their paths; by other methods they are the agent server's.
pub(super) fn router() -> Router<Gateway> {
    Router::new()
        .route("/threads/{thread_id}/runs", on_thread(Mode::Background))
        .route("/threads/{thread_id}/runs/stream", on_thread(Mode::Stream))
        .route("/threads/{thread_id}/runs/wait", on_thread(Mode::Wait))
        .route("/runs", stateless(Mode::Background))
        .route("/runs/stream", stateless(Mode::Stream))
        .route("/runs/wait", stateless(Mode::Wait))
}

/// Nothing is said in the agent server's place of what methods it allows, as it would be by a mere fallback.
fn passed_on() -> MethodRouter<Gateway> {
    any(proxy::pass_on)
}

fn on_thread(mode: Mode) -> MethodRouter<Gateway> {
    let answer =
        async move |State(gateway): State<Gateway>, Path(thread_id): Path<String>, request: Request| {
            match thread_id.parse() {
                Ok(thread_id) => start(gateway, mode, Some(thread_id), request).await,
                // The agent server has the words for this.
                Err(_) => proxy::pass_on(State(gateway), request).await,
            }
        };
    passed_on().post(answer)
}

fn stateless(mode: Mode) -> MethodRouter<Gateway> {
    let answer = async move |State(gateway): State<Gateway>, request: Request| {
        start(gateway, mode, None, request).await
    };
    passed_on().post(answer)
}

/// Goes on in a task of its own as soon as it is called: a client that leaves once it has sent its request has asked for
/// a run all the same, and what is on record must be brought to an end without it.
async fn start(
    gateway: Gateway,
    mode: Mode,
    thread_id: Option<ThreadId>,
    request: Request,
) -> Result<Response, ErrorResponse> {
    let (answer, answered) = oneshot::channel();
    let forwarded_runs = gateway.forwarded_runs.clone();
    forwarded_runs.spawn(receive(gateway, mode, thread_id, request, answer));
    answered.await.unwrap_or_else(|_| Err(ErrorResponse::Failed("this request was given up".to_owned())))
}

async fn receive(
    gateway: Gateway,
    mode: Mode,
    thread_id: Option<ThreadId>,
    request: Request,
    mut answer: Answer,
) {
    let (forwarded_run, spec, outbound) = match read(&gateway, mode, thread_id, request).await {
        Ok(RunRequest::ForWebhook(run_request)) => *run_request,
        Ok(RunRequest::ForNone(request, held)) => {
            tokio::select! {
                answered = proxy::pass_on(State(gateway), *request) => drop(answer.send(answered)),
                // It is the client's own affair then.
                () = answer.closed() => {}
            }
            return drop(held);
        }
        Err(refusal) => {
            tracing::debug!(detail = refusal.detail(), "a request for a run is refused");
            return drop(answer.send(Err(refusal)));
        }
    };
    forwarded_run.make(spec, outbound, answer).await;
}

/// What a request comes to.
enum RunRequest {
    ForWebhook(Box<(ForwardedRun, ClientRunSpec, Request)>),
    ForNone(Box<Request>, Option<OwnedSemaphorePermit>),
}

async fn read(
    gateway: &Gateway,
    mode: Mode,
    thread_id: Option<ThreadId>,
    request: Request,
) -> Result<RunRequest, ErrorResponse> {
    let (mut parts, body) = request.into_parts();
    if parts.headers.contains_key(CONTENT_ENCODING) {
        return Ok(RunRequest::ForNone(Box::new(Request::from_parts(parts, body)), None));
    }
    let (body, held) = whole(gateway, body).await?;
    let Some(run_body) = RunBody::read(&body) else {
        let request = Request::from_parts(parts, Body::from(body));
        return Ok(RunRequest::ForNone(Box::new(request), Some(held)));
    };
    if run_body.assistant_id.chars().count() > ASSISTANT_CHARS_MAX {
        return Err(ErrorResponse::Invalid(format!(
            "assistant_id: longer than {ASSISTANT_CHARS_MAX} characters"
        )));
    }
    webhook_urls::judge(&gateway.api.webhooks.now().webhooks.url, &run_body.webhook)?;
    let run_id = RunId(Uuid::new_v4());
    let threads = if thread_id.is_some() { Threads::Named } else { Threads::MadeByServer };
    let body = run_body.rewritten(run_id, threads);
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let outbound = gateway.agent_server()?.outbound(parts, Body::from(body))?;
    // A placeholder in it would be filled with what is nobody's business but the operator's.
    let webhook = Template(template::escaped(&run_body.webhook));
    let spec = ClientRunSpec::new(run_body.assistant_id, thread_id, run_body.completed, webhook);
    let forwarded_run = ForwardedRun { gateway: gateway.clone(), mode, run_id, thread_id, held };
    Ok(RunRequest::ForWebhook(Box::new((forwarded_run, spec, outbound))))
}

/// The whole body, and its share of the memory that there is for all of them.
async fn whole(gateway: &Gateway, body: Body) -> Result<(Bytes, OwnedSemaphorePermit), ErrorResponse> {
    let expected = HttpBody::size_hint(&body).upper().and_then(|bytes| usize::try_from(bytes).ok());
    let body = bounded(body).await?;
    let share = u32::try_from(expected.unwrap_or(HTTP_BODY_BYTES_MAX)).unwrap_or(u32::MAX);
    let held = std::sync::Arc::clone(&gateway.held_bodies).acquire_many_owned(share).await;
    let mut held = held.map_err(|closed| ErrorResponse::Failed(closed.to_string()))?;
    // However steadily it drips, others wait for this share.
    let whole = tokio::time::timeout(HELD_BODY_WAIT, body.collect()).await;
    let whole = whole.map_err(|_| ErrorResponse::TooSlow("the body takes too long".to_owned()))?;
    let whole = whole.map_err(|error| match body_fault(&error) {
        Some(fault) => fault.into(),
        None => ErrorResponse::Invalid(format!("the body has not come: {error}")),
    })?;
    let whole = whole.to_bytes();
    // What was not needed of the share is not to be held for as long as the agent server takes.
    drop(held.split(held.num_permits().saturating_sub(whole.len())));
    Ok((whole, held))
}

/// One request on its way.
struct ForwardedRun {
    gateway: Gateway,
    mode: Mode,
    run_id: RunId,
    thread_id: Option<ThreadId>,
    held: OwnedSemaphorePermit,
}

type Answer = oneshot::Sender<Result<Response, ErrorResponse>>;

/// What an answer tells of its run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct RunIds {
    run: Option<BackendRunId>,
    thread: Option<ThreadId>,
}

impl ForwardedRun {
    /// Puts the run on record, sends the request, hands the answer to the client, and notes what became of the run.
    async fn make(self, spec: ClientRunSpec, outbound: Request, mut answer: Answer) {
        let Ok(server) = self.gateway.agent_server().cloned() else { return };
        let api = &self.gateway.api;
        if let Err(error) = api.store.insert_client_run(api.clock.now(), self.run_id, spec).await {
            // The client may have gone.
            let _ = answer.send(Err(error.into()));
            return;
        }
        let record = Record::new(api, self.run_id);
        crash_point("client_run_committed").await;
        let head = tokio::select! {
            head = server.send(outbound) => head,
            () = self.too_long(&mut answer) => {
                let words = format!("the agent server has not answered within {:?}", self.timeout());
                let _ = answer.send(Err(ErrorResponse::GatewayTimeout(words.clone())));
                return record.unconfirmed(words).await;
            }
        };
        crash_point("client_run_answered").await;
        let (mode, thread_id) = (self.mode, self.thread_id);
        drop(self.held);
        match head {
            Err(error) => failed(&server, &record, &error, answer).await,
            Ok(response) if response.status().is_success() => {
                accepted(&server, &record, mode, thread_id, response, answer).await;
            }
            Ok(response) => refused(&api.backend, &record, response, answer).await,
        }
    }

    fn timeout(&self) -> Duration {
        self.gateway.request_timeout
    }

    /// Some servers answer to `wait` only when the run is over: that takes as long as the client likes.
    async fn too_long(&self, answer: &mut Answer) {
        if self.mode == Mode::Wait {
            answer.closed().await;
        }
        tokio::time::sleep(self.timeout()).await;
    }
}

/// There is no answer.
async fn failed(server: &AgentServer, record: &Record<'_>, error: &RelayError, answer: Answer) {
    let refusal = server.failed(error);
    let words = refusal.detail().to_owned();
    // The client may have gone.
    let _ = answer.send(Err(refusal));
    match error {
        RelayError::NotSent(_) => record.rejected(words).await,
        RelayError::Broken(_) => record.unconfirmed(words).await,
    }
}

/// The agent server says no, or does not know what it has done.
async fn refused(backend: &AgentClient, record: &Record<'_>, response: Response, answer: Answer) {
    let status = response.status();
    let (parts, body) = response.into_parts();
    let (body, received) = tee(body, Until::TheEnd);
    let _ = answer.send(proxy::passed_back(Response::from_parts(parts, body)));
    let words = backend.error_text(&received.await.unwrap_or_default());
    let words = format!("backend answered {}{words}", status.as_u16());
    // A proxy that gave up waiting may have handed the request on.
    match status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT {
        true => record.rejected(words).await,
        false => record.unconfirmed(words).await,
    }
}

/// The agent server has the run. The client's first byte does not wait for our record of it.
async fn accepted(
    server: &AgentServer,
    record: &Record<'_>,
    mode: Mode,
    thread_id: Option<ThreadId>,
    response: Response,
    answer: Answer,
) {
    let (parts, body) = response.into_parts();
    let mut ids = RunIds {
        run: located_run(&parts.headers),
        thread: thread_id.or_else(|| located_thread(&parts.headers)),
    };
    let until = match mode {
        Mode::Background => Until::TheEnd,
        Mode::Stream | Mode::Wait => Until::FirstEvent,
    };
    let is_told_later = match mode {
        Mode::Background => ids.run.is_none() || ids.thread.is_none(),
        Mode::Stream => ids.run.is_none(),
        Mode::Wait => false,
    };
    if is_told_later {
        let (body, received) = tee(body, until);
        let _ = answer.send(proxy::passed_back(Response::from_parts(parts, body)));
        ids = ids.or(RunIds::from_body(mode, &received.await.unwrap_or_default()));
    } else {
        let _ = answer.send(proxy::passed_back(Response::from_parts(parts, body)));
    }
    if ids.run.is_some() && ids.thread.is_none() {
        ids.thread = server.thread_of(record.run_id()).await;
    }
    match (ids.run, ids.thread) {
        (Some(run), Some(thread)) => record.accepted(thread, run).await,
        (Some(_), None) => record.unconfirmed("the answer does not name its thread".to_owned()).await,
        (None, _) => record.unconfirmed("the answer does not name its run".to_owned()).await,
    }
}

impl RunIds {
    /// By the run itself, or by the `metadata` event, which comes first.
    fn from_body(mode: Mode, received: &[u8]) -> Self {
        let json: Option<Value> = match mode {
            Mode::Background => serde_json::from_slice(received).ok(),
            Mode::Stream => {
                first_event(received).and_then(|event| serde_json::from_slice(&data_of(event)).ok())
            }
            Mode::Wait => None,
        };
        let id = |key: &str| json.as_ref()?.get(key)?.as_str().map(str::to_owned);
        Self {
            run: id("run_id").and_then(|id| id.parse().ok()),
            thread: id("thread_id").and_then(|id| id.parse().ok()),
        }
    }

    fn or(self, other: Self) -> Self {
        Self { run: self.run.or(other.run), thread: self.thread.or(other.thread) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_tells_its_run() {
        let (run, thread) = ("0e5a6cf1-9d1c-5d0b-8a51-52b8b1b7a1f0", "3f0c9a52-6f0e-4c5b-9f53-0a8a5a0d7f11");
        let both = RunIds { run: run.parse().ok(), thread: thread.parse().ok() };
        let only_run = RunIds { thread: None, ..both };
        let json = format!(r#"{{"run_id":"{run}","thread_id":"{thread}","kwargs":{{}}}}"#);
        let event =
            |end: &str| format!("event: metadata{end}data: {{\"run_id\":\"{run}\"}}{end}{end}event: values");
        for (mode, received, expected) in [
            (Mode::Background, json.as_str(), both),
            (Mode::Background, &json[..40], RunIds::default()),
            (Mode::Stream, &event("\n"), only_run),
            (Mode::Stream, &event("\r\n"), only_run),
            (Mode::Stream, ": heartbeat\n\n", RunIds::default()),
            (Mode::Stream, "event: metadata\ndata: {\"run", RunIds::default()),
            (Mode::Wait, json.as_str(), RunIds::default()),
        ] {
            assert_eq!(RunIds::from_body(mode, received.as_bytes()), expected, "{mode:?} {received}");
        }
    }
}
