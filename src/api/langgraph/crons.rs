//! Crons as the agent server's clients know them: made, found, changed and deleted over HTTP, kept in our store and
//! fired by our scheduler. Shapes, statuses and words are those of the server (`langgraph-api` 0.16.7).

mod request;
mod schema;
mod search;
mod shapes;
#[cfg(test)]
mod tests;
mod words;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::backend::CallError;
use crate::domain::bounds::CRON_BODY_BYTES_MAX;
use crate::domain::cron::{CronSource, Target};
use crate::domain::ids::{AssistantId, CronId, ThreadId};
use crate::store::{ApiCronChange, ApiCronRemoval, NewApiCron, StoredCron};
use request::Made;

const TOTAL: HeaderName = HeaderName::from_static("x-pagination-total");
const NEXT: HeaderName = HeaderName::from_static("x-pagination-next");

/// Their paths.
pub(in crate::api) fn router() -> Router<Api> {
    Router::new()
        .route("/runs/crons", post(create))
        .route("/threads/{thread_id}/runs/crons", post(create_on_thread))
        .route("/runs/crons/search", post(search))
        .route("/runs/crons/count", post(count))
        .route("/runs/crons/{cron_id}", get(read).patch(change).delete(remove))
        .method_not_allowed_fallback(async || ErrorResponse::NotAllowed)
        .layer(DefaultBodyLimit::max(CRON_BODY_BYTES_MAX))
}

type Body = Result<Bytes, BytesRejection>;
type Answer<T> = Result<T, ErrorResponse>;

async fn create(State(api): State<Api>, body: Body) -> Answer<Json<Value>> {
    make(&api, object(body)?, None).await
}

async fn create_on_thread(
    State(api): State<Api>,
    Path(thread_id): Path<String>,
    body: Body,
) -> Answer<Json<Value>> {
    let thread_id = thread_id.parse().map_err(|_| words::no_id("thread"))?;
    make(&api, object(body)?, Some(thread_id)).await
}

/// What can be judged here is judged before the agent server is asked, and it is asked before anything is
/// stored: a client that hears of no assistant, or of no answer, can simply try again.
async fn make(api: &Api, body: Map<String, Value>, thread_id: Option<ThreadId>) -> Answer<Json<Value>> {
    schema::check(&body, if thread_id.is_some() { &schema::THREAD_CRON } else { &schema::CRON })?;
    let cron_id = CronId::of_time(api.clock.now(), random());
    let Made { name, mut request, metadata } = request::made(cron_id, body);
    let policy = api.webhooks.now().webhooks.url.clone();
    request::definition(cron_id, &request, &metadata, thread_id, &policy)?;
    let assistant_id = assistant(api, &request).await?;
    request.insert("assistant_id".to_owned(), json!(assistant_id.to_string()));
    if let Some(thread_id) = thread_id {
        look_for_thread(api, thread_id).await?;
    }
    let body = request::definition(cron_id, &request, &metadata, thread_id, &policy)?;
    let stored =
        api.store.create_api_cron(api.clock.now(), NewApiCron { cron_id, name, body, request }).await?;
    changed(api, &stored, "made through the API");
    Ok(Json(shapes::cron(&stored, api.clock.now())))
}

async fn read(State(api): State<Api>, Path(cron_id): Path<String>) -> Answer<Json<Value>> {
    let found = api.store.api_cron(id(&cron_id)?).await?;
    found.map(|stored| Json(shapes::cron(&stored, api.clock.now()))).ok_or_else(words::not_found)
}

async fn change(State(api): State<Api>, Path(cron_id): Path<String>, body: Body) -> Answer<Json<Value>> {
    let cron_id = id(&cron_id)?;
    let patch = object(body)?;
    if patch.is_empty() {
        return Err(ErrorResponse::BadRequest("Request body cannot be empty".to_owned()));
    }
    schema::check(&patch, &schema::PATCH)?;
    let policy = api.webhooks.now().webhooks.url.clone();
    let change = move |stored: &StoredCron| match (stored.cron.source, &stored.location) {
        (CronSource::File, location) => Err(words::of_file(&stored.cron.name, location.as_deref())),
        (CronSource::Api, _) => request::changed(stored, &patch, &policy),
    };
    let stored = match api.store.change_api_cron(api.clock.now(), cron_id, change).await? {
        ApiCronChange::Changed(stored) => stored,
        ApiCronChange::Refused(refusal) => return Err(refusal),
        ApiCronChange::NotFound => {
            return Err(ErrorResponse::NotFound(format!("Cron '{cron_id}' not found")));
        }
    };
    changed(&api, &stored, "changed through the API");
    Ok(Json(shapes::cron(&stored, api.clock.now())))
}

