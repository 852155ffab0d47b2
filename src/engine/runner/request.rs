//! Builds the request that starts a run: the cron's request with its placeholders filled in.

use serde_json::{Map, Value, json};

use super::{RunTask, Runner};
use crate::backend::{CRON_KEY, INSTALLATION_KEY, RUN_KEY, StartRequest, run_mark};
use crate::domain::cron::{Request, Target};
use crate::domain::ids::{InstallationId, RunOwner, ThreadId};
use crate::domain::missing_values::Names;
use crate::domain::secrets::Secrets;
use crate::domain::template::{self, PlaceholderSource};
use crate::domain::trace::TraceParent;
use crate::store::{ClaimedRun, PreviousRun, StoreError};

/// Returns the thread that this start of the run is sent to.
pub(super) fn thread_of(claimed: &ClaimedRun) -> ThreadId {
    match claimed.spec.request().target {
        Target::Thread(thread_id) => thread_id,
        Target::Stateless(_) => claimed.run.run_id.thread_of_start(claimed.start_number()),
    }
}

/// Why a request could not be built.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    /// A placeholder cannot be filled in; the text says which one and why.
    #[error("{0}")]
    Placeholder(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Builds the request for the next start of a run.
pub(super) async fn build(task: &RunTask<'_>) -> Result<StartRequest, RequestError> {
    let (runner, claimed) = (task.runner, task.claimed);
    let request = claimed.spec.request();
    let previous = match claimed.run.cron_id().filter(|_| mentions_previous(request)) {
        None => None,
        Some(cron_id) => runner.store.previous_run(cron_id, claimed.run.scheduled_for).await?,
    };
    let fill = |name: &str| value_of(runner, claimed, previous.as_ref(), name);
    let body = fill_body(claimed, runner.store.run_owner(), &fill).map_err(RequestError::Placeholder)?;
    let thread_id = thread_of(claimed);
    let trace = TraceParent::of_start(claimed.run.run_id, thread_id);
    Ok(StartRequest { thread_id, mode: request.mode, body, trace })
}

/// Returns the secrets that are filled into this request; `counts` says which kinds of placeholders hold a
/// secret.
pub(super) fn secrets(
    runner: &Runner,
    claimed: &ClaimedRun,
    counts: fn(PlaceholderSource<'_>) -> bool,
) -> Secrets {
    let mut secrets = Secrets::default();
    // Secrets are never filled into what came through the API.
    if claimed.spec.is_from_file() {
        let request = claimed.spec.request();
        for value in request.payload.values().chain(request.metadata.values()) {
            each_placeholder(value, &mut |placeholder| {
                if placeholder.source().is_ok_and(counts) {
                    let secret = runner.environment.lookup(placeholder.name);
                    secret.into_iter().for_each(|secret| secrets.add(secret.expose()));
                }
            });
        }
    }
    secrets
}

/// Returns the names of the variables and credentials that are filled into this request.
pub(super) fn needed_values(claimed: &ClaimedRun) -> Names {
    let (request, mut names) = (claimed.spec.request(), Names::new());
    if claimed.spec.is_from_file() {
        for value in request.payload.values().chain(request.metadata.values()) {
            each_placeholder(value, &mut |placeholder| match placeholder.source() {
                Ok(PlaceholderSource::Environment(_) | PlaceholderSource::Credential(_)) => {
                    names.insert(placeholder.name.to_owned());
                }
                Ok(PlaceholderSource::Firing(_)) | Err(_) => {}
            });
        }
    }
    names
}

fn each_placeholder(value: &Value, visit: &mut impl FnMut(template::Placeholder<'_>)) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => template::placeholders(text).unwrap_or_default().into_iter().for_each(visit),
        Value::Array(items) => items.iter().for_each(|item| each_placeholder(item, visit)),
        Value::Object(entries) => entries.values().for_each(|item| each_placeholder(item, visit)),
    }
}

fn mentions_previous(request: &Request) -> bool {
    request.payload.values().chain(request.metadata.values()).any(may_mention_previous)
}

fn may_mention_previous(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => template::is_template(text) && text.contains("previous."),
        Value::Array(items) => items.iter().any(may_mention_previous),
        Value::Object(entries) => entries.values().any(may_mention_previous),
    }
}

fn fill_body(
    claimed: &ClaimedRun,
    owner: RunOwner,
    fill: &impl Fn(&str) -> Result<String, String>,
) -> Result<Map<String, Value>, String> {
    let request = claimed.spec.request();
    let mut body = Map::new();
    body.insert("assistant_id".to_owned(), json!(request.assistant_id));
    for (key, value) in &request.payload {
        let filled = template::fill_value(value, fill).map_err(|error| format!("{key}: {error}"))?;
        body.insert(key.clone(), filled);
    }
    let mut metadata = Map::new();
    for (key, value) in &request.metadata {
        let filled = template::fill_value(value, fill).map_err(|error| format!("metadata.{key}: {error}"))?;
        metadata.insert(key.clone(), filled);
    }
    metadata.extend(identity(claimed, owner.installation_id));
    metadata.extend(run_mark(claimed.run.run_id, owner).map(|(key, id)| (key.to_owned(), json!(id))));
    body.insert("metadata".to_owned(), Value::Object(metadata));
    name_cron(claimed, &mut body);
    match request.target {
        // With `reject`, a late copy of the request is harmless: a fence on the thread keeps it from starting.
        Target::Stateless(_) => {
            body.insert("multitask_strategy".to_owned(), json!("reject"));
        }
        Target::Thread(_) => {
            if let Some(strategy) = request.multitask_strategy {
                body.insert("multitask_strategy".to_owned(), json!(strategy.as_str()));
            }
        }
    }
    Ok(body)
}

/// Adds the cron's id to what the graph reads as `config["configurable"]`. The server refuses a request that has
/// both that and a context; such a graph finds the id in the metadata.
fn name_cron(claimed: &ClaimedRun, body: &mut Map<String, Value>) {
    let Some(cron_id) = claimed.run.cron_id() else { return };
    if body.get("context").and_then(Value::as_object).is_some_and(|context| !context.is_empty()) {
        return;
    }
    let mut object = body;
    for key in ["config", "configurable"] {
        let entry = object.entry(key).or_insert(Value::Null);
        if entry.is_null() {
            *entry = json!({});
        }
        let Value::Object(inner) = entry else { return };
        object = inner;
    }
    object.insert(CRON_KEY.to_owned(), json!(cron_id.to_string()));
}

/// Returns the metadata that says whose run it is, on the server and in a webhook about it.
pub(super) fn identity(claimed: &ClaimedRun, installation_id: InstallationId) -> Map<String, Value> {
    let run = &claimed.run;
    let mut metadata = Map::new();
    if let Some(cron) = &run.cron {
        // Servers from 0.17 on keep the former key for their own crons.
        for key in ["cron_id", CRON_KEY] {
            metadata.insert(key.to_owned(), json!(cron.cron_id.to_string()));
        }
        metadata.insert("cron_name".to_owned(), json!(cron.name));
        metadata.insert("scheduled_for".to_owned(), json!(run.scheduled_for.to_string()));
        metadata.insert("agentcron_retry".to_owned(), json!(run.retry));
    }
    metadata.insert(INSTALLATION_KEY.to_owned(), json!(installation_id.to_string()));
    metadata.insert(RUN_KEY.to_owned(), json!(run.run_id.to_string()));
    metadata
}

fn value_of(
    runner: &Runner,
    claimed: &ClaimedRun,
    previous: Option<&PreviousRun>,
    name: &str,
) -> Result<String, String> {
    let none = || "none".to_owned();
    match name {
        "cron.name" => Ok(claimed.run.called().to_owned()),
        "run.id" => Ok(claimed.run.run_id.to_string()),
        "run.scheduled_for" => Ok(claimed.run.scheduled_for.to_string()),
        "previous.status" => Ok(previous.map_or_else(none, |previous| previous.status.clone())),
        "previous.ended_at" => Ok(previous.map_or_else(none, |previous| previous.ended_at.to_string())),
        _ if !claimed.spec.is_from_file() => {
            Err(format!("`{name}` is not filled in requests that were made through the API"))
        }
        _ => runner
            .environment
            .lookup(name)
            .map(|secret| secret.expose().to_owned())
            .map_err(|error| error.to_string()),
    }
}
