//! Crons as clients of the agent server know them: created, searched, changed and deleted over HTTP, but kept in our store
//! and started by our scheduler. Shapes, statuses and messages are those of the server (`langgraph-api` 0.16.7).

mod messages;
mod permission;
mod request;
mod response;
mod schema;
mod search;
#[cfg(test)]
mod tests;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use tracing::Instrument;

use super::held_body::read_body;
use super::raw_json::count_values;
use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::parsing::parse_beside;
use crate::api::viewer::Viewer;
use crate::backend::{CallError, Twin};
use crate::domain::act::Actor;
use crate::domain::bounds::{CRON_BODY_BYTES_MAX, CRON_VALUES_MAX};
use crate::domain::cron::{CronSource, Target};
use crate::domain::ids::{AssistantId, CronId, ThreadId};
use crate::store::{ApiCronChange, ApiCronRemoval, CronFilter, NewApiCron, StoredCron};
use permission::Permission;
use request::NewCronRequest;

const TOTAL: HeaderName = HeaderName::from_static("x-pagination-total");
const NEXT: HeaderName = HeaderName::from_static("x-pagination-next");

pub(in crate::api) fn router() -> Router<Api> {
    Router::new()
        .route("/runs/crons", post(create))
        .route("/threads/{thread_id}/runs/crons", post(create_on_thread))
        .route("/runs/crons/search", post(search))
        .route("/runs/crons/count", post(count))
        .route("/runs/crons/{cron_id}", get(read).patch(change).delete(remove))
        .method_not_allowed_fallback(async || ErrorResponse::not_allowed("Method Not Allowed"))
}

async fn create(
    State(api): State<Api>,
    permission: Permission,
    by: Actor,
    body: Body,
) -> Result<Json<Value>, ErrorResponse> {
    let body = object(&api, body).await?;
    to_the_end(api, |api| async move { create_cron(&api, &permission, by, body, None).await }).await
}

async fn create_on_thread(
    State(api): State<Api>,
    permission: Permission,
    by: Actor,
    Path(thread_id): Path<String>,
    body: Body,
) -> Result<Json<Value>, ErrorResponse> {
    let thread_id = thread_id.parse().map_err(|_| messages::invalid_id("thread"))?;
    let body = object(&api, body).await?;
    to_the_end(api, |api| async move { create_cron(&api, &permission, by, body, Some(thread_id)).await })
        .await
}

/// Checks everything that can be checked here before it asks the agent server, and asks the agent server before it stores
/// anything, so that a client that gets an error can simply try again.
async fn create_cron(
    api: &Api,
    permission: &Permission,
    by: Actor,
    mut body: Map<String, Value>,
    thread_id: Option<ThreadId>,
) -> Result<Json<Value>, ErrorResponse> {
    schema::check(&body, if thread_id.is_some() { &schema::THREAD_CRON } else { &schema::CRON })?;
    let policy = api.webhooks.now().webhooks.url.clone();
    let new_id = CronId::of_time(api.clock.now(), random());
    let NewCronRequest { request, metadata, .. } = request::new_cron(new_id, body.clone());
    request::definition(new_id, &request, &metadata, thread_id, &policy)?;
    let twin = match permission {
        Permission::All => {
            let assistant_id = assistant(api, &request).await?;
            if let Some(thread_id) = thread_id {
                check_thread(api, thread_id).await?;
            }
            Twin { cron_id: new_id, assistant_id, metadata }
        }
        Permission::AsTheAgentServerSays(twins) => twins.create(thread_id, &body).await?,
    };
    let Twin { cron_id, assistant_id, metadata } = twin;
    if body.contains_key("metadata") {
        body.insert("metadata".to_owned(), Value::Object(metadata.clone()));
    }
    let NewCronRequest { name, mut request, .. } = request::new_cron(cron_id, body);
    request.insert("assistant_id".to_owned(), json!(assistant_id.to_string()));
    let body = request::definition(cron_id, &request, &metadata, thread_id, &policy)?;
    let stored =
        api.store.create_api_cron(api.clock.now(), by, NewApiCron { cron_id, name, body, request }).await?;
    on_change(api, &stored, "cron created through the API");
    Ok(Json(response::cron(&stored, api.clock.now(), Viewer::OfEverything)))
}

async fn read(
    State(api): State<Api>,
    permission: Permission,
    viewer: Viewer,
    Path(cron_id): Path<String>,
) -> Result<Json<Value>, ErrorResponse> {
    let found = api.store.api_cron(id(&cron_id)?).await?;
    let stored = found.ok_or_else(messages::not_found)?;
    permission.see(stored.cron.cron_id).await?;
    Ok(Json(response::cron(&stored, api.clock.now(), viewer)))
}

