//! The verbs that stay on the line until a run has ended: `wait`, `join` and `stream`. Hanging up never cancels the run.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LOCATION, CONTENT_TYPE, HeaderName, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde_json::{Value, json};
use std::convert::Infallible;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{sleep_until, timeout};
use uuid::Uuid;

use super::request::{RequestError, RunRequest};
use super::runs::{on_thread, stateless};
use super::state::{Event, Thread, ThreadStatus};
use super::world::World;
use super::{AgentServer, parse_id, wire};

/// The real server sends a sign of life this often.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

pub(super) async fn create_and_wait(
    State(server): State<AgentServer>,
    Path(thread_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RequestError> {
    let request = on_thread(RunRequest::parse(&body, &headers, (server.shared.now)())?);
    // Sic: the real server checks the id here in another place than for `create`.
    let thread_id = Uuid::try_parse(&thread_id)
        .map_err(|_| RequestError::new(StatusCode::BAD_REQUEST, "badly formed hexadecimal UUID string"))?;
    let (run_id, line) = Line::open(server, thread_id, request)?;
    Ok(line.wait(locations(thread_id, run_id)))
}

pub(super) async fn create_stateless_and_wait(
    State(server): State<AgentServer>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RequestError> {
    let request = stateless(RunRequest::parse(&body, &headers, (server.shared.now)())?);
    let thread_id = server.world().1.new_id();
    let (run_id, line) = Line::open(server, thread_id, request)?;
    Ok(line.wait(locations(thread_id, run_id)))
}

pub(super) async fn create_and_stream(
    State(server): State<AgentServer>,
    Path(thread_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RequestError> {
    let request = on_thread(RunRequest::parse(&body, &headers, (server.shared.now)())?);
    let thread_id = Uuid::try_parse(&thread_id)
        .map_err(|_| RequestError::new(StatusCode::BAD_REQUEST, "badly formed hexadecimal UUID string"))?;
    let modes = request.stream_mode.clone();
    let (run_id, line) = Line::open(server, thread_id, request)?;
    Ok(line.stream(run_id, &format!("/threads/{thread_id}/runs/{run_id}"), modes))
}

pub(super) async fn create_stateless_and_stream(
    State(server): State<AgentServer>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RequestError> {
    let request = stateless(RunRequest::parse(&body, &headers, (server.shared.now)())?);
    let thread_id = server.world().1.new_id();
    let modes = request.stream_mode.clone();
    let (run_id, line) = Line::open(server, thread_id, request)?;
    Ok(line.stream(run_id, &format!("/runs/{run_id}"), modes))
}

pub(super) async fn join(
    State(server): State<AgentServer>,
    Path((thread_id, run_id)): Path<(String, String)>,
) -> Result<Response, RequestError> {
    let (thread_id, run_id) = (parse_id(&thread_id, "thread")?, parse_id(&run_id, "run")?);
    let (sender, events) = unbounded_channel();
    {
        let (_, mut world) = server.world();
        let answer = answer_now(&world, thread_id, run_id);
        match (answer, world.runs.get_mut(&run_id)) {
            (None, Some(run)) => run.followers.push(sender),
            (answer, _) => drop(sender.send(Event::Ended(wire::bytes(&answer.unwrap_or_default())))),
        }
    }
    Ok(Line { server, thread_id, events }.wait(locations(thread_id, run_id)))
}

/// The headers that tell a waiting caller which run it waits for.
pub(super) fn locations(thread_id: Uuid, run_id: Uuid) -> [(HeaderName, String); 2] {
    let run = format!("/threads/{thread_id}/runs/{run_id}");
    [(LOCATION, format!("{run}/join")), (CONTENT_LOCATION, run)]
}

/// What `join` answers without waiting: for a run that has ended, the thread as it is now, not as the run left it.
fn answer_now(world: &World, thread_id: Uuid, run_id: Uuid) -> Option<Value> {
    let (Some(run), Ok(thread)) = (world.run(thread_id, run_id), world.thread(thread_id)) else {
        return Some(json!({"__error__": wire::run_not_found()}));
    };
    match run.status {
        super::RunStatus::Pending | super::RunStatus::Running => None,
        super::RunStatus::Success | super::RunStatus::Error | super::RunStatus::Interrupted => {
            Some(left_on(thread))
        }
    }
}

fn left_on(thread: &Thread) -> Value {
    match (&thread.fault, &thread.interrupt) {
        (Some(fault), _) if thread.status == ThreadStatus::Error => json!({"__error__": fault.to_json()}),
        (_, Some(interrupt)) => json!({"__interrupt__": [wire::short(interrupt)]}),
        _ => wire::values_or_empty(thread.values.as_ref()),
    }
}

/// One caller who follows one run.
struct Line {
    server: AgentServer,
    thread_id: Uuid,
    events: UnboundedReceiver<Event>,
}

impl Line {
    fn open(server: AgentServer, thread_id: Uuid, request: RunRequest) -> Result<(Uuid, Line), RequestError> {
        let (sender, events) = unbounded_channel();
        let run_id = {
            let (now, mut world) = server.world();
            world.accept(now, thread_id, request, Some(sender))?.run_id
        };
        Ok((run_id, Line { server, thread_id, events }))
    }

    /// The next thing that happens to the run. Nothing runs in the background, so whoever waits also looks at the world
    /// whenever something is due on the thread.
    async fn next(&mut self) -> Option<Event> {
        loop {
            let due = {
                let (_, world) = self.server.world();
                world.next_instant(self.thread_id)
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
        let body = futures_util::stream::unfold(Some(self), async |line| {
            let mut line = line?;
            loop {
                match timeout(KEEP_ALIVE, line.next()).await {
                    Err(_) => return Some((Ok::<_, Infallible>(Bytes::from_static(b"\n")), Some(line))),
                    Ok(Some(Event::Ended(answer))) => return Some((Ok(answer), None)),
                    Ok(Some(Event::Started | Event::Values(_) | Event::Updates(_) | Event::Failed(_))) => {}
                    Ok(None) => return None,
                }
            }
        });
        let headers = AppendHeaders([(CONTENT_TYPE, "application/json")]);
        (AppendHeaders(locations), headers, Body::from_stream(body)).into_response()
    }

    fn stream(self, run_id: Uuid, location: &str, modes: Vec<Value>) -> Response {
        let first = sse("metadata", format!("{{\"run_id\":\"{run_id}\",\"attempt\":1}}").as_bytes());
        let start = Streaming { line: self, first: Some(first), modes };
        let body = futures_util::stream::unfold(start, async |mut streaming| {
            let chunk = streaming.next_chunk().await?;
            Some((Ok::<_, Infallible>(chunk), streaming))
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

struct Streaming {
    line: Line,
    /// The first event, until the run has started.
    first: Option<Bytes>,
    modes: Vec<Value>,
}

impl Streaming {
    async fn next_chunk(&mut self) -> Option<Bytes> {
        loop {
            let chunk = match timeout(KEEP_ALIVE, self.line.next()).await {
                Err(_) => Some(Bytes::from_static(b": heartbeat\r\n\r\n")),
                Ok(Some(Event::Started)) => self.first.take(),
                Ok(Some(Event::Values(values))) => self.wants("values").then(|| sse("values", &values)),
                Ok(Some(Event::Updates(updates))) => self.wants("updates").then(|| sse("updates", &updates)),
                Ok(Some(Event::Failed(fault))) => Some(sse("error", &fault)),
                Ok(Some(Event::Ended(_)) | None) => return None,
            };
            if chunk.is_some() {
                return chunk;
            }
        }
    }

    fn wants(&self, mode: &str) -> bool {
        self.modes.iter().any(|wanted| wanted == mode)
    }
}

/// One server-sent event; the real server ends its lines with CRLF.
fn sse(event: &str, data: &[u8]) -> Bytes {
    Bytes::from([b"event: ", event.as_bytes(), b"\r\ndata: ", data, b"\r\n\r\n"].concat())
}
