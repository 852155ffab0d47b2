//! The endpoints whose responses last until a run has ended: `wait`, `join` and `stream`. A client that
//! disconnects does not cancel the run.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LOCATION, CONTENT_TYPE, HeaderName, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{sleep_until, timeout};
use uuid::Uuid;

use super::records::{RunStatus, StreamEvent, ThreadRecord, ThreadStatus};
use super::request::{NewRun, RequestError};
use super::state::ServerState;
use super::{EmbeddedServer, parse_id, wire};

/// How often the real server sends a keep-alive while nothing happens.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

pub(super) async fn create_and_wait(
    State(server): State<EmbeddedServer>,
    Path(thread_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RequestError> {
    let request = NewRun::parse(&body, &headers, (server.shared.now)())?;
    let (thread_id, run_id, follower) = Follower::open(server, &thread_id, request)?;
    Ok(follower.wait(locations(thread_id, run_id)))
}

pub(super) async fn create_and_stream(
    State(server): State<EmbeddedServer>,
    Path(thread_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RequestError> {
    let request = NewRun::parse(&body, &headers, (server.shared.now)())?;
    let wants_values = request.stream_mode.iter().any(|mode| mode == "values");
    let (thread_id, run_id, follower) = Follower::open(server, &thread_id, request)?;
    Ok(follower.stream(run_id, &format!("/threads/{thread_id}/runs/{run_id}"), wants_values))
}

pub(super) async fn join(
    State(server): State<EmbeddedServer>,
    Path((thread_id, run_id)): Path<(String, String)>,
) -> Result<Response, RequestError> {
    let (thread_id, run_id) = (parse_id(&thread_id, "thread")?, parse_id(&run_id, "run")?);
    let (sender, events) = unbounded_channel();
    {
        let (_, mut state) = server.state();
        let answer = answer_without_waiting(&state, thread_id, run_id);
        match (answer, state.runs.get_mut(&run_id)) {
            (None, Some(run)) => run.followers.push(sender),
            (answer, _) => drop(sender.send(StreamEvent::Ended(wire::bytes(&answer.unwrap_or_default())))),
        }
    }
    Ok(Follower { server, thread_id, events }.wait(locations(thread_id, run_id)))
}

/// Returns the headers that identify the run to a waiting caller.
pub(super) fn locations(thread_id: Uuid, run_id: Uuid) -> [(HeaderName, String); 2] {
    let run = format!("/threads/{thread_id}/runs/{run_id}");
    [(LOCATION, format!("{run}/join")), (CONTENT_LOCATION, run)]
}

/// Returns the body of `join` if there is nothing to wait for. For an ended run that is the thread as it is
/// now, not as the run left it.
fn answer_without_waiting(state: &ServerState, thread_id: Uuid, run_id: Uuid) -> Option<Value> {
    let (Some(run), Ok(thread)) = (state.run(thread_id, run_id), state.thread(thread_id)) else {
        return Some(json!({"__error__": wire::run_not_found()}));
    };
    match run.status {
        RunStatus::Pending | RunStatus::Running => None,
        RunStatus::Success | RunStatus::Error | RunStatus::Interrupted => Some(thread_answer(thread)),
    }
}

fn thread_answer(thread: &ThreadRecord) -> Value {
    match (&thread.error, &thread.interrupt) {
        (Some(error), _) if thread.status == ThreadStatus::Error => json!({"__error__": error.to_json()}),
        (_, Some(interrupt)) => json!({"__interrupt__": [wire::interrupt(interrupt)]}),
        _ => wire::values_or_empty(thread.values.as_ref()),
    }
}

/// A caller that follows one run.
struct Follower {
    server: EmbeddedServer,
    thread_id: Uuid,
    events: UnboundedReceiver<StreamEvent>,
}

impl Follower {
    fn open(
        server: EmbeddedServer,
        thread_id: &str,
        request: NewRun,
    ) -> Result<(Uuid, Uuid, Follower), RequestError> {
        // The real server checks the id later here than it does for `create`, and reports another error.
        let thread_id = Uuid::try_parse(thread_id).map_err(|_| {
            RequestError::new(StatusCode::BAD_REQUEST, "badly formed hexadecimal UUID string")
        })?;
        let (sender, events) = unbounded_channel();
        let run_id = {
            let (now, mut state) = server.state();
            state.accept(now, thread_id, request, Some(sender))?.run_id
        };
        Ok((thread_id, run_id, Follower { server, thread_id, events }))
    }

    /// Waits for the next event of the run. Nothing runs in the background, so the waiting caller itself
    /// brings the server up to the present whenever something is due on the thread.
    async fn next(&mut self) -> Option<StreamEvent> {
        loop {
            let due = {
                let (_, state) = self.server.state();
                state.next_instant(self.thread_id)
            };
            if let Ok(event) = self.events.try_recv() {
                return Some(event);
            }
            let due = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                event = self.events.recv() => return event,
                () = due => {}
            }
        }
    }

    fn wait(self, locations: [(HeaderName, String); 2]) -> Response {
        let body = futures_util::stream::unfold(Some(self), async |follower| {
            let mut follower = follower?;
            loop {
                match timeout(KEEP_ALIVE, follower.next()).await {
                    Err(_) => return Some((Ok::<_, Infallible>(Bytes::from_static(b"\n")), Some(follower))),
                    Ok(Some(StreamEvent::Ended(answer))) => return Some((Ok(answer), None)),
                    Ok(Some(StreamEvent::Started | StreamEvent::Values(_) | StreamEvent::Failed(_))) => {}
                    Ok(None) => return None,
                }
            }
        });
        let headers = AppendHeaders([(CONTENT_TYPE, "application/json")]);
        (AppendHeaders(locations), headers, Body::from_stream(body)).into_response()
    }

    fn stream(self, run_id: Uuid, location: &str, wants_values: bool) -> Response {
        let first = sse("metadata", format!("{{\"run_id\":\"{run_id}\",\"attempt\":1}}").as_bytes());
        let start = EventStream { follower: self, first: Some(first), wants_values };
        let body = futures_util::stream::unfold(start, async |mut stream| {
            let chunk = stream.next_chunk().await?;
            Some((Ok::<_, Infallible>(chunk), stream))
        });
        let headers = AppendHeaders([
            (LOCATION, format!("{location}/stream")),
            (CONTENT_LOCATION, location.to_owned()),
            (CACHE_CONTROL, "no-store".to_owned()),
            (CONTENT_TYPE, "text/event-stream; charset=utf-8".to_owned()),
        ]);
        (headers, Body::from_stream(body)).into_response()
    }
}

struct EventStream {
    follower: Follower,
    /// The first event, until it is sent when the run starts.
    first: Option<Bytes>,
    wants_values: bool,
}

impl EventStream {
    async fn next_chunk(&mut self) -> Option<Bytes> {
        loop {
            let chunk = match timeout(KEEP_ALIVE, self.follower.next()).await {
                Err(_) => Some(Bytes::from_static(b": heartbeat\r\n\r\n")),
                Ok(Some(StreamEvent::Started)) => self.first.take(),
                Ok(Some(StreamEvent::Values(values))) => self.wants_values.then(|| sse("values", &values)),
                Ok(Some(StreamEvent::Failed(error))) => Some(sse("error", &error)),
                Ok(Some(StreamEvent::Ended(_)) | None) => return None,
            };
            if chunk.is_some() {
                return chunk;
            }
        }
    }
}

/// Formats one server-sent event. The real server ends its lines with CRLF.
fn sse(event: &str, data: &[u8]) -> Bytes {
    Bytes::from([b"event: ", event.as_bytes(), b"\r\ndata: ", data, b"\r\n\r\n"].concat())
}
