//! A cron as the server returns it, with its keys in the server's order.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::api::viewer::Viewer;
use crate::api::wire::hide_values_of_definition;
use crate::domain::cron::{CronSource, OnRunCompleted, Target};
use crate::domain::ids::AssistantId;
use crate::store::StoredCron;
use crate::webhook::redacted;

/// Returns all keys of a cron. The values that a file has are the operator's, and not shown to every client.
pub(super) fn cron(stored: &StoredCron, now: Timestamp, viewer: Viewer) -> Value {
    let cron = &stored.cron;
    let payload = match cron.source {
        CronSource::Api => stored.request.clone(),
        CronSource::File => file_payload(stored, viewer),
    };
    let metadata = match viewer {
        Viewer::OfEverything => stored.metadata(),
        Viewer::OfStates => stored.public_metadata(),
    };
    let from_payload = |key: &str| payload.get(key).cloned().unwrap_or_default();
    let (thread_id, on_run_completed) = match cron.request.target {
        // A request may set it, but it has no effect on a cron on a thread.
        Target::Thread(thread_id) => (Some(thread_id.to_string()), from_payload("on_run_completed")),
        Target::Stateless(OnRunCompleted::Delete) => (None, json!("delete")),
        Target::Stateless(OnRunCompleted::Keep) => (None, json!("keep")),
    };
    let next = cron.calendar.next_after(now).map(|next| time(next.at));
    json!({
        "cron_id": cron.cron_id.to_string(),
        "assistant_id": AssistantId::of_word(&cron.request.assistant_id).to_string(),
        "thread_id": thread_id,
        "user_id": "",
        "end_time": from_payload("end_time"),
        "schedule": from_payload("schedule"),
        "timezone": from_payload("timezone"),
        "payload": payload,
        "next_run_date": next,
        "metadata": metadata,
        "on_run_completed": on_run_completed,
        "enabled": cron.enabled,
        "created_at": stamp(stored.created_at),
        "updated_at": stamp(stored.updated_at),
    })
}

/// Returns only these keys of a cron, or all if `keys` is empty.
pub(super) fn selected(cron: Value, keys: &[&str]) -> Value {
    match cron {
        Value::Object(all) if !keys.is_empty() => {
            all.into_iter().filter(|(key, _)| keys.contains(&key.as_str())).collect()
        }
        other => other,
    }
}

/// Returns the fields of the file. Clients of the API must not see a token in its webhook URL.
fn file_payload(stored: &StoredCron, viewer: Viewer) -> Map<String, Value> {
    let mut payload: Map<String, Value> = serde_json::from_str(&stored.body).unwrap_or_default();
    if let Some(Value::String(webhook)) = payload.get_mut("webhook") {
        *webhook = redacted(webhook);
    }
    if viewer == Viewer::OfStates {
        hide_values_of_definition(&mut payload);
    }
    payload
}

/// Formats when something was stored. The server's clock counts microseconds and practically never hits a whole second,
/// so its times always have six digits after the point.
fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string()
}

/// Formats a time as Python does in UTC: with six digits after the second, or none.
fn time(at: Timestamp) -> String {
    let whole = at.subsec_nanosecond() == 0;
    at.strftime(if whole { "%Y-%m-%dT%H:%M:%S+00:00" } else { "%Y-%m-%dT%H:%M:%S.%6f+00:00" }).to_string()
}
