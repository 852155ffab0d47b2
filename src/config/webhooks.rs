//! `[webhooks]` of our file and `webhooks` of the server's `langgraph.json` -> one policy: the stricter wins.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::errors::quoted;
use super::langgraph_json::ServerWebhooks;
use super::limits::{WEBHOOK_BODY_BYTES_MAX, WEBHOOK_CHARS_MAX};
use super::nearest::did_you_mean;
use super::section::Section;
use super::sections::SectionReader;
use super::validated::WebhooksConfig;
use crate::domain::cron::Template;
use crate::domain::signing::{KeyError, SigningKey};
use crate::domain::template::{self, PlaceholderSource};
use crate::domain::url_policy::UrlPolicy;

pub(super) const ENV_PREFIX_DEFAULT: &str = "LG_WEBHOOK_";
const BODY_BYTES_DEFAULT: u64 = 1 << 20;

/// Every key of the body that the server sends.
const BODY_KEYS: &[&str] = &[
    "run_id",
    "thread_id",
    "assistant_id",
    "metadata",
    "status",
    "kwargs",
    "multitask_strategy",
    "created_at",
    "updated_at",
    "langsmith_session_name",
    "run_started_at",
    "run_ended_at",
    "webhook_sent_at",
    "values",
    "error",
];
/// Headers that are ours or the protocol's: of one connection (RFC 9110 §7.6.1), or saying how the body is to be read.
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
/// What the specification of Standard Webhooks has given a meaning, or may yet.
const RESERVED_PREFIX: &str = "webhook-";

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWebhooks {
    signing_secrets: Option<Vec<String>>,
    env_prefix: Option<String>,
    allowed_fields: Option<Vec<String>>,
    body_bytes_max: Option<u64>,
    ca_file: Option<String>,
}

/// `url` of either file, as written.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUrl {
    pub(super) require_https: Option<bool>,
    pub(super) allowed_domains: Option<Vec<String>>,
    pub(super) allowed_ports: Option<Vec<u16>>,
    pub(super) max_url_length: Option<u64>,
    pub(super) disable_loopback: Option<bool>,
    pub(super) disable_private_ips: Option<bool>,
}

/// `[webhooks]`, together with what the server's file says.
pub(super) fn webhooks(
    root: &Section<'_>,
    server: ServerWebhooks,
    reader: &mut SectionReader<'_>,
) -> Option<WebhooksConfig> {
    let section = root.child("webhooks", "webhooks", reader.report);
    let raw: RawWebhooks = section.read(&["url", "headers"], |_| None, reader.report);
    let written_secrets = raw.signing_secrets.unwrap_or_default();
    let secrets: Vec<_> = written_secrets
        .iter()
        .enumerate()
        .filter_map(|(index, text)| signing_key(&section, &format!("/{index}"), text, reader))
        .collect();
    let env_prefix = raw.env_prefix.or(server.env_prefix).unwrap_or(ENV_PREFIX_DEFAULT.to_owned());
    let mut headers = server.headers;
    headers.extend(own_headers(&section, &env_prefix, reader));
    let bytes = raw.body_bytes_max.unwrap_or(BODY_BYTES_DEFAULT);
    check_allowed_fields(&section, raw.allowed_fields.as_deref().unwrap_or_default(), reader);
    let url = url_policy(&section, server.url, reader);
    let ca_file = raw.ca_file.as_deref().map(|text| reader.path(&section, "ca_file", text));
    Some(WebhooksConfig {
        body_bytes_max: reader.number(&section, "body_bytes_max", bytes, 1024, WEBHOOK_BODY_BYTES_MAX)?,
        signing_secrets: secrets,
        url,
        headers,
        env_prefix,
        allowed_fields: both(raw.allowed_fields, server.allowed_fields, |a, b| (a == b).then(|| a.clone())),
        ca_file: ca_file.map_or(Some(None), |path| path.map(Some))?,
    })
}

