//! The endpoints of runs that respond at once; those that wait are in `follow.rs`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::CONTENT_LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde_json::{Value, json};
use uuid::Uuid;

use super::request::{NewRun, RequestError};
use super::{EmbeddedServer, follow, parse_id, wire};

pub(super) async fn create(
    State(server): State<EmbeddedServer>,
    Path(thread_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RequestError> {
    let request = NewRun::parse(&body, &headers, (server.shared.now)())?;
    let thread_id = Uuid::try_parse(&thread_id).map_err(|_| RequestError::invalid("Invalid thread ID"))?;
    let (now, mut state) = server.state();
    let run_id = state.accept(now, thread_id, request, None)?.run_id;
    let run = state.run(thread_id, run_id).map(|run| wire::run(run, &[])).unwrap_or_default();
    let location = format!("/threads/{thread_id}/runs/{run_id}");
    Ok((AppendHeaders([(CONTENT_LOCATION, location)]), Json(run)).into_response())
}

pub(super) async fn list(
    State(server): State<EmbeddedServer>,
    Path(thread_id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, RequestError> {
    let thread_id = parse_id(&thread_id, "thread")?;
    let wanted = ListQuery::parse(query.as_deref().unwrap_or_default())?;
    let (_, state) = server.state();
    let mut runs: Vec<_> =
        state.thread(thread_id)?.runs.values().filter_map(|id| state.runs.get(id)).collect();
    // A delayed run counts as created at the time when it is due, so it comes first.
    runs.sort_by_key(|run| std::cmp::Reverse((run.accepted.created_at, run.accepted.sequence)));
    let shown = runs.into_iter().skip(wanted.offset).take(wanted.limit);
    Ok(Json(shown.map(|run| wire::run(run, &wanted.select)).collect()))
}

struct ListQuery {
    limit: usize,
    offset: usize,
    select: Vec<String>,
}

impl ListQuery {
    fn parse(query: &str) -> Result<Self, RequestError> {
        let mut wanted = ListQuery { limit: 10, offset: 0, select: Vec::new() };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "limit" => wanted.limit = number(&value)?,
                "offset" => wanted.offset = number(&value)?,
                "select" => wanted.select.push(value.into_owned()),
                _ => {}
            }
        }
        Ok(wanted)
    }
}

/// Parses a count. A negative one reads as 0, as on the real server.
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
    State(server): State<EmbeddedServer>,
    Path((thread_id, run_id)): Path<(String, String)>,
) -> Result<Json<Value>, RequestError> {
    let (thread_id, run_id) = (parse_id(&thread_id, "thread")?, parse_id(&run_id, "run")?);
    let (_, state) = server.state();
    state.thread(thread_id)?;
    let run =
        state.run(thread_id, run_id).ok_or_else(|| RequestError::new(StatusCode::NOT_FOUND, "Not Found"))?;
    Ok(Json(wire::run(run, &[])))
}

pub(super) async fn delete(
    State(server): State<EmbeddedServer>,
    Path((thread_id, run_id)): Path<(String, String)>,
) -> Result<StatusCode, RequestError> {
    let (thread_id, run_id) = (parse_id(&thread_id, "thread")?, parse_id(&run_id, "run")?);
    let (now, mut state) = server.state();
    if state.run(thread_id, run_id).is_none() {
        return Err(RequestError::new(StatusCode::NOT_FOUND, "Run not found"));
    }
    state.remove_run(run_id);
    state.advance_thread(now, thread_id);
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn cancel(
    State(server): State<EmbeddedServer>,
    Path((thread_id, run_id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, RequestError> {
    let (thread_id, run_id) = (parse_id(&thread_id, "thread")?, parse_id(&run_id, "run")?);
    let mut asked = url::form_urlencoded::parse(query.as_deref().unwrap_or_default().as_bytes());
    let waits = asked.any(|(name, value)| name == "wait" && (value == "true" || value == "1"));
    let (now, mut state) = server.state();
    if state.run(thread_id, run_id).is_none() {
        return Err(RequestError::new(StatusCode::NOT_FOUND, "No runs found to cancel."));
    }
    if !state.cancel(now, run_id) {
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