async fn remove(State(api): State<Api>, Path(cron_id): Path<String>) -> Answer<StatusCode> {
    let cron_id = id(&cron_id)?;
    match api.store.remove_api_cron(api.clock.now(), cron_id).await? {
        ApiCronRemoval::NotFound => Err(words::not_found()),
        ApiCronRemoval::FromFile { location } => Err(words::of_file(&cron_id.to_string(), Some(&location))),
        ApiCronRemoval::Removed => {
            api.wakes.scheduler.notify_one();
            api.wakes.runner.notify_one();
            tracing::info!(%cron_id, "deleted through the API");
            Ok(StatusCode::NO_CONTENT)
        }
    }
}

async fn search(State(api): State<Api>, body: Body) -> Answer<(HeaderMap, Json<Value>)> {
    let body = object(body)?;
    schema::check(&body, &schema::SEARCH)?;
    let asked = search::search(&body)?;
    let now = api.clock.now();
    let (offset, select) = (asked.offset, search::select(&body));
    let page = api.store.search_crons(now, asked).await?;
    let end = offset + page.crons.len();
    let mut headers = HeaderMap::new();
    // As the server counts: what was seen until here, and one if there is more.
    headers.insert(TOTAL, HeaderValue::from(end + usize::from(page.has_more)));
    if page.has_more {
        headers.insert(NEXT, HeaderValue::from(end));
    }
    let crons = page.crons.iter().map(|stored| shapes::selected(shapes::cron(stored, now), &select));
    Ok((headers, Json(crons.collect())))
}

async fn count(State(api): State<Api>, body: Body) -> Answer<Json<Value>> {
    let body = object(body)?;
    schema::check(&body, &schema::COUNT)?;
    Ok(Json(json!(api.store.count_crons(search::count(&body)?).await?)))
}

/// Lets those look that go by the crons. What the old definition still owed may have to be started.
fn changed(api: &Api, stored: &StoredCron, how: &str) {
    api.wakes.scheduler.notify_one();
    api.wakes.runner.notify_one();
    let on_thread = matches!(stored.cron.request.target, Target::Thread(_));
    tracing::info!(cron = stored.cron.name, cron_id = %stored.cron.cron_id, on_thread, "{how}");
}

async fn assistant(api: &Api, request: &Map<String, Value>) -> Answer<AssistantId> {
    let word = request.get("assistant_id").and_then(Value::as_str).unwrap_or_default();
    match api.backend.assistant(word).await {
        Ok(Some(assistant_id)) => Ok(assistant_id),
        Ok(None) => Err(ErrorResponse::NotFound(format!("Assistant '{}' not found", words::cut(word)))),
        Err(error) => Err(words::not_told("whether there is such an assistant", &error)),
    }
}

async fn look_for_thread(api: &Api, thread_id: ThreadId) -> Answer<()> {
    match api.backend.thread(thread_id).await {
        Ok(_) => Ok(()),
        Err(CallError::NotFound(_)) => Err(words::no_thread(thread_id)),
        Err(error) => Err(words::not_told("whether there is such a thread", &error)),
    }
}

fn id(text: &str) -> Answer<CronId> {
    text.parse().map_err(|_| words::no_id("cron"))
}

/// The body as an object; its JSON reader has a bound for its depth.
fn object(body: Body) -> Answer<Map<String, Value>> {
    let body = body.map_err(|_| {
        let most = CRON_BODY_BYTES_MAX >> 20;
        ErrorResponse::TooLarge(format!("the body is longer than {most} MiB, or broke off"))
    })?;
    match serde_json::from_slice(&body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(schema::not_an_object(&other)),
        Err(_) => Err(ErrorResponse::Invalid("Invalid JSON in request body".to_owned())),
    }
}

/// What sets apart two crons that are made in the same millisecond.
fn random() -> [u8; 10] {
    // Six bytes at the beginning of a random UUID and seven at its end are random throughout.
    let [a, b, c, d, e, .., v, w, x, y, z] = uuid::Uuid::new_v4().into_bytes();
    [a, b, c, d, e, v, w, x, y, z]
}