/// What holds where there is no configuration: what an empty file says.
pub fn webhooks_by_default() -> WebhooksConfig {
    WebhooksConfig {
        signing_secrets: Vec::new(),
        url: stricter(RawUrl::default(), RawUrl::default()),
        headers: BTreeMap::new(),
        env_prefix: ENV_PREFIX_DEFAULT.to_owned(),
        allowed_fields: None,
        body_bytes_max: BODY_BYTES_DEFAULT as usize,
        ca_file: None,
    }
}

fn signing_key(
    section: &Section<'_>,
    pointer: &str,
    text: &str,
    reader: &mut SectionReader<'_>,
) -> Option<SigningKey> {
    let secret = reader.secret(section, "signing_secrets", pointer, text)?;
    let report = |error: KeyError| {
        let hint = "such as `openssl rand -base64 32` with whsec_ before it".to_owned();
        reader.report.error(section.error("signing_secrets", pointer, &error.to_string(), Some(hint)));
    };
    SigningKey::parse(secret.expose()).map_err(report).ok()
}

fn own_headers(
    section: &Section<'_>,
    env_prefix: &str,
    reader: &mut SectionReader<'_>,
) -> BTreeMap<String, Template> {
    let section = section.child("headers", "webhooks.headers", reader.report);
    let mut headers = BTreeMap::new();
    for (key, value) in section.entries() {
        let name: &str = key.get_ref();
        let Some(text) = value.get_ref().as_str() else {
            let message = format!("got {}, expected text", super::shape::got(value.get_ref()));
            reader.report.error(section.error(name, "", &message, None));
            continue;
        };
        let filled = reader.fill(&section, name, "", text);
        let complaint = header_complaint(name, text, env_prefix)
            .or_else(|| value_complaint(filled.as_deref()?).map(str::to_owned));
        match complaint {
            Some(message) => reader.report.error(section.error(name, "", &message, None)),
            None => drop(headers.insert(name.to_ascii_lowercase(), Template(text.to_owned()))),
        }
    }
    headers
}

/// What is wrong with a header, whatever the values of its placeholders are.
pub(super) fn header_complaint(name: &str, text: &str, env_prefix: &str) -> Option<String> {
    if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Some("not the name of a header".to_owned());
    }
    let lower_case = name.to_ascii_lowercase();
    if RESERVED_HEADERS.contains(&lower_case.as_str()) || lower_case.starts_with(RESERVED_PREFIX) {
        return Some("is set by agentcron itself".to_owned());
    }
    let found = template::placeholders(text).unwrap_or_default();
    let foreign = found.iter().find_map(|placeholder| match placeholder.source() {
        Ok(PlaceholderSource::Environment(variable)) if !variable.starts_with(env_prefix) => Some(variable),
        _ => None,
    })?;
    Some(format!("{} does not begin with {env_prefix} (see webhooks.env_prefix)", quoted(foreign)))
}

/// What is wrong with a header's value once it is filled.
pub(super) fn value_complaint(filled: &str) -> Option<&'static str> {
    let expected = "not the value of a header: expected visible ASCII characters in one line";
    http::HeaderValue::from_str(filled).is_err().then_some(expected)
}

fn check_allowed_fields(section: &Section<'_>, fields: &[String], reader: &mut SectionReader<'_>) {
    for (index, field) in fields.iter().enumerate() {
        if !BODY_KEYS.contains(&field.as_str()) {
            let hint = did_you_mean(field, BODY_KEYS.iter().copied());
            let message = format!("the body has no key {}", quoted(field));
            reader.report.error(section.error("allowed_fields", &format!("/{index}"), &message, Some(hint)));
        }
    }
}

