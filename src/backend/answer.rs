//! Reads answers: takes only what is needed, tolerates what is absent, and keeps a short text of what went
//! wrong.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::call_error::{CallError, Denial};
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

    /// Returns what this answer, which is no success, says about the call.
    pub(super) fn failure(&self) -> CallError {
        if let Some(denial) = self.denial() {
            return CallError::Denied(denial);
        }
        match self.status {
            StatusCode::NOT_FOUND if names_what_is_missing(&self.body) => CallError::NotFound(self.message()),
            StatusCode::NOT_FOUND => CallError::PlainNotFound(self.message()),
            status => CallError::Status { code: status.as_u16(), detail: self.message() },
        }
    }
}

/// Returns whether the body of a 404 names what is missing, as in `Thread with ID … not found`. One that does
/// not may come from a server without this route, or from a proxy that does not find its server.
fn names_what_is_missing(body: &[u8]) -> bool {
    const THINGS: [&str; 7] = ["thread", "threads", "run", "runs", "assistant", "assistants", "graph"];
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    // A page in HTML may quote the path, which has the same words in it.
    let is_page = text.trim_start().starts_with('<');
    let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '/');
    !is_page && words.any(|word| THINGS.contains(&word))
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
