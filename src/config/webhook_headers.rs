//! The rules for headers that are sent with every webhook, whichever file they come from.

use super::errors::quoted;
use crate::domain::template::{self, PlaceholderSource};

pub(super) const ENV_PREFIX_DEFAULT: &str = "LG_WEBHOOK_";

/// Headers that agentcron sets, or that belong to the protocol: those of one connection (RFC 9110 §7.6.1), and those
/// that say how the body must be read.
const RESERVED_HEADERS: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// The prefix of the headers that the Standard Webhooks specification defines, or may define later.
const RESERVED_PREFIX: &str = "webhook-";

/// Returns what is wrong with a header, whatever the values of its placeholders are.
pub(super) fn header_complaint(name: &str, text: &str, env_prefix: &str) -> Option<String> {
    if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Some("not the name of a header".to_owned());
    }
    let lower_case = name.to_ascii_lowercase();
    if RESERVED_HEADERS.contains(&lower_case.as_str()) || lower_case.starts_with(RESERVED_PREFIX) {
        return Some("is set by agentcron itself".to_owned());
    }
    let found = template::placeholders(text).unwrap_or_default();
    let without_prefix = found.iter().find_map(|placeholder| match placeholder.source() {
        Ok(PlaceholderSource::Environment(variable)) if !variable.starts_with(env_prefix) => Some(variable),
        _ => None,
    })?;
    Some(format!("{} does not begin with {env_prefix} (see webhooks.env_prefix)", quoted(without_prefix)))
}

/// Returns what is wrong with a header's value once its placeholders are filled.
pub(super) fn value_complaint(filled: &str) -> Option<&'static str> {
    let expected = "not a valid header value: expected visible ASCII characters on one line";
    http::HeaderValue::from_str(filled).is_err().then_some(expected)
}
