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

use super::asked::{Asked, Threads};
use super::overheard::{Until, data_of, first_event, overheard};
use super::record::Record;
use super::{AgentServer, Gateway, proxy, webhook_urls};
use crate::api::patience::{body_fault, bounded};
use crate::api::refusal::Refusal;
use crate::backend::{AgentClient, located_run, located_thread};
use crate::crash::crash_point;
use crate::domain::bounds::{ASSISTANT_CHARS_MAX, HELD_BODY_WAIT, HTTP_BODY_BYTES_MAX};
use crate::domain::cron::Template;
use crate::domain::errand::ClientErrand;
use crate::domain::ids::{BackendRunId, RunId, ThreadId};
use crate::domain::template;
use crate::transport::RelayError;

/// The server's three ways to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The answer is the run.
    Create,
    /// The answer is events.
    Stream,
    /// The answer is the outcome.
    Wait,
}

/// Their paths; by other methods they are the agent server's.
pub(super) fn router() -> Router<Gateway> {
    Router::new()
        .route("/threads/{thread_id}/runs", on_thread(Way::Create))
        .route("/threads/{thread_id}/runs/stream", on_thread(Way::Stream))
        .route("/threads/{thread_id}/runs/wait", on_thread(Way::Wait))
        .route("/runs", stateless(Way::Create))
        .route("/runs/stream", stateless(Way::Stream))
        .route("/runs/wait", stateless(Way::Wait))
}

/// Nothing is said in the agent server's place of what methods it allows, as it would be by a mere fallback.
fn passed_on() -> MethodRouter<Gateway> {
    any(proxy::pass_on)
}

fn on_thread(way: Way) -> MethodRouter<Gateway> {
    let answer =
        async move |State(gateway): State<Gateway>, Path(thread_id): Path<String>, request: Request| {
            match thread_id.parse() {
                Ok(thread_id) => start(gateway, way, Some(thread_id), request).await,
                // The agent server has the words for this.
                Err(_) => proxy::pass_on(State(gateway), request).await,
            }
        };
    passed_on().post(answer)
}

fn stateless(way: Way) -> MethodRouter<Gateway> {
    let answer = async move |State(gateway): State<Gateway>, request: Request| {
        start(gateway, way, None, request).await
    };
    passed_on().post(answer)
}

/// Goes on in a task of its own as soon as it is called: a client that leaves once it has sent its request has asked for
/// a run all the same, and what is on record must be brought to an end without it.
async fn start(
    gateway: Gateway,
    way: Way,
    thread_id: Option<ThreadId>,
    request: Request,
) -> Result<Response, Refusal> {
    let (answer, answered) = oneshot::channel();
    let passages = gateway.passages.clone();
    passages.spawn(receive(gateway, way, thread_id, request, answer));
    answered.await.unwrap_or_else(|_| Err(Refusal::Failed("this request was given up".to_owned())))
}

