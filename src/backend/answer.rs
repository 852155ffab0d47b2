//! Reads answers: takes only what is needed, tolerates what is absent, and keeps a short text of what went
//! wrong.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::errors::{CallError, Denial};
use crate::domain::bounds::DETAIL_CHARS_MAX;
use crate::domain::ids::{BackendRunId, ThreadId};
use crate::domain::secrets::Secrets;

/// An answer that has been read to its end.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The secrets that the answer may quote; they are redacted from its texts.
    pub(super) secrets: Secrets,
}

impl Answer {
    /// Returns the server's own message after a colon and a space, or an empty text if there is none.
    pub(super) fn message(&self) -> String {
        message(&self.body, &self.secrets)
    }

    /// Returns the denial that this answer is, if the server refuses us.
    pub(super) fn denial(&self) -> Option<Denial> {
        let is_denial = matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        is_denial.then(|| Denial { code: self.status.as_u16(), detail: self.message() })
    }

    /// Returns what an answer that is not a success means for a call.
    pub(super) fn failure(&self) -> CallError {
        match (self.denial(), self.status) {
            (Some(denial), _) => CallError::Denied(denial),
            (None, StatusCode::NOT_FOUND) => CallError::NotFound(self.message()),
            (None, status) => CallError::Status { code: status.as_u16(), detail: self.message() },
        }
    }
}

/// Returns the `detail` of a JSON body, or else the beginning of the text, after a colon and a space; an
/// empty text if the body is empty.
pub(super) fn message(body: &[u8], secrets: &Secrets) -> String {
    let detail = serde_json::from_slice::<Value>(body).ok().and_then(|value| match &value["detail"] {
        Value::String(detail) => Some(detail.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    });
    let text = detail.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    // Before it is shortened and its spaces are collapsed: a secret must still be found as it was sent.
    let text = secrets.redact(&text);
    let one_line: String =
        text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(DETAIL_CHARS_MAX).collect();
    if one_line.is_empty() { String::new() } else { format!(": {one_line}") }
}

/// Returns the seconds of `Retry-After` (RFC 9110 §10.2.3); `None` for a date or anything else.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse::<u64>().ok().map(Duration::from_secs)
}

/// Returns the run's id in `Content-Location: /threads/{thread}/runs/{run}`, or `/runs/{run}`.
pub fn located_run(headers: &HeaderMap) -> Option<BackendRunId> {
    located(headers, "/runs/")
}

/// Returns the thread's id in `Content-Location: /threads/{thread}/runs/{run}`.
pub fn located_thread(headers: &HeaderMap) -> Option<ThreadId> {
    located(headers, "/threads/")
}

fn located<T: std::str::FromStr>(headers: &HeaderMap, before: &str) -> Option<T> {
    let location = headers.get(http::header::CONTENT_LOCATION)?.to_str().ok()?;
    let (_, rest) = location.split_once(before)?;
    rest.split(['/', '?']).next()?.parse().ok()
}
