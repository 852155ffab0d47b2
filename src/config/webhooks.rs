//! Reads `[webhooks]` of the main file and merges it with `webhooks` of the agent server's `langgraph.json`.

use std::collections::BTreeMap;

use super::errors::{Complaint, quoted};
use super::headers::{self, webhook_complaint};
use super::langgraph_json::ServerWebhooks;
use super::nearest::did_you_mean;
use super::reference;
use super::section::NO_ADVICE;
use super::section_reader::{Reported, SectionReader};
use super::settings::WebhooksConfig;
use super::webhook_url_policy::{RawUrlPolicy, allowed_by_both, stricter};
use crate::domain::cron::Template;
use crate::domain::signing::SigningKey;
use crate::domain::url_policy::UrlPolicy;

/// Every key of the webhook body that the agent server sends.
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

/// The keys that hold nothing of what a graph or a client wrote.
const FIELDS_IF_UNCLEAR: [&str; 7] =
    ["run_id", "thread_id", "assistant_id", "status", "run_started_at", "run_ended_at", "webhook_sent_at"];

/// Reads `[webhooks]`, together with what the agent server's file says.
pub(super) fn webhooks(
    server: ServerWebhooks,
    root: &mut SectionReader<'_, '_>,
) -> Result<WebhooksConfig, Reported> {
    let mut section = root.table("webhooks", "webhooks", &reference::WEBHOOKS);
    let written_secrets: Vec<String> = section.value("signing_secrets");
    let secrets: Vec<_> = written_secrets
        .iter()
        .enumerate()
        .filter_map(|(index, text)| signing_key(&format!("/{index}"), text, &mut section).ok())
        .collect();
    let own_prefix: String = section.value("env_prefix");
    let env_prefix = server.env_prefix.filter(|_| !section.has("env_prefix")).unwrap_or(own_prefix);
    let mut headers = server.headers;
    headers.extend(own_headers(&env_prefix, &mut section));
    let own_fields: Option<Vec<String>> = section.value("allowed_fields");
    check_allowed_fields(own_fields.as_deref().unwrap_or_default(), &mut section);
    // An unknown key may be meant to leave fields out, and what a body has cannot be taken back.
    let is_unclear = section
        .section
        .entries()
        .any(|(key, _)| !reference::WEBHOOKS.names().any(|name| name == key.get_ref()));
    let allowed_fields = match own_fields {
        None if is_unclear || section.has("allowed_fields") => {
            Some(FIELDS_IF_UNCLEAR.map(str::to_owned).to_vec())
        }
        allowed_fields => allowed_fields,
    };
    let url = url_policy(server.url, &mut section);
    let ca_file = section.path("ca_file")?;
    let same = |a: &String, b: &String| (a == b).then(|| a.clone());
    Ok(WebhooksConfig {
        signing_secrets: secrets,
        url,
        headers,
        env_prefix,
        allowed_fields: allowed_by_both(allowed_fields, server.allowed_fields, same),
        body_bytes_max: section.value("body_bytes_max"),
        ca_file,
    })
}

fn signing_key(
    pointer: &str,
    text: &str,
    section: &mut SectionReader<'_, '_>,
) -> Result<SigningKey, Reported> {
    let secret = section.secret("signing_secrets", pointer, text)?;
    SigningKey::parse(secret.expose()).map_err(|error| {
        let hint = "such as `openssl rand -base64 32` with whsec_ before it";
        let complaint = Complaint::with_hint(error.to_string(), hint);
        section.report_at("signing_secrets", pointer, complaint)
    })
}

fn own_headers(env_prefix: &str, section: &mut SectionReader<'_, '_>) -> BTreeMap<String, Template> {
    let mut section = section.child("headers", "webhooks.headers");
    let written = headers::read(&mut section, |name, text| webhook_complaint(name, text, env_prefix));
    written.into_iter().map(|header| (header.name.to_string(), Template(header.text.to_owned()))).collect()
}

fn check_allowed_fields(fields: &[String], section: &mut SectionReader<'_, '_>) {
    for (index, field) in fields.iter().enumerate() {
        if !BODY_KEYS.contains(&field.as_str()) {
            let hint = (!section.report.is_full()).then(|| did_you_mean(field, BODY_KEYS.iter().copied()));
            let complaint = Complaint { message: format!("the body has no key {}", quoted(field)), hint };
            section.report_at("allowed_fields", &format!("/{index}"), complaint);
        }
    }
}

fn url_policy(server: Option<RawUrlPolicy>, section: &mut SectionReader<'_, '_>) -> UrlPolicy {
    let mut section = section.child("url", "webhooks.url");
    let own: RawUrlPolicy = section.section.read(&reference::WEBHOOKS_URL, NO_ADVICE, section.report);
    let lists = [
        ("allowed_domains", own.allowed_domains.as_ref().map(Vec::len)),
        ("allowed_ports", own.allowed_ports.as_ref().map(Vec::len)),
    ];
    for (key, _) in lists.into_iter().filter(|(_, length)| *length == Some(0)) {
        let hint = "leave the key out to allow all; http.disable_webhooks sends none";
        section.report(key, Complaint::with_hint("an empty list would allow nothing", hint));
    }
    for (index, domain) in own.allowed_domains.iter().flatten().enumerate() {
        if let Some(complaint) = domain_complaint(domain) {
            section.report_at("allowed_domains", &format!("/{index}"), complaint);
        }
    }
    stricter(own, server.unwrap_or_default())
}

fn domain_complaint(domain: &str) -> Option<Complaint> {
    let host = domain.strip_prefix("*.").unwrap_or(domain);
    let is_host = !host.is_empty() && url::Host::parse(host).is_ok() && !host.contains('*');
    let expected = "expected a host such as example.com, or *.example.com for its subdomains";
    (!is_host).then(|| Complaint::new(format!("got {}, {expected}", quoted(domain))))
}
