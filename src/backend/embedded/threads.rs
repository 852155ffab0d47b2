//! The endpoints of threads.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::Value;

use super::request::{RequestError, object, take_object};
use super::{EmbeddedServer, parse_id, wire};

pub(super) async fn show(
    State(server): State<EmbeddedServer>,
    Path(thread_id): Path<String>,
) -> Result<Json<Value>, RequestError> {
    let thread_id = parse_id(&thread_id, "thread")?;
    Ok(Json(wire::thread(server.state().1.thread(thread_id)?)))
}

/// Returns the threads with the given ids, with the selected fields only. A search by anything else gets 404,
/// as on a server without this endpoint.
pub(super) async fn search(
    State(server): State<EmbeddedServer>,
    body: Bytes,
) -> Result<Json<Value>, RequestError> {
    let fields = object(&body)?;
    let Some(Value::Array(ids)) = fields.get("ids") else {
        return Err(RequestError::new(StatusCode::NOT_FOUND, "Not Found"));
    };
    let is_selected = |key: &str| match fields.get("select") {
        Some(Value::Array(select)) => select.iter().any(|name| name == key),
        Some(_) | None => true,
    };
    let (_, state) = server.state();
    let ids = ids.iter().filter_map(|id| id.as_str()?.parse().ok());
    let found = ids.filter_map(|id| state.threads.get(&id)).map(|thread| {
        let mut thread = wire::thread(thread);
        if let Value::Object(fields) = &mut thread {
            fields.retain(|key, _| is_selected(key));
        }
        thread
    });
    Ok(Json(found.collect()))
}

/// Returns the newest state if a run with the given metadata made it. The embedded server keeps no older ones.
pub(super) async fn show_history(
    State(server): State<EmbeddedServer>,
    Path(thread_id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, RequestError> {
    let thread_id = parse_id(&thread_id, "thread")?;
    let wanted = take_object(&mut object(&body)?, "metadata")?;
    let state = wire::state(server.state().1.thread(thread_id)?);
    let is_wanted = wanted.iter().all(|(key, value)| state["metadata"][key] == *value);
    Ok(Json(if is_wanted { Value::Array(vec![state]) } else { Value::Array(Vec::new()) }))
}

pub(super) async fn delete(
    State(server): State<EmbeddedServer>,
    Path(thread_id): Path<String>,
) -> Result<StatusCode, RequestError> {
    let thread_id = parse_id(&thread_id, "thread")?;
    let (_, mut state) = server.state();
    state.thread(thread_id)?;
    state.remove_thread(thread_id);
    Ok(StatusCode::NO_CONTENT)
}
