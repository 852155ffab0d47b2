//! Turns a client's request into the definition that is stored. The request is stored as well, because responses return
//! it as the server does; the definition is always derived from the request, so the two cannot drift apart.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::messages;
use crate::api::error_response::ErrorResponse;
use crate::api::langgraph::webhook_urls;
use crate::config::{CronFields, CronIdentity, FieldError, is_cron_name, validate_cron_as};
use crate::domain::calendar::Calendar;
use crate::domain::cron::{CronSource, Target};
use crate::domain::ids::{CronId, InstallationId, ThreadId};
use crate::domain::url_policy::UrlPolicy;
use crate::store::{ChangedCron, StoredCron};

/// Keys that the server removes from a cron's metadata.
const REMOVED_FROM_METADATA: [&str; 4] = ["assistant_id", "cron_id", "run_id", "thread_id"];
/// Keys that would change which cron it is; they are ignored.
const IDENTITY_KEYS: [&str; 3] = ["thread", "thread_id", "was"];
/// How long history is kept is not for clients to say; these are ignored as well.
const KEYS_OF_OPERATOR: [&str; 5] = ["keep", "keep_failures", "keep_values", "keep_runs_max", "redact"];

/// A request for a new cron.
pub(super) struct NewCronRequest {
    /// The name in its metadata, if that can be a name.
    pub(super) name: Option<String>,
    /// The request as responses return it.
    pub(super) request: Map<String, Value>,
    /// The metadata of each of its runs.
    pub(super) metadata: Map<String, Value>,
}

/// Reads a body whose shape is known to be right.
pub(super) fn new_cron(cron_id: CronId, mut request: Map<String, Value>) -> NewCronRequest {
    clean(cron_id, &mut request);
    if !request.contains_key("config") {
        request.insert("config".to_owned(), json!({ "configurable": { "cron_id": cron_id.to_string() } }));
    }
    let metadata = metadata_of(&request);
    let name = metadata.get("name").and_then(Value::as_str);
    // A name that is an id could be taken for another cron.
    let name = name.filter(|name| is_cron_name(name) && name.parse::<CronId>().is_err());
    NewCronRequest { name: name.map(str::to_owned), request, metadata }
}

/// Applies a change to a cron: metadata is merged key by key, and everything else is replaced.
pub(super) fn changed_cron(
    stored: &StoredCron,
    patch: &Map<String, Value>,
    policy: &UrlPolicy,
) -> Result<ChangedCron, ErrorResponse> {
    let cron = &stored.cron;
    let mut patch = patch.clone();
    // The server silently keeps the assistant as well.
    patch.remove("assistant_id");
    clean(cron.cron_id, &mut patch);
    let mut metadata = cron.request.metadata.clone();
    metadata.extend(metadata_of(&patch));
    let mut request = stored.request.clone();
    request.extend(patch);
    let thread_id = match cron.request.target {
        Target::Thread(thread_id) => Some(thread_id),
        Target::Stateless(_) => None,
    };
    let body = definition(cron.cron_id, &request, &metadata, thread_id, policy)?;
    Ok(ChangedCron { body, request })
}

fn metadata_of(request: &Map<String, Value>) -> Map<String, Value> {
    request.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Cleans a request as the server does: removes reserved keys from the metadata and adds the cron's id to the config.
fn clean(cron_id: CronId, request: &mut Map<String, Value>) {
    if let Some(Value::Object(metadata)) = request.get_mut("metadata") {
        metadata.retain(|key, _| !REMOVED_FROM_METADATA.contains(&key.as_str()));
    }
    if let Some(Value::Object(config)) = request.get_mut("config") {
        let configurable = config.entry("configurable").or_insert_with(|| json!({}));
        if let Value::Object(configurable) = configurable {
            configurable.insert("cron_id".to_owned(), json!(cron_id.to_string()));
        }
    }
}

/// Returns the definition that follows from a request, as JSON, or what is wrong with the request.
pub(super) fn definition(
    cron_id: CronId,
    request: &Map<String, Value>,
    metadata: &Map<String, Value>,
    thread_id: Option<ThreadId>,
    policy: &UrlPolicy,
) -> Result<String, ErrorResponse> {
    let mut known = request.clone();
    known.retain(|key, value| {
        CronFields::NAMES.contains(&key.as_str())
            && !IDENTITY_KEYS.contains(&key.as_str())
            && !KEYS_OF_OPERATOR.contains(&key.as_str())
            && !value.is_null()
    });
    match thread_id {
        Some(thread_id) => {
            known.insert("thread_id".to_owned(), json!(thread_id.to_string()));
            known.remove("on_run_completed");
        }
        // Each run has a thread of its own, which is never busy, so the strategy has no effect.
        None => drop(known.remove("multitask_strategy")),
    }
    if let Some(Value::String(end_time)) = known.get_mut("end_time") {
        *end_time = instant(end_time)?.to_string();
    }
    known.insert("metadata".to_owned(), Value::Object(metadata.clone()));
    let fields = fields(known)?;
    check_calendar(&fields)?;
    if let Some(webhook) = &fields.webhook {
        webhook_urls::check(policy, webhook)?;
    }
    let name = cron_id.to_string();
    // A request names its thread by id, so nothing in it depends on the installation.
    let installation = InstallationId::default();
    let identity = CronIdentity { installation, cron_id, name: &name, source: CronSource::Api };
    validate_cron_as(identity, &fields).map_err(|mistakes| invalid_fields(&mistakes))?;
    serde_json::to_string(&fields).map_err(|error| ErrorResponse::failed(error.to_string()))
}

/// Parses the fields. If that fails, parses them one by one, to name the one that is wrong.
fn fields(known: Map<String, Value>) -> Result<CronFields, ErrorResponse> {
    let known = Value::Object(known);
    serde_json::from_value(known.clone()).map_err(|error| {
        let message = known.as_object().into_iter().flatten().find_map(|(key, value)| {
            let alone = Value::Object(Map::from_iter([(key.clone(), value.clone())]));
            let error = serde_json::from_value::<CronFields>(alone).err()?;
            Some(format!("{key}: {error}"))
        });
        ErrorResponse::invalid(messages::shortened(&message.unwrap_or_else(|| error.to_string())))
    })
}

fn check_calendar(fields: &CronFields) -> Result<(), ErrorResponse> {
    let Some(schedule) = &fields.schedule else { return Ok(()) };
    let timezone = fields.timezone.as_deref().unwrap_or("UTC");
    // The time zone is checked first, as on the server.
    for (schedule, timezone) in [("0 0 * * *", timezone), (schedule.as_str(), timezone)] {
        Calendar::parse(schedule, timezone, "any")
            .map_err(|error| messages::invalid_calendar(&error, schedule, timezone))?;
    }
    Ok(())
}

/// Parses an end time. The server accepts any text and fails later. Python clients write times in UTC without an offset,
/// and dates without a time.
fn instant(text: &str) -> Result<Timestamp, ErrorResponse> {
    let in_utc = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    text.parse().ok().or_else(in_utc).ok_or_else(|| {
        let expected = "expected a time such as 2027-01-01T00:00:00Z";
        ErrorResponse::invalid(format!("Invalid end_time: '{}', {expected}", messages::shortened(text)))
    })
}

/// Joins all mistakes into one message.
fn invalid_fields(mistakes: &[FieldError]) -> ErrorResponse {
    let messages = mistakes.iter().map(|mistake| match mistake.field {
        "webhook" => format!("Webhook URL not allowed: {}", mistake.message),
        _ => mistake.to_string(),
    });
    ErrorResponse::invalid(messages.collect::<Vec<_>>().join("; "))
}