async fn change(
    State(api): State<Api>,
    permission: Permission,
    viewer: Viewer,
    by: Actor,
    Path(cron_id): Path<String>,
    body: Body,
) -> Result<Json<Value>, ErrorResponse> {
    let (cron_id, patch) = (id(&cron_id)?, object(&api, body).await?);
    to_the_end(api, |api| async move { change_cron(&api, &permission, viewer, by, cron_id, patch).await })
        .await
}

async fn change_cron(
    api: &Api,
    permission: &Permission,
    viewer: Viewer,
    by: Actor,
    cron_id: CronId,
    mut patch: Map<String, Value>,
) -> Result<Json<Value>, ErrorResponse> {
    if patch.is_empty() {
        return Err(ErrorResponse::bad_request("Request body cannot be empty"));
    }
    schema::check(&patch, &schema::PATCH)?;
    let policy = api.webhooks.now().webhooks.url.clone();
    if let Permission::AsTheAgentServerSays(twins) = permission {
        let Some(stored) = api.store.api_cron(cron_id).await? else { return Err(cron_not_found(cron_id)) };
        // A change that we refuse must not reach the twin.
        if twins.see(cron_id).await.is_ok() {
            request::changed_cron(&stored, &patch, &policy)?;
        }
        let twin = twins.change(cron_id, &patch).await?;
        if patch.contains_key("metadata") {
            patch.insert("metadata".to_owned(), Value::Object(twin.metadata));
        }
    }
    let change = move |stored: &StoredCron| match (stored.cron.source, &stored.location) {
        (CronSource::File, location) => {
            Err(messages::defined_in_file(&stored.cron.name, location.as_deref(), viewer))
        }
        (CronSource::Api, _) => request::changed_cron(stored, &patch, &policy),
    };
    let stored = match api.store.change_api_cron(api.clock.now(), by, cron_id, change).await? {
        ApiCronChange::Changed(stored) => stored,
        ApiCronChange::Refused(refusal) => return Err(refusal),
        ApiCronChange::NotFound => return Err(cron_not_found(cron_id)),
    };
    on_change(api, &stored, "cron changed through the API");
    Ok(Json(response::cron(&stored, api.clock.now(), Viewer::OfEverything)))
}

async fn remove(
    State(api): State<Api>,
    permission: Permission,
    viewer: Viewer,
    by: Actor,
    Path(cron_id): Path<String>,
) -> Result<StatusCode, ErrorResponse> {
    let cron_id = id(&cron_id)?;
    to_the_end(api, |api| async move { remove_cron(&api, &permission, viewer, by, cron_id).await }).await
}

async fn remove_cron(
    api: &Api,
    permission: &Permission,
    viewer: Viewer,
    by: Actor,
    cron_id: CronId,
) -> Result<StatusCode, ErrorResponse> {
    // Otherwise it may be one of the agent server's own, which is no business of ours.
    if api.store.api_cron(cron_id).await?.is_none() {
        return Err(messages::not_found());
    }
    permission.delete(cron_id).await?;
    match api.store.remove_api_cron(api.clock.now(), by, cron_id).await? {
        ApiCronRemoval::NotFound => Err(messages::not_found()),
        ApiCronRemoval::FromFile { location } => {
            Err(messages::defined_in_file(&cron_id.to_string(), Some(&location), viewer))
        }
        ApiCronRemoval::Removed => {
            wake_loops(api);
            tracing::info!(%cron_id, "cron deleted through the API");
            Ok(StatusCode::NO_CONTENT)
        }
    }
}

async fn search(
    State(api): State<Api>,
    permission: Permission,
    viewer: Viewer,
    body: Body,
) -> Result<(HeaderMap, Json<Value>), ErrorResponse> {
    let body = object(&api, body).await?;
    schema::check(&body, &schema::SEARCH)?;
    let mut query = search::search(&body)?;
    query.filter.ids = permission.visible().await?;
    query.filter.searches_file_values = viewer == Viewer::OfEverything;
    let now = api.clock.now();
    let (offset, select) = (query.offset, search::select(&body));
    let page = api.store.search_crons(now, query).await?;
    let end = offset + page.crons.len();
    let mut headers = HeaderMap::new();
    // The server does not count them all either: its total is what was seen so far, plus one if there is more.
    headers.insert(TOTAL, HeaderValue::from(end + usize::from(page.has_more)));
    if page.has_more {
        headers.insert(NEXT, HeaderValue::from(end));
    }
    let crons =
        page.crons.iter().map(|stored| response::selected(response::cron(stored, now, viewer), &select));
    Ok((headers, Json(crons.collect())))
}

