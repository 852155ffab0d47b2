//! A cron as the server tells it, key by key in its order.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::domain::cron::{CronSource, OnRunCompleted, Target};
use crate::domain::ids::AssistantId;
use crate::store::StoredCron;
use crate::webhook::redacted;

/// All of it.
pub(super) fn cron(stored: &StoredCron, now: Timestamp) -> Value {
    let cron = &stored.cron;
    let payload = match cron.source {
        CronSource::Api => stored.request.clone(),
        CronSource::File => payload_of_file(stored),
    };
    let said = |key: &str| payload.get(key).cloned().unwrap_or_default();
    let (thread_id, on_run_completed) = match cron.request.target {
        // It may be said there by a change, and means nothing.
        Target::Thread(thread_id) => (Some(thread_id.to_string()), said("on_run_completed")),
        Target::Stateless(OnRunCompleted::Delete) => (None, json!("delete")),
        Target::Stateless(OnRunCompleted::Keep) => (None, json!("keep")),
    };
    let next = cron.calendar.next_after(now).map(|next| time(next.at));
    json!({
        "cron_id": cron.cron_id.to_string(),
        "assistant_id": AssistantId::of_word(&cron.request.assistant_id).to_string(),
        "thread_id": thread_id,
        "user_id": "",
        "end_time": said("end_time"),
        "schedule": said("schedule"),
        "timezone": said("timezone"),
        "payload": payload,
        "next_run_date": next,
        "metadata": stored.metadata(),
        "on_run_completed": on_run_completed,
        "enabled": cron.enabled,
        "created_at": time(stored.created_at),
        "updated_at": time(stored.updated_at),
    })
}

/// Only these keys of it; none: all.
pub(super) fn selected(cron: Value, keys: &[&str]) -> Value {
    match cron {
        Value::Object(all) if !keys.is_empty() => {
            all.into_iter().filter(|(key, _)| keys.contains(&key.as_str())).collect()
        }
        other => other,
    }
}

/// What stands in the file. A token that somebody wrote into a URL there is no business of the API's clients.
fn payload_of_file(stored: &StoredCron) -> Map<String, Value> {
    let mut payload: Map<String, Value> = serde_json::from_str(&stored.body).unwrap_or_default();
    if let Some(Value::String(webhook)) = payload.get_mut("webhook") {
        *webhook = redacted(webhook);
    }
    payload
}

/// As Python writes times in UTC: six digits of a second, or none.
fn time(at: Timestamp) -> String {
    let whole = at.subsec_nanosecond() == 0;
    at.strftime(if whole { "%Y-%m-%dT%H:%M:%S+00:00" } else { "%Y-%m-%dT%H:%M:%S.%6f+00:00" }).to_string()
}
