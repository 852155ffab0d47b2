//! What a receiver's answer means, and how much of it is recorded. Receivers are strangers: an answer may end
//! deliveries to the receiver's own URL, but beyond that it can only delay the next attempt, by a day at
//! most.

use std::time::{Duration, SystemTime};

use http::header::{DATE, HeaderMap, RETRY_AFTER};
use http::response::Parts;
use jiff::Timestamp;

use crate::domain::bounds::{DETAIL_CHARS_MAX, RECEIVER_ANSWER_KEPT_BYTES_MAX, RETRY_AFTER_MAX};
use crate::domain::delivery::{AttemptResult, Ending, Fault};
use crate::domain::printable::{blanked, is_unprintable};
use crate::domain::secrets::Secrets;

/// The header in which a receiver says what should happen to a message that it does not accept.
const WEBHOOK_DELIVERY: &str = "webhook-delivery";

/// Returns the result of an attempt from the head of its answer.
pub(super) fn judge(head: &Parts, now: Timestamp) -> AttemptResult {
    let code = head.status.as_u16();
    if head.status.is_success() {
        return AttemptResult::Accepted { code };
    }
    let wish = head.headers.get(WEBHOOK_DELIVERY).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let ended = |ending, message: &str| AttemptResult::Final {
        ending,
        code: Some(code),
        detail: format!("the receiver answered {code}: {message}"),
    };
    match wish.trim().to_ascii_lowercase().as_str() {
        "disable" => return ended(Ending::Gone, "webhook-delivery: disable"),
        "abort-message" => return ended(Ending::Aborted, "webhook-delivery: abort-message"),
        _ => {}
    }
    let (fault, note) = match code {
        410 => return ended(Ending::Gone, "gone for good"),
        408 | 425 | 429 | 500..=599 => (Fault::Trouble, ""),
        300..=399 => (Fault::Refused, ", a redirect; redirects are not followed"),
        _ => (Fault::Refused, ""),
    };
    AttemptResult::Refused {
        code: Some(code),
        detail: format!("the receiver answered {code}{note}"),
        retry_after: retry_after(&head.headers, now),
        fault,
    }
}

/// Parses `Retry-After`, in seconds or as a date (RFC 9110 §10.2.3), and returns at most a day. An unreadable
/// value counts as none.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number too large to parse still asks for a long time.
        let asked = text.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs);
        return Some(asked.min(RETRY_AFTER_MAX));
    }
    // Computed in seconds, because the end of the year 9999 is a valid date but beyond the range of
    // `Timestamp`.
    let left = second(text)?.saturating_sub(now.as_second());
    Some(Duration::from_secs(u64::try_from(left).unwrap_or(0)).min(RETRY_AFTER_MAX))
}

/// Returns the time by the receiver's clock, from `Date` (RFC 9110 §6.6.1). An unreadable value counts as
/// none.
pub(super) fn receiver_clock(headers: &HeaderMap) -> Option<Timestamp> {
    Timestamp::from_second(second(headers.get(DATE)?.to_str().ok()?)?).ok()
}

/// Parses a date of HTTP into seconds since 1970.
fn second(text: &str) -> Option<i64> {
    let date = httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(date.as_secs()).ok()
}

/// Returns the beginning of an answer's body, for the record, without the secrets of the request: receivers
/// like to echo what they got.
pub(super) fn excerpt(body: &[u8], secrets: &Secrets) -> Option<String> {
    let text = secrets.redact(&String::from_utf8_lossy(body));
    let mut excerpt = String::new();
    for char in text.trim().chars().map(|char| if is_unprintable(char) && char != '\n' { ' ' } else { char })
    {
        if excerpt.len() + char.len_utf8() > RECEIVER_ANSWER_KEPT_BYTES_MAX {
            break;
        }
        excerpt.push(char);
    }
    (!excerpt.is_empty()).then_some(excerpt)
}

/// Returns the result of an attempt that had no answer.
pub(super) fn refused(detail: String, fault: Fault) -> AttemptResult {
    AttemptResult::Refused { code: None, detail: single_line(&detail), retry_after: None, fault }
}

/// Makes foreign text, such as an error about a certificate, fit for a log line.
pub(super) fn single_line(text: &str) -> String {
    blanked(text).chars().take(DETAIL_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