async fn count(
    State(api): State<Api>,
    permission: Permission,
    viewer: Viewer,
    body: Body,
) -> Result<Json<Value>, ErrorResponse> {
    let body = object(&api, body).await?;
    schema::check(&body, &schema::COUNT)?;
    let filter = CronFilter {
        ids: permission.visible().await?,
        searches_file_values: viewer == Viewer::OfEverything,
        ..search::count(&body)?
    };
    Ok(Json(json!(api.store.count_crons(filter).await?)))
}

/// Does it all, whether or not the client stays: a cron and its twin on the agent server belong together.
async fn to_the_end<T: Send + 'static, Work>(
    api: Api,
    work: impl FnOnce(Api) -> Work,
) -> Result<T, ErrorResponse>
where
    Work: Future<Output = Result<T, ErrorResponse>> + Send + 'static,
{
    let to_finish = api.to_finish.clone();
    let work = to_finish.spawn(work(api).in_current_span()).await;
    work.unwrap_or_else(|_| Err(ErrorResponse::failed("this request was abandoned")))
}

fn cron_not_found(cron_id: CronId) -> ErrorResponse {
    ErrorResponse::not_found(format!("Cron '{cron_id}' not found"))
}

/// Wakes the loops that work with crons. The runner is one of them: what was due until now may have to be started. So is
/// the courier: the webhook of an occurrence whose retry is dropped is due.
fn wake_loops(api: &Api) {
    api.wakes.runner.notify_one();
    api.wakes.runner.notify_one();
    api.wakes.courier.notify_one();
}

fn on_change(api: &Api, stored: &StoredCron, event: &str) {
    wake_loops(api);
    let on_thread = matches!(stored.cron.request.target, Target::Thread(_));
    tracing::info!(cron = stored.cron.name, cron_id = %stored.cron.cron_id, on_thread, "{event}");
}

/// Asks the agent server for the id of the assistant, which may be given by the name of a graph.
async fn assistant(api: &Api, request: &Map<String, Value>) -> Result<AssistantId, ErrorResponse> {
    let name_or_id = request.get("assistant_id").and_then(Value::as_str).unwrap_or_default();
    match api.backend.assistant(name_or_id).await {
        Ok(Some(assistant_id)) => Ok(assistant_id),
        Ok(None) => Err(ErrorResponse::not_found(format!(
            "Assistant '{}' not found",
            messages::shortened(name_or_id)
        ))),
        Err(error) => Err(messages::server_unclear("whether there is such an assistant", &error)),
    }
}

async fn check_thread(api: &Api, thread_id: ThreadId) -> Result<(), ErrorResponse> {
    match api.backend.thread(thread_id).await {
        Ok(_) => Ok(()),
        Err(CallError::NotFound(_)) => Err(messages::thread_not_found(thread_id)),
        // The server does not serve threads (`http.disable_threads`). Whether there is one, the start shows.
        Err(CallError::PlainNotFound(_)) => Ok(()),
        Err(error) => Err(messages::server_unclear("whether there is such a thread", &error)),
    }
}

fn id(text: &str) -> Result<CronId, ErrorResponse> {
    text.parse().map_err(|_| messages::invalid_id("cron"))
}

/// Parses the body as an object; the JSON parser limits its depth.
async fn object(api: &Api, body: Body) -> Result<Map<String, Value>, ErrorResponse> {
    let held = read_body(&api.held_bodies, body, CRON_BODY_BYTES_MAX).await?;
    let bytes = held.bytes.len();
    let parse = move || match count_values(&held.bytes) > CRON_VALUES_MAX {
        true => Err(ErrorResponse::too_large(format!("the body has more than {CRON_VALUES_MAX} values"))),
        false => Ok(serde_json::from_slice(&held.bytes)),
    };
    match parse_beside(bytes, parse).await?? {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(schema::not_an_object(&other)),
        Err(_) => Err(ErrorResponse::invalid("Invalid JSON in request body")),
    }
}

/// Returns random bytes, by which the ids of two crons differ even if they are created in the same millisecond.
fn random() -> [u8; 10] {
    // The first six and the last seven bytes of a random UUID are random in every bit.
    let [a, b, c, d, e, .., v, w, x, y, z] = uuid::Uuid::new_v4().into_bytes();
    [a, b, c, d, e, v, w, x, y, z]
}