async fn receive(
    gateway: Gateway,
    way: Way,
    thread_id: Option<ThreadId>,
    request: Request,
    mut answer: Answer,
) {
    let (passage, errand, outbound) = match read(&gateway, way, thread_id, request).await {
        Ok(Asking::ForWebhook(asking)) => *asking,
        Ok(Asking::ForNone(request, held)) => {
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
    passage.make(errand, outbound, answer).await;
}

/// What a request comes to.
enum Asking {
    ForWebhook(Box<(Passage, ClientErrand, Request)>),
    ForNone(Box<Request>, Option<OwnedSemaphorePermit>),
}

async fn read(
    gateway: &Gateway,
    way: Way,
    thread_id: Option<ThreadId>,
    request: Request,
) -> Result<Asking, Refusal> {
    let (mut parts, body) = request.into_parts();
    if parts.headers.contains_key(CONTENT_ENCODING) {
        return Ok(Asking::ForNone(Box::new(Request::from_parts(parts, body)), None));
    }
    let (body, held) = whole(gateway, body).await?;
    let Some(asked) = Asked::read(&body) else {
        let request = Request::from_parts(parts, Body::from(body));
        return Ok(Asking::ForNone(Box::new(request), Some(held)));
    };
    if asked.assistant_id.chars().count() > ASSISTANT_CHARS_MAX {
        return Err(Refusal::Invalid(format!("assistant_id: longer than {ASSISTANT_CHARS_MAX} characters")));
    }
    webhook_urls::judge(&gateway.api.webhooks.now().webhooks.url, &asked.webhook)?;
    let run_id = RunId(Uuid::new_v4());
    let threads = if thread_id.is_some() { Threads::Named } else { Threads::MadeByServer };
    let body = asked.rewritten(run_id, threads);
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let outbound = gateway.agent_server()?.outbound(parts, Body::from(body))?;
    // A placeholder in it would be filled with what is nobody's business but the operator's.
    let webhook = Template(template::disarmed(&asked.webhook));
    let errand = ClientErrand::new(asked.assistant_id, thread_id, asked.completed, webhook);
    let passage = Passage { gateway: gateway.clone(), way, run_id, thread_id, held };
    Ok(Asking::ForWebhook(Box::new((passage, errand, outbound))))
}

/// The whole body, and its share of the memory that there is for all of them.
async fn whole(gateway: &Gateway, body: Body) -> Result<(Bytes, OwnedSemaphorePermit), Refusal> {
    let expected = HttpBody::size_hint(&body).upper().and_then(|bytes| usize::try_from(bytes).ok());
    let body = bounded(body).await?;
    let share = u32::try_from(expected.unwrap_or(HTTP_BODY_BYTES_MAX)).unwrap_or(u32::MAX);
    let held = std::sync::Arc::clone(&gateway.held_bodies).acquire_many_owned(share).await;
    let mut held = held.map_err(|closed| Refusal::Failed(closed.to_string()))?;
    // However steadily it drips, others wait for this share.
    let whole = tokio::time::timeout(HELD_BODY_WAIT, body.collect()).await;
    let whole = whole.map_err(|_| Refusal::TooSlow("the body takes too long".to_owned()))?;
    let whole = whole.map_err(|error| match body_fault(&error) {
        Some(fault) => fault.into(),
        None => Refusal::Invalid(format!("the body has not come: {error}")),
    })?;
    let whole = whole.to_bytes();
    // What was not needed of the share is not to be held for as long as the agent server takes.
    drop(held.split(held.num_permits().saturating_sub(whole.len())));
    Ok((whole, held))
}

/// One request on its way.
struct Passage {
    gateway: Gateway,
    way: Way,
    run_id: RunId,
    thread_id: Option<ThreadId>,
    held: OwnedSemaphorePermit,
}

type Answer = oneshot::Sender<Result<Response, Refusal>>;

/// What an answer tells of its run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Learnt {
    run: Option<BackendRunId>,
    thread: Option<ThreadId>,
}

impl Passage {
    /// Puts the run on record, sends the request, hands the answer to the client, and notes what became of the run.
    async fn make(self, errand: ClientErrand, outbound: Request, mut answer: Answer) {
        let Ok(server) = self.gateway.agent_server().cloned() else { return };
        let api = &self.gateway.api;
        if let Err(error) = api.store.insert_client_run(api.clock.now(), self.run_id, errand).await {
            // The client may have gone.
            let _ = answer.send(Err(error.into()));
            return;
        }
        let record = Record::new(api, self.run_id);
        crash_point("client_run_committed").await;
        let head = tokio::select! {
            head = server.send(outbound) => head,
            () = self.too_long(&mut answer) => {
                let words = format!("the agent server has not answered within {:?}", self.patience());
                let _ = answer.send(Err(Refusal::GatewayTimeout(words.clone())));
                return record.in_doubt(words).await;
            }
        };
        crash_point("client_run_answered").await;
        let (way, thread_id) = (self.way, self.thread_id);
        drop(self.held);
        match head {
            Err(error) => failed(&server, &record, &error, answer).await,
            Ok(response) if response.status().is_success() => {
                accepted(&server, &record, way, thread_id, response, answer).await;
            }
            Ok(response) => refused(&api.backend, &record, response, answer).await,
        }
    }

    fn patience(&self) -> Duration {
        self.gateway.request_timeout
    }

    /// Some servers answer to `wait` only when the run is over: that takes as long as the client likes.
    async fn too_long(&self, answer: &mut Answer) {
        if self.way == Way::Wait {
            answer.closed().await;
        }
        tokio::time::sleep(self.patience()).await;
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
        RelayError::Broken(_) => record.in_doubt(words).await,
    }
}

/// The agent server says no, or does not know what it has done.
async fn refused(backend: &AgentClient, record: &Record<'_>, response: Response, answer: Answer) {
    let status = response.status();
    let (parts, body) = response.into_parts();
    let (body, heard) = overheard(body, Until::TheEnd);
    let _ = answer.send(proxy::passed_back(Response::from_parts(parts, body)));
    let words = backend.words_of(&heard.await.unwrap_or_default());
    let words = format!("backend answered {}{words}", status.as_u16());
    // A proxy that gave up waiting may have handed the request on.
    match status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT {
        true => record.rejected(words).await,
        false => record.in_doubt(words).await,
    }
}

/// The agent server has the run. The client's first byte does not wait for our record of it.
async fn accepted(
    server: &AgentServer,
    record: &Record<'_>,
    way: Way,
    thread_id: Option<ThreadId>,
    response: Response,
    answer: Answer,
) {
    let (parts, body) = response.into_parts();
    let mut learnt = Learnt {
        run: located_run(&parts.headers),
        thread: thread_id.or_else(|| located_thread(&parts.headers)),
    };
    let until = match way {
        Way::Create => Until::TheEnd,
        Way::Stream | Way::Wait => Until::FirstEvent,
    };
    let is_told_later = match way {
        Way::Create => learnt.run.is_none() || learnt.thread.is_none(),
        Way::Stream => learnt.run.is_none(),
        Way::Wait => false,
    };
    if is_told_later {
        let (body, heard) = overheard(body, until);
        let _ = answer.send(proxy::passed_back(Response::from_parts(parts, body)));
        learnt = learnt.or(Learnt::from_body(way, &heard.await.unwrap_or_default()));
    } else {
        let _ = answer.send(proxy::passed_back(Response::from_parts(parts, body)));
    }
    if learnt.run.is_some() && learnt.thread.is_none() {
        learnt.thread = server.thread_of(record.run_id()).await;
    }
    match (learnt.run, learnt.thread) {
        (Some(run), Some(thread)) => record.accepted(thread, run).await,
        (Some(_), None) => record.in_doubt("the answer does not name its thread".to_owned()).await,
        (None, _) => record.in_doubt("the answer does not name its run".to_owned()).await,
    }
}

impl Learnt {
    /// By the run itself, or by the `metadata` event, which comes first.
    fn from_body(way: Way, heard: &[u8]) -> Self {
        let json: Option<Value> = match way {
            Way::Create => serde_json::from_slice(heard).ok(),
            Way::Stream => first_event(heard).and_then(|event| serde_json::from_slice(&data_of(event)).ok()),
            Way::Wait => None,
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
        let both = Learnt { run: run.parse().ok(), thread: thread.parse().ok() };
        let only_run = Learnt { thread: None, ..both };
        let json = format!(r#"{{"run_id":"{run}","thread_id":"{thread}","kwargs":{{}}}}"#);
        let event =
            |end: &str| format!("event: metadata{end}data: {{\"run_id\":\"{run}\"}}{end}{end}event: values");
        for (way, heard, expected) in [
            (Way::Create, json.as_str(), both),
            (Way::Create, &json[..40], Learnt::default()),
            (Way::Stream, &event("\n"), only_run),
            (Way::Stream, &event("\r\n"), only_run),
            (Way::Stream, ": heartbeat\n\n", Learnt::default()),
            (Way::Stream, "event: metadata\ndata: {\"run", Learnt::default()),
            (Way::Wait, json.as_str(), Learnt::default()),
        ] {
            assert_eq!(Learnt::from_body(way, heard.as_bytes()), expected, "{way:?} {heard}");
        }
    }
}
