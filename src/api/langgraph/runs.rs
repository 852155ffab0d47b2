//! Runs with a webhook. The run is recorded first; then its request is forwarded without the webhook, and the response
//! streams to the client and gives us the id of the run on the agent server. From there on the runner follows the run to
//! its end, whether or not the client stays, and the webhook is delivered like any other.
//!
//! A request is forwarded as it is only if it is understood to have no webhook. Whatever may have one, and is not
//! understood for certain, is refused: the agent server must never deliver a webhook in our place.
//!
//! The agent server decides by `on_disconnect` whether the run continues without the client: when the client goes, our
//! connection goes as well. Only the head of the response is awaited in any case.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use axum::routing::{MethodRouter, any};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::forwarded_runs::{ForwardedRuns, RequestKind, ResponseSender};
use super::gateway::Gateway;
use super::held_body::read_body;
use super::run_body::{Batch, BodyMistake, RunBody, ThreadOrigin};
use super::{proxy, webhook_urls};
use crate::api::error_response::ErrorResponse;
use crate::api::parsing::parse_beside;
use crate::domain::bounds::{ASSISTANT_CHARS_MAX, HTTP_BODY_BYTES_MAX};
use crate::domain::cron::{Mode, Template};
use crate::domain::ids::{RunId, ThreadId};
use crate::domain::run_spec::ClientRunSpec;
use crate::domain::template;

/// Returns the routes; requests with other methods are forwarded.
pub(super) fn router() -> Router<Gateway> {
    Router::new()
        .route("/threads/{thread_id}/runs", on_thread(Mode::Background))
        .route("/threads/{thread_id}/runs/stream", on_thread(Mode::Stream))
        .route("/threads/{thread_id}/runs/wait", on_thread(Mode::Wait))
        .route("/runs", without_thread(RequestKind::Run(Mode::Background)))
        .route("/runs/stream", without_thread(RequestKind::Run(Mode::Stream)))
        .route("/runs/wait", without_thread(RequestKind::Run(Mode::Wait)))
        .route("/runs/batch", without_thread(RequestKind::Batch))
}

/// The thread that the path of a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PathThread {
    None,
    Id(ThreadId),
    /// Its id is written as we do not read ids; the agent server may.
    Unreadable,
}

fn on_thread(mode: Mode) -> MethodRouter<Gateway> {
    let handler =
        async move |State(gateway): State<Gateway>, Path(thread_id): Path<String>, request: Request| {
            let thread = match thread_id.parse() {
                Ok(thread_id) => PathThread::Id(thread_id),
                Err(_) if may_be_uuid(&thread_id) => PathThread::Unreadable,
                // No server reads this as an id, and each has its own message for it.
                Err(_) => return proxy::forward(State(gateway), request).await,
            };
            start(gateway, RequestKind::Run(mode), thread, request).await
        };
    forwarded_methods().post(handler)
}

/// Whether Python's `uuid.UUID` may read this text: it removes prefixes, braces and hyphens wherever they are, and demands 32
/// characters of what is left.
fn may_be_uuid(text: &str) -> bool {
    let text = text.replace("urn:", "").replace("uuid:", "");
    text.trim_matches(['{', '}']).chars().filter(|character| *character != '-').count() == 32
}

fn without_thread(kind: RequestKind) -> MethodRouter<Gateway> {
    let handler = async move |State(gateway): State<Gateway>, request: Request| {
        start(gateway, kind, PathThread::None, request).await
    };
    forwarded_methods().post(handler)
}

/// Forwards all methods. A mere fallback would answer in the agent server's place which methods it allows.
fn forwarded_methods() -> MethodRouter<Gateway> {
    any(proxy::forward)
}

/// Handles the request in a task of its own: a client that leaves after it has sent its request has asked for a run all
/// the same, and a recorded run must be finished without the client.
async fn start(
    gateway: Gateway,
    kind: RequestKind,
    thread: PathThread,
    request: Request,
) -> Result<Response, ErrorResponse> {
    let (sender, response) = oneshot::channel();
    let to_finish = gateway.api.to_finish.clone();
    to_finish.spawn(handle(gateway, kind, thread, request, sender));
    response.await.unwrap_or_else(|_| Err(ErrorResponse::failed("this request was abandoned")))
}

async fn handle(
    gateway: Gateway,
    kind: RequestKind,
    thread: PathThread,
    request: Request,
    mut sender: ResponseSender,
) {
    let forwarded = match read(&gateway, kind, thread, request).await {
        Ok(IncomingRuns::WithWebhooks(forwarded)) => *forwarded,
        Ok(IncomingRuns::WithoutWebhook(request)) => {
            return tokio::select! {
                response = proxy::forward(State(gateway), *request) => drop(sender.send(response)),
                // Without a webhook the run is no business of ours.
                () = sender.closed() => {}
            };
        }
        Err(error) => {
            tracing::debug!(detail = error.detail, "run request refused");
            return drop(sender.send(Err(error)));
        }
    };
    forwarded.forward(sender).await;
}

