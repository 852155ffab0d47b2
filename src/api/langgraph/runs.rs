//! Runs with a webhook. The run is recorded first; then its request is forwarded without the webhook, and the response
//! streams to the client and gives us the id of the run on the agent server. From there on the runner follows the run to
//! its end, whether or not the client stays, and the webhook is delivered like any other.
//!
//! The agent server decides by `on_disconnect` whether the run continues without the client: when the client goes, our
//! connection goes as well. Only the head of the response is awaited in any case.

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Path, Request, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use axum::response::Response;
use axum::routing::{MethodRouter, any};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use uuid::Uuid;

use super::forwarded_run::{ForwardedRun, ResponseSender};
use super::gateway::Gateway;
use super::run_body::{RunBody, ThreadOrigin};
use super::{proxy, webhook_urls};
use crate::api::error_response::ErrorResponse;
use crate::api::timeouts::{body_error, bound_body};
use crate::domain::bounds::{ASSISTANT_CHARS_MAX, HELD_BODY_WAIT, HTTP_BODY_BYTES_MAX};
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
        .route("/runs", stateless(Mode::Background))
        .route("/runs/stream", stateless(Mode::Stream))
        .route("/runs/wait", stateless(Mode::Wait))
}

fn on_thread(mode: Mode) -> MethodRouter<Gateway> {
    let handler =
        async move |State(gateway): State<Gateway>, Path(thread_id): Path<String>, request: Request| {
            match thread_id.parse() {
                Ok(thread_id) => start(gateway, mode, Some(thread_id), request).await,
                // The agent server reports this mistake itself.
                Err(_) => proxy::forward(State(gateway), request).await,
            }
        };
    forwarded_methods().post(handler)
}

fn stateless(mode: Mode) -> MethodRouter<Gateway> {
    let handler = async move |State(gateway): State<Gateway>, request: Request| {
        start(gateway, mode, None, request).await
    };
    forwarded_methods().post(handler)
}

/// Forwards all methods. Otherwise axum would reject the other methods itself and list the allowed ones, but only the
/// agent server knows them.
fn forwarded_methods() -> MethodRouter<Gateway> {
    any(proxy::forward)
}

/// Handles the request in a task of its own: a client that leaves after it has sent its request still wants the
/// run, and a recorded run must be finished without the client.
async fn start(
    gateway: Gateway,
    mode: Mode,
    thread_id: Option<ThreadId>,
    request: Request,
) -> Result<Response, ErrorResponse> {
    let (sender, response) = oneshot::channel();
    let forwarded_runs = gateway.forwarded_runs.clone();
    forwarded_runs.spawn(handle(gateway, mode, thread_id, request, sender));
    response.await.unwrap_or_else(|_| Err(ErrorResponse::Failed("this request was abandoned".to_owned())))
}

async fn handle(
    gateway: Gateway,
    mode: Mode,
    thread_id: Option<ThreadId>,
    request: Request,
    mut sender: ResponseSender,
) {
    let (forwarded_run, spec, outbound) = match read(&gateway, mode, thread_id, request).await {
        Ok(IncomingRun::WithWebhook(incoming)) => *incoming,
        Ok(IncomingRun::WithoutWebhook(request, held)) => {
            tokio::select! {
                response = proxy::forward(State(gateway), *request) => drop(sender.send(response)),
                // Without a webhook the run is no business of ours.
                () = sender.closed() => {}
            }
            return drop(held);
        }
        Err(error) => {
            tracing::debug!(detail = error.detail(), "run request refused");
            return drop(sender.send(Err(error)));
        }
    };
    forwarded_run.forward(spec, outbound, sender).await;
}

/// A request for a run.
enum IncomingRun {
    /// The run to record, and the request to forward.
    WithWebhook(Box<(ForwardedRun, ClientRunSpec, Request)>),
    /// The request to forward, and its share of the memory for bodies if its body was read.
    WithoutWebhook(Box<Request>, Option<OwnedSemaphorePermit>),
}

async fn read(
    gateway: &Gateway,
    mode: Mode,
    thread_id: Option<ThreadId>,
    request: Request,
) -> Result<IncomingRun, ErrorResponse> {
    let (mut parts, body) = request.into_parts();
    if parts.headers.contains_key(CONTENT_ENCODING) {
        return Ok(IncomingRun::WithoutWebhook(Box::new(Request::from_parts(parts, body)), None));
    }
    let (body, held) = read_body(gateway, body).await?;
    let Some(run_body) = RunBody::parse(&body) else {
        let request = Request::from_parts(parts, Body::from(body));
        return Ok(IncomingRun::WithoutWebhook(Box::new(request), Some(held)));
    };
    if run_body.assistant_id.chars().count() > ASSISTANT_CHARS_MAX {
        return Err(ErrorResponse::Invalid(format!(
            "assistant_id: longer than {ASSISTANT_CHARS_MAX} characters"
        )));
    }
    webhook_urls::check(&gateway.api.webhooks.now().webhooks.url, &run_body.webhook)?;
    let run_id = RunId(Uuid::new_v4());
    let thread = if thread_id.is_some() { ThreadOrigin::Path } else { ThreadOrigin::Server };
    let body = run_body.rewritten(run_id, thread);
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let outbound = gateway.agent_server()?.outbound(parts, Body::from(body))?;
    // A placeholder in a client's URL would be filled with values that belong to the operator.
    let webhook = Template(template::escaped(&run_body.webhook));
    let spec = ClientRunSpec::new(run_body.assistant_id, thread_id, run_body.on_completion, webhook);
    let forwarded_run = ForwardedRun { gateway: gateway.clone(), mode, run_id, thread_id, held };
    Ok(IncomingRun::WithWebhook(Box::new((forwarded_run, spec, outbound))))
}

/// Returns the whole body, and its share of the memory that all bodies have together.
async fn read_body(gateway: &Gateway, body: Body) -> Result<(Bytes, OwnedSemaphorePermit), ErrorResponse> {
    let expected = HttpBody::size_hint(&body).upper().and_then(|bytes| usize::try_from(bytes).ok());
    let body = bound_body(body).await?;
    let share = u32::try_from(expected.unwrap_or(HTTP_BODY_BYTES_MAX)).unwrap_or(u32::MAX);
    let held = std::sync::Arc::clone(&gateway.held_bodies).acquire_many_owned(share).await;
    let mut held = held.map_err(|closed| ErrorResponse::Failed(closed.to_string()))?;
    // Other requests wait for this share, so even a body that never stalls must not take forever.
    let whole = tokio::time::timeout(HELD_BODY_WAIT, body.collect()).await;
    let whole = whole.map_err(|_| ErrorResponse::TooSlow("the body takes too long".to_owned()))?;
    let whole = whole.map_err(|error| match body_error(&error) {
        Some(error) => error.into(),
        None => ErrorResponse::Invalid(format!("the body did not arrive: {error}")),
    })?;
    let whole = whole.to_bytes();
    // The part of the share that was not needed must not be held for as long as the agent server takes.
    drop(held.split(held.num_permits().saturating_sub(whole.len())));
    Ok((whole, held))
}
