//! The rules for configured headers: those of every webhook, and those of every request to the agent server.

use http::{HeaderName, HeaderValue};

use super::errors::{Complaint, quoted};
use super::limits::{HEADER_BYTES_MAX, HEADERS_MAX};
use super::section_reader::SectionReader;
use super::type_check::kind_of;
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
/// Headers of the requests that agentcron forwards: those that it sets for proxies, and those that most clients send. A
/// client that sends one of the configured headers has credentials of its own.
const RESERVED_WHEN_FORWARDING: &[&str] =
    &["accept", "forwarded", "last-event-id", "origin", "user-agent", "via"];
const RESERVED_PREFIX_WHEN_FORWARDING: &str = "x-forwarded-";

/// A header of a table.
pub(super) struct WrittenHeader<'d> {
    /// In lower case.
    pub(super) name: HeaderName,
    /// The value as written, with its placeholders.
    pub(super) text: &'d str,
    /// The value with its placeholders filled.
    pub(super) value: HeaderValue,
}

/// Reads a table of headers, of which `complaint` judges name and text; mistakes are reported and left out.
pub(super) fn read<'d>(
    section: &mut SectionReader<'_, 'd>,
    complaint: impl Fn(&HeaderName, &str) -> Option<Complaint>,
) -> Vec<WrittenHeader<'d>> {
    let mut headers: Vec<WrittenHeader<'d>> = Vec::new();
    let table = section.section;
    for (key, value) in table.entries() {
        let written: &str = key.get_ref();
        let Some(text) = value.get_ref().as_str() else {
            let message = format!("got {}, expected text", kind_of(value.get_ref()));
            section.report(written, Complaint::new(message));
            continue;
        };
        let filled = section.fill_secret(written, "", text);
        let judged = name(written).and_then(|name| {
            if headers.iter().any(|header| header.name == name) {
                return Err(Complaint::new("got this header twice; upper and lower case are the same"));
            }
            if headers.len() == HEADERS_MAX {
                return Err(Complaint::new(format!("got more than {HEADERS_MAX} headers")));
            }
            complaint(&name, text).map_or(Ok(()), Err)?;
            // What cannot be filled has been reported.
            let value = filled.ok().map(|filled| self::value(&filled)).transpose()?;
            Ok(value.map(|value| WrittenHeader { name, text, value }))
        });
        match judged {
            Ok(header) => headers.extend(header),
            Err(complaint) => {
                section.report(written, complaint);
            }
        }
    }
    headers
}

/// Returns the name of a header, or what is wrong with it wherever the header is sent.
fn name(written: &str) -> Result<HeaderName, Complaint> {
    let name = HeaderName::from_bytes(written.as_bytes());
    let name = name.map_err(|_| Complaint::new("not the name of a header"))?;
    if RESERVED_HEADERS.contains(&name.as_str()) { Err(set_by_agentcron()) } else { Ok(name) }
}

fn set_by_agentcron() -> Complaint {
    Complaint::with_hint("is set by agentcron itself", "leave it out")
}

/// Returns what is wrong with a header of webhooks, whatever the values of its placeholders are.
pub(super) fn webhook_complaint(name: &HeaderName, text: &str, env_prefix: &str) -> Option<Complaint> {
    if name.as_str().starts_with(RESERVED_PREFIX) {
        return Some(set_by_agentcron());
    }
    let found = template::placeholders(text).unwrap_or_default();
    let without_prefix = found.iter().find_map(|placeholder| match placeholder.source() {
        Ok(PlaceholderSource::Environment(variable)) if !variable.starts_with(env_prefix) => Some(variable),
        _ => None,
    })?;
    let message =
        format!("{} does not begin with {env_prefix} (see webhooks.env_prefix)", quoted(without_prefix));
    Some(Complaint::new(message))
}

/// Returns what is wrong with a header of webhooks that the agent server's own file has.
pub(super) fn server_webhook_complaint(name: &str, text: &str, env_prefix: &str) -> Option<Complaint> {
    self::name(name).map_or_else(Some, |name| webhook_complaint(&name, text, env_prefix))
}

/// Returns what is wrong with the name or the text of a header for the agent server.
pub(super) fn backend_complaint(name: &HeaderName, text: &str) -> Option<Complaint> {
    let name = name.as_str();
    if RESERVED_WHEN_FORWARDING.contains(&name) || name.starts_with(RESERVED_PREFIX_WHEN_FORWARDING) {
        let hint = "expected a header that lets agentcron in, such as authorization";
        return Some(Complaint::with_hint("is set by agentcron or its clients", hint));
    }
    text.trim()
        .is_empty()
        .then(|| Complaint::with_hint("got an empty text", "leave the header out to send none"))
}

/// Returns the value of a header from its text with the placeholders filled, or what is wrong with it.
pub(super) fn value(filled: &str) -> Result<HeaderValue, Complaint> {
    if filled.len() > HEADER_BYTES_MAX {
        return Err(Complaint::new(format!("got more than {HEADER_BYTES_MAX} bytes")));
    }
    let expected = "not a valid header value: expected visible ASCII characters on one line";
    HeaderValue::from_str(filled).ok().filter(|_| filled.is_ascii()).ok_or(Complaint::new(expected))
}