fn url_policy(section: &Section<'_>, server: Option<RawUrl>, reader: &mut SectionReader<'_>) -> UrlPolicy {
    let section = section.child("url", "webhooks.url", reader.report);
    let own: RawUrl = section.read(&[], |_| None, reader.report);
    let empty = [
        ("allowed_domains", own.allowed_domains.as_ref().is_some_and(Vec::is_empty)),
        ("allowed_ports", own.allowed_ports.as_ref().is_some_and(Vec::is_empty)),
    ];
    for (key, _) in empty.into_iter().filter(|(_, empty)| *empty) {
        let hint = "leave the key out to allow all; http.disable_webhooks sends none";
        reader.error(&section, key, "an empty list would allow nothing", Some(hint.to_owned()));
    }
    for (index, domain) in own.allowed_domains.iter().flatten().enumerate() {
        if let Some(message) = domain_complaint(domain) {
            reader.report.error(section.error("allowed_domains", &format!("/{index}"), &message, None));
        }
    }
    if let Some(length) = own.max_url_length {
        reader.number(&section, "max_url_length", length, 1, WEBHOOK_CHARS_MAX as u64);
    }
    stricter(own, server.unwrap_or_default())
}

fn domain_complaint(domain: &str) -> Option<String> {
    let host = domain.strip_prefix("*.").unwrap_or(domain);
    let fine = !host.is_empty() && url::Host::parse(host).is_ok() && !host.contains('*');
    let expected = "expected a host such as example.com, or *.example.com for its subdomains";
    (!fine).then(|| format!("got {}, {expected}", quoted(domain)))
}

/// Our own file is silent about a key: the server's word holds; both speak: the stricter one; none: our default.
fn stricter(own: RawUrl, server: RawUrl) -> UrlPolicy {
    let either = |a: Option<bool>, b: Option<bool>, default| match (a, b) {
        (Some(a), Some(b)) => a || b,
        (one, other) => one.or(other).unwrap_or(default),
    };
    let lengths = own.max_url_length.into_iter().chain(server.max_url_length);
    UrlPolicy {
        require_https: either(own.require_https, server.require_https, false),
        allowed_domains: both(own.allowed_domains, server.allowed_domains, |a, b| common_domain(a, b)),
        allowed_ports: both(own.allowed_ports, server.allowed_ports, |a, b| (a == b).then_some(*a)),
        max_url_length: lengths.min().map_or(WEBHOOK_CHARS_MAX, |length| length as usize),
        disable_loopback: either(own.disable_loopback, server.disable_loopback, true),
        disable_private_ips: either(own.disable_private_ips, server.disable_private_ips, false),
    }
}

/// What two lists allow both; one list alone allows what it says.
fn both<T>(
    own: Option<Vec<T>>,
    server: Option<Vec<T>>,
    common: impl Fn(&T, &T) -> Option<T>,
) -> Option<Vec<T>> {
    match (own, server) {
        (Some(own), Some(server)) => {
            let common = &common;
            Some(own.iter().flat_map(|a| server.iter().filter_map(move |b| common(a, b))).collect())
        }
        (one, other) => one.or(other),
    }
}

/// The narrower of two domain patterns, if one lies within the other.
fn common_domain(a: &str, b: &str) -> Option<String> {
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    let within = |inner: &str, outer: &str| {
        let inner_suffix = inner.strip_prefix('*').unwrap_or(inner);
        let below = |suffix: &str| inner_suffix.ends_with(suffix) && inner_suffix.len() > suffix.len();
        inner == outer || outer.strip_prefix('*').is_some_and(below)
    };
    if within(&a, &b) {
        Some(a)
    } else if within(&b, &a) {
        Some(b)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrower_domain_of_two_is_common_to_both() {
        for (a, b, common) in [
            ("a.x.org", "*.x.org", Some("a.x.org")),
            ("x.org", "*.x.org", None),
            ("*.x.org", "*.y.x.org", Some("*.y.x.org")),
            ("*.x.org", "*.x.org", Some("*.x.org")),
            ("X.org", "x.org", Some("x.org")),
            ("ax.org", "*.x.org", None),
        ] {
            assert_eq!(common_domain(a, b).as_deref(), common, "{a} {b}");
            assert_eq!(common_domain(b, a).as_deref(), common, "{b} {a}");
        }
    }
}