/// A request for runs.
enum IncomingRuns {
    WithWebhooks(Box<ForwardedRuns>),
    /// The request to forward as it is.
    WithoutWebhook(Box<Request>),
}

/// The runs of a body that have a webhook, and the body without their webhooks.
struct ParsedRuns {
    runs: Vec<(RunId, ClientRunSpec)>,
    body: Bytes,
}

async fn read(
    gateway: &Gateway,
    kind: RequestKind,
    thread: PathThread,
    request: Request,
) -> Result<IncomingRuns, ErrorResponse> {
    let (mut parts, body) = request.into_parts();
    check_encoding(&parts.headers)?;
    let held = read_body(&gateway.api.held_bodies, body, HTTP_BODY_BYTES_MAX).await?;
    let (to_parse, gateway_of_parser) = (held.bytes.clone(), gateway.clone());
    let parse = move || parse(&gateway_of_parser, kind, thread, &to_parse);
    let Some(ParsedRuns { runs, body }) = parse_beside(held.bytes.len(), parse).await?? else {
        let request = Request::from_parts(parts, held.into_body());
        return Ok(IncomingRuns::WithoutWebhook(Box::new(request)));
    };
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let outbound = gateway.agent_server()?.outbound(parts, held.forwarded_as(body))?;
    let thread_id = match thread {
        PathThread::Id(thread_id) => Some(thread_id),
        PathThread::None | PathThread::Unreadable => None,
    };
    let forwarded = ForwardedRuns { gateway: gateway.clone(), kind, thread_id, runs, outbound };
    Ok(IncomingRuns::WithWebhooks(Box::new(forwarded)))
}

/// Returns `None` if no run has a webhook.
fn parse(
    gateway: &Gateway,
    kind: RequestKind,
    thread: PathThread,
    body: &[u8],
) -> Result<Option<ParsedRuns>, ErrorResponse> {
    let new_run_id = || RunId(Uuid::new_v4());
    let (origin, thread_id) = match thread {
        PathThread::None => (ThreadOrigin::Server, None),
        PathThread::Id(thread_id) => (ThreadOrigin::Path, Some(thread_id)),
        PathThread::Unreadable => {
            let has_webhook = RunBody::parse(body, ThreadOrigin::Path)?.is_some();
            return if has_webhook { Err(ErrorResponse::invalid("Invalid thread ID")) } else { Ok(None) };
        }
    };
    let owner = gateway.api.store.run_owner();
    match kind {
        RequestKind::Run(_) => {
            let Some(run) = RunBody::parse(body, origin)? else { return Ok(None) };
            let run_id = new_run_id();
            let body = run.rewritten(run_id, owner, origin)?;
            Ok(Some(ParsedRuns { runs: vec![(run_id, spec(gateway, &run, thread_id)?)], body }))
        }
        RequestKind::Batch => {
            let Some(batch) = Batch::parse(body, new_run_id)? else { return Ok(None) };
            let runs = batch.runs.iter().map(|(_, run_id, run)| Ok((*run_id, spec(gateway, run, None)?)));
            let runs = runs.collect::<Result<_, ErrorResponse>>()?;
            Ok(Some(ParsedRuns { runs, body: batch.rewritten(owner)? }))
        }
    }
}

/// Returns what we record of a run, if its webhook is allowed.
fn spec(
    gateway: &Gateway,
    run: &RunBody<'_>,
    thread_id: Option<ThreadId>,
) -> Result<ClientRunSpec, ErrorResponse> {
    webhook_urls::check(&gateway.api.webhooks.now().webhooks.url, &run.webhook)?;
    if run.assistant_id.chars().count() > ASSISTANT_CHARS_MAX {
        return Err(ErrorResponse::invalid(format!(
            "assistant_id: longer than {ASSISTANT_CHARS_MAX} characters"
        )));
    }
    // A placeholder in a client's URL would be filled with values that belong to the operator.
    let webhook = Template(template::escaped(&run.webhook));
    Ok(ClientRunSpec::new(run.assistant_id.clone(), thread_id, run.on_completion, webhook))
}

/// Refuses a body that is encoded: we would have to decode it as the agent server does, and the agent server does not.
fn check_encoding(headers: &HeaderMap) -> Result<(), ErrorResponse> {
    let is_plain = |value: &HeaderValue| {
        let value = value.as_bytes().trim_ascii();
        value.is_empty() || value.eq_ignore_ascii_case(b"identity")
    };
    if headers.get_all(CONTENT_ENCODING).iter().all(is_plain) {
        return Ok(());
    }
    let message = "content-encoding: send the body of a request for a run as plain JSON";
    Err(ErrorResponse::unsupported_media_type(message))
}

impl From<BodyMistake> for ErrorResponse {
    fn from(mistake: BodyMistake) -> Self {
        ErrorResponse::invalid(mistake.to_string())
    }
}
