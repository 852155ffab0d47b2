//! Times in JSON.

use jiff::Timestamp;
use serde_json::{Value, json};

/// Returns the time in RFC 3339 in UTC, or null.
pub(in crate::cli) fn json_time(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| json!(at.to_string()))
}
