//! Search, count and select requests, once their shape is known to be right.

use serde_json::{Map, Value};

use super::messages;
use super::schema::{KEYS, whole};
use crate::api::error_response::ErrorResponse;
use crate::domain::bounds::SEARCH_LIMIT_MAX;
use crate::store::{CronFilter, CronOrder, CronSearch, Direction};

const LIMIT_DEFAULT: usize = 10;

pub(super) fn search(body: &Map<String, Value>) -> Result<CronSearch, ErrorResponse> {
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    let number = |key: &str| body.get(key).and_then(whole).and_then(|number| usize::try_from(number).ok());
    let enabled = body.get("enabled").and_then(Value::as_bool);
    Ok(CronSearch {
        filter: CronFilter { enabled, ..count(body)? },
        order: text("sort_by").and_then(|word| word.parse().ok()).unwrap_or(CronOrder::CreatedAt),
        direction: text("sort_order").and_then(|word| word.parse().ok()).unwrap_or(Direction::Descending),
        offset: number("offset").unwrap_or(0),
        limit: number("limit").unwrap_or(LIMIT_DEFAULT).min(SEARCH_LIMIT_MAX),
    })
}

/// Returns the filter of a count. As on the server, `enabled` is not part of it.
pub(super) fn count(body: &Map<String, Value>) -> Result<CronFilter, ErrorResponse> {
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    let assistant_id =
        text("assistant_id").map(|id| id.parse().map_err(|_| messages::invalid_id("assistant")));
    let thread_id = text("thread_id").map(|id| id.parse().map_err(|_| messages::invalid_id("thread")));
    Ok(CronFilter {
        assistant_id: assistant_id.transpose()?,
        thread_id: thread_id.transpose()?,
        enabled: None,
        metadata: body.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default(),
        searches_file_values: false,
        ids: None,
    })
}

/// Returns the keys that the response has for each cron; empty means all.
pub(super) fn select(body: &Map<String, Value>) -> Vec<&'static str> {
    let named = body.get("select").and_then(Value::as_array).into_iter().flatten();
    let named: Vec<&str> = named.filter_map(Value::as_str).collect();
    KEYS.iter().copied().filter(|key| named.contains(key)).collect()
}
