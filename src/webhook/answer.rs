//! What a receiver's answer means, and what is kept of it. Receivers are strangers: nothing in an answer may do more
//! than delay us for a day.

use std::time::{Duration, SystemTime};

use http::header::{DATE, HeaderMap, RETRY_AFTER};
use http::response::Parts;
use jiff::Timestamp;

use crate::domain::bounds::{DETAIL_CHARS_MAX, RECEIVER_ANSWER_KEPT_BYTES_MAX, RETRY_AFTER_MAX};
use crate::domain::delivery::{AttemptResult, Ending, Pace};
use crate::domain::secrets::Secrets;

/// By which a receiver says what is to become of a message that it does not accept.
const WEBHOOK_DELIVERY: &str = "webhook-delivery";

/// Judges the head of an answer.
pub(super) fn judge(head: &Parts, now: Timestamp) -> AttemptResult {
    let code = head.status.as_u16();
    if head.status.is_success() {
        return AttemptResult::Accepted { code };
    }
    let wish = head.headers.get(WEBHOOK_DELIVERY).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let ended = |ending, words: &str| AttemptResult::Final {
        ending,
        code: Some(code),
        detail: format!("the receiver answered {code}: {words}"),
    };
    match wish.trim().to_ascii_lowercase().as_str() {
        "disable" => return ended(Ending::Gone, "webhook-delivery: disable"),
        "abort-message" => return ended(Ending::Aborted, "webhook-delivery: abort-message"),
        _ => {}
    }
    let (pace, note) = match code {
        410 => return ended(Ending::Gone, "gone for good"),
        408 | 425 | 429 | 500..=599 => (Pace::Usual, ""),
        300..=399 => (Pace::Slow, ", a redirect; redirects are not followed"),
        _ => (Pace::Slow, ""),
    };
    AttemptResult::Refused {
        code: Some(code),
        detail: format!("the receiver answered {code}{note}"),
        retry_after: retry_after(&head.headers, now),
        pace,
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110 §10.2.3), a day at most; nonsense counts as none.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has are a long time all the same.
        let asked = text.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs);
        return Some(asked.min(RETRY_AFTER_MAX));
    }
    // In seconds: the year 9999 is a date, but hardly an instant.
    let left = second(text)?.saturating_sub(now.as_second());
    Some(Duration::from_secs(u64::try_from(left).unwrap_or(0)).min(RETRY_AFTER_MAX))
}

/// What the receiver's clock said (RFC 9110 §6.6.1); nonsense counts as silence.
pub(super) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    Timestamp::from_second(second(headers.get(DATE)?.to_str().ok()?)?).ok()
}

/// A date of HTTP, in seconds since 1970.
fn second(text: &str) -> Option<i64> {
    let date = httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(date.as_secs()).ok()
}

/// The beginning of an answer's text, without what we sent that nobody else should read: receivers like to echo.
pub(super) fn kept(body: &[u8], secrets: &Secrets) -> Option<String> {
    let text = secrets.redact(&String::from_utf8_lossy(body));
    // A terminal that shows it must not obey it.
    let shown = |char: char| if char.is_control() && char != '\n' { ' ' } else { char };
    let mut kept = String::new();
    for char in text.trim().chars().map(shown) {
        if kept.len() + char.len_utf8() > RECEIVER_ANSWER_KEPT_BYTES_MAX {
            break;
        }
        kept.push(char);
    }
    (!kept.is_empty()).then_some(kept)
}

/// Words of others, such as those about a certificate, fit for a log line.
pub(super) fn in_one_line(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(DETAIL_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
