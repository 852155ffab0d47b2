//! The verbs of runs that answer at once; those that wait are in `follow.rs`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::CONTENT_LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde_json::{Value, json};
use uuid::Uuid;

use super::request::{AbsentThread, Lifetime, RequestError, RunRequest};
use super::{AgentServer, follow, parse_id, wire};

pub(super) async fn create(
    State(server): State<AgentServer>,
    Path(thread_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RequestError> {
    let request = on_thread(RunRequest::parse(&body, &headers, (server.shared.now)())?);
    let thread_id = Uuid::try_parse(&thread_id).map_err(|_| RequestError::invalid("Invalid thread ID"))?;
    let (location, run) = accept(&server, thread_id, request)?;
    Ok((AppendHeaders([(CONTENT_LOCATION, location)]), Json(run)).into_response())
}

pub(super) async fn create_stateless(
    State(server): State<AgentServer>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RequestError> {
    let request = stateless(RunRequest::parse(&body, &headers, (server.shared.now)())?);
    let thread_id = server.world().1.new_id();
    let (_, run) = accept(&server, thread_id, request)?;
    let location = format!("/runs/{}", run["run_id"].as_str().unwrap_or_default());
    Ok((AppendHeaders([(CONTENT_LOCATION, location)]), Json(run)).into_response())
}

/// A run on a thread that the caller named is kept whatever `on_completion` says.
pub(super) fn on_thread(request: RunRequest) -> RunRequest {
    RunRequest { lifetime: Lifetime::Kept, ..request }
}

/// A stateless run brings its own thread.
pub(super) fn stateless(request: RunRequest) -> RunRequest {
    RunRequest { absent_thread: AbsentThread::Create, ..request }
}

fn accept(
    server: &AgentServer,
    thread_id: Uuid,
    request: RunRequest,
) -> Result<(String, Value), RequestError> {
    let (now, mut world) = server.world();
    let accepted = world.accept(now, thread_id, request, None)?;
    let run = world.run(thread_id, accepted.run_id).map(|run| wire::run(run, &[]));
    Ok((format!("/threads/{thread_id}/runs/{}", accepted.run_id), run.unwrap_or_default()))
}

pub(super) async fn list(
    State(server): State<AgentServer>,
    Path(thread_id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, RequestError> {
    let thread_id = parse_id(&thread_id, "thread")?;
    let page = Page::parse(query.as_deref().unwrap_or_default())?;
    let (_, world) = server.world();
    let mut runs: Vec<_> =
        world.thread(thread_id)?.runs.values().filter_map(|id| world.runs.get(id)).collect();
    runs.retain(|run| page.status.as_deref().is_none_or(|status| status == run.status.as_str()));
    // A delayed run counts as created when it is due, so it comes first.
    runs.sort_by_key(|run| std::cmp::Reverse((run.accepted.created_at, run.accepted.sequence)));
    let shown = runs.into_iter().skip(page.offset).take(page.limit);
    Ok(Json(shown.map(|run| wire::run(run, &page.select)).collect()))
}

struct Page {
    limit: usize,
    offset: usize,
    status: Option<String>,
    select: Vec<String>,
}

impl Page {
    fn parse(query: &str) -> Result<Self, RequestError> {
        let mut page = Page { limit: 10, offset: 0, status: None, select: Vec::new() };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "limit" => page.limit = number(&value)?,
                "offset" => page.offset = number(&value)?,
                "status" => page.status = Some(value.into_owned()),
                "select" => page.select.push(value.into_owned()),
                _ => {}
            }
        }
        let unknown: Vec<_> =
            page.select.iter().filter(|column| !wire::RUN_COLUMNS.contains(&column.as_str())).collect();
        if unknown.is_empty() {
            return Ok(page);
        }
        let quoted = |names: &mut dyn Iterator<Item = &str>| {
            names.map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
        };
        let unknown = quoted(&mut unknown.iter().map(|name| name.as_str()));
        let known = quoted(&mut wire::RUN_COLUMNS.into_iter());
        Err(RequestError::invalid(format!("Invalid select columns: [{unknown}]. Expected: {{{known}}}")))
    }
}

/// A count; negative ones read as 0, as on the real server.
fn number(text: &str) -> Result<usize, RequestError> {
    let number = text.parse::<i64>().map_err(|_| {
        RequestError::new(
            StatusCode::BAD_REQUEST,
            format!("invalid literal for int() with base 10: '{text}'"),
        )
    })?;
    Ok(usize::try_from(number).unwrap_or(0))
}

pub(super) async fn show(
    State(server): State<AgentServer>,
    Path((thread_id, run_id)): Path<(String, String)>,
) -> Result<Json<Value>, RequestError> {
    let (thread_id, run_id) = (parse_id(&thread_id, "thread")?, parse_id(&run_id, "run")?);
    let (_, world) = server.world();
    world.thread(thread_id)?;
    let run =
        world.run(thread_id, run_id).ok_or_else(|| RequestError::new(StatusCode::NOT_FOUND, "Not Found"))?;
    Ok(Json(wire::run(run, &[])))
}

pub(super) async fn delete(
    State(server): State<AgentServer>,
    Path((thread_id, run_id)): Path<(String, String)>,
) -> Result<StatusCode, RequestError> {
    let (thread_id, run_id) = (parse_id(&thread_id, "thread")?, parse_id(&run_id, "run")?);
    let (now, mut world) = server.world();
    if world.run(thread_id, run_id).is_none() {
        return Err(RequestError::new(StatusCode::NOT_FOUND, "Run not found"));
    }
    world.remove_run(run_id);
    world.attend(now, thread_id);
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn cancel(
    State(server): State<AgentServer>,
    Path((thread_id, run_id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, RequestError> {
    let (thread_id, run_id) = (parse_id(&thread_id, "thread")?, parse_id(&run_id, "run")?);
    let (mut waits, mut rolls_back) = (false, false);
    for (name, value) in url::form_urlencoded::parse(query.as_deref().unwrap_or_default().as_bytes()) {
        match name.as_ref() {
            "wait" => waits = value == "true" || value == "1",
            "action" => rolls_back = value == "rollback",
            _ => {}
        }
    }
    let (now, mut world) = server.world();
    if world.run(thread_id, run_id).is_none() {
        return Err(RequestError::new(StatusCode::NOT_FOUND, "No runs found to cancel."));
    }
    if !world.cancel(now, run_id, rolls_back) {
        return Err(RequestError::new(
            StatusCode::NOT_FOUND,
            "No matching runs to cancel. Please verify the thread ID and run IDs are correct, and the runs haven't been deleted or completed.",
        ));
    }
    if !waits {
        return Ok(StatusCode::ACCEPTED.into_response());
    }
    Ok((AppendHeaders(follow::locations(thread_id, run_id)), Json(json!({}))).into_response())
}
