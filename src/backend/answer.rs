//! Reading answers: take only what is needed, tolerate what is absent, keep a few words of what went wrong.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;

use crate::domain::bounds::DETAIL_CHARS_MAX;
use crate::domain::ids::{BackendRunId, ThreadId};
use crate::domain::secrets::Secrets;
use crate::transport::TransportError;

/// A whole answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// What it may quote and nobody else should read.
    pub(super) secrets: Secrets,
}

impl Answer {
    /// What the server said, with a colon before it, or nothing.
    pub(super) fn words(&self) -> String {
        words(&self.body, &self.secrets)
    }
}

/// `{"detail": …}` if there is one, else the beginning of the text; with a colon before it.
pub(super) fn words(body: &[u8], secrets: &Secrets) -> String {
    let detail = serde_json::from_slice::<Value>(body).ok().and_then(|value| match &value["detail"] {
        Value::String(detail) => Some(detail.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    });
    let text = detail.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    // Before it is cut, and before its spaces are.
    let text = secrets.redact(&text);
    let one_line: String =
        text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(DETAIL_CHARS_MAX).collect();
    if one_line.is_empty() { String::new() } else { format!(": {one_line}") }
}

/// A header that no log shows.
pub(super) fn sensitive(text: &str) -> Result<HeaderValue, TransportError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        TransportError::NotSent("backend.api_key has characters that no header may have".to_owned())
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// `Retry-After` in seconds; a date, or nonsense, counts as none (RFC 9110 §10.2.3).
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse::<u64>().ok().map(Duration::from_secs)
}

/// The run's id in `Content-Location: /threads/{thread}/runs/{run}`, or `/runs/{run}`.
pub fn located_run(headers: &HeaderMap) -> Option<BackendRunId> {
    located(headers, "/runs/")
}

/// The thread's id in `Content-Location: /threads/{thread}/runs/{run}`.
pub fn located_thread(headers: &HeaderMap) -> Option<ThreadId> {
    located(headers, "/threads/")
}

fn located<T: std::str::FromStr>(headers: &HeaderMap, before: &str) -> Option<T> {
    let location = headers.get(http::header::CONTENT_LOCATION)?.to_str().ok()?;
    let (_, rest) = location.split_once(before)?;
    rest.split(['/', '?']).next()?.parse().ok()
}
