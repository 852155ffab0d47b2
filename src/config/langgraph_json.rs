//! Reads `http.disable_webhooks` and `webhooks` of the agent server's own `langgraph.json`, with the server's
//! defaults for what is absent. agentcron ignores everything else in that file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::environment::Environment;
use super::errors::{Complaint, ConfigError, Position, Report, escaped, quoted_key};
use super::headers::{ENV_PREFIX_DEFAULT, server_webhook_complaint, value};
use super::placeholders::{AllowedNames, check_text, missing, no_value};
use super::section::is_switch;
use super::section_reader::SectionReader;
use super::settings::Sources;
use super::source_file::SourceFile;
use super::webhook_url_policy::RawUrlPolicy;
use crate::domain::cron::Template;

/// If there is a `url` block, the server requires https unless the block says otherwise, and shorter URLs.
const MAX_URL_LENGTH_WITH_BLOCK: u64 = 2048;

/// The settings of the agent server's file that agentcron honours.
#[derive(Default)]
pub(super) struct ServerSettings {
    pub(super) disable_webhooks: bool,
    pub(super) webhooks: ServerWebhooks,
}

#[derive(Clone, Default)]
pub(super) struct ServerWebhooks {
    pub(super) env_prefix: Option<String>,
    pub(super) headers: BTreeMap<String, Template>,
    pub(super) allowed_fields: Option<Vec<String>>,
    /// `None` without a `url` block; otherwise with the server's defaults.
    pub(super) url: Option<RawUrlPolicy>,
}

// Unknown keys are the server's business, so these structs do not deny them. `url` does: a policy that we do not
// understand must not pass for no policy.
#[derive(Deserialize)]
struct LanggraphJson {
    http: Option<LanggraphHttp>,
    webhooks: Option<LanggraphWebhooks>,
}

#[derive(Deserialize)]
struct LanggraphHttp {
    disable_webhooks: Option<bool>,
}

#[derive(Deserialize)]
struct LanggraphWebhooks {
    env_prefix: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    allowed_fields: Option<Vec<String>>,
    url: Option<RawUrlPolicy>,
}

/// Reads the file if the main file names it.
pub(super) fn read(sources: &mut Sources, root: &mut SectionReader<'_, '_>) -> ServerSettings {
    let Ok(Some(path)) = root.path("langgraph_json") else { return ServerSettings::default() };
    sources.files.push(path.clone());
    let source = match SourceFile::read(&path, None) {
        Ok(source) => source,
        Err(message) => {
            let message = format!("{}: {message}", path.display());
            root.report("langgraph_json", Complaint::new(message));
            return ServerSettings::default();
        }
    };
    match serde_json::from_str(&source.text) {
        Ok(written) => {
            for key in misspelt_switches(&source.text) {
                let message = format!("{} may be meant to be http.disable_webhooks", quoted_key(&key));
                root.report.file_error(&source.file, message);
            }
            validate(&source, written, root.environment, root.report)
        }
        Err(error) => {
            root.report.error(json_error(&path, &error));
            ServerSettings::default()
        }
    }
}

/// Returns the keys that are nearly the switch of all webhooks, or are that switch in the wrong place. Other unknown keys
/// are the server's business.
fn misspelt_switches(text: &str) -> Vec<String> {
    let mut whole: Value = serde_json::from_str(text).unwrap_or_default();
    if let Some(http) = whole.get_mut("http").and_then(Value::as_object_mut) {
        http.remove("disable_webhooks");
    }
    let mut found = Vec::new();
    collect_switches(&whole, &mut found);
    found
}

/// Recursion is bounded: `serde_json` refuses what is nested deeper than 128 times.
fn collect_switches(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(entries) => {
            found.extend(entries.keys().filter(|key| is_switch(key)).cloned());
            entries.values().for_each(|value| collect_switches(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_switches(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn json_error(path: &Path, error: &serde_json::Error) -> ConfigError {
    let message = match error.classify() {
        serde_json::error::Category::Data => message_without_value(error),
        serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof
        | serde_json::error::Category::Io => format!("not JSON: {}", message_without_place(error)),
    };
    let position = Some(Position { line: error.line().max(1), column: error.column().max(1) });
    ConfigError { position, ..ConfigError::of_file(path, message) }
}

/// Returns the message of a mistake in the file's content without the value that serde quotes in it, which may be a
/// secret.
///
/// This reads serde's sentence, `invalid type: string "x", expected a boolean`: `serde_json::Error` has a category, a
/// line and a column, but neither what was found nor what was expected, and `serde::de::Unexpected`, which has both,
/// reaches only the constructors of the error. Nothing depends on the outcome but the text that is shown.
fn message_without_value(error: &serde_json::Error) -> String {
    let message = message_without_place(error);
    match message.rsplit_once(", expected ") {
        // It quotes the unknown key and lists the known ones.
        Some(_) if message.starts_with("unknown field") => {
            let (what, expected) = message.split_once("`, expected ").unwrap_or_default();
            let name = what.trim_start_matches("unknown field `");
            format!("unknown key {}, expected {expected}", quoted_key(name))
        }
        Some((_, expected)) => format!("wrong type: expected {expected}"),
        // A field that is missing or given twice: no value is quoted.
        None => message,
    }
}

/// Returns the message without the place, which `serde_json` appends to it and which we show in our own way.
fn message_without_place(error: &serde_json::Error) -> String {
    let place = format!(" at line {} column {}", error.line(), error.column());
    let message = error.to_string();
    message.strip_suffix(&place).unwrap_or(&message).to_owned()
}

fn validate(
    source: &SourceFile,
    written: LanggraphJson,
    environment: &Environment,
    report: &mut Report,
) -> ServerSettings {
    let disable_webhooks = written.http.and_then(|http| http.disable_webhooks).unwrap_or(false);
    let Some(webhooks) = written.webhooks else {
        return ServerSettings { disable_webhooks, ..ServerSettings::default() };
    };
    let prefix = webhooks.env_prefix.as_deref().unwrap_or(ENV_PREFIX_DEFAULT);
    let mut headers = BTreeMap::new();
    for (name, text) in webhooks.headers.unwrap_or_default() {
        let complaints = check_text(&text, AllowedNames::Environment).into_iter();
        for error in missing(&text, environment) {
            let Complaint { message, hint } = no_value(&error, environment);
            let message = format!("webhooks.headers.{}: {message}", escaped(&name));
            let error = ConfigError { hint, ..ConfigError::of_file(source.file.clone(), message) };
            report.without_value(error, environment);
        }
        let complaints = complaints.chain(server_webhook_complaint(&name, &text, prefix));
        let filled = environment.fill(&text).ok();
        let complaints = complaints.chain(filled.and_then(|filled| value(filled.expose()).err()));
        let messages: Vec<String> = complaints.map(|complaint| complaint.message).collect();
        if messages.is_empty() {
            headers.insert(name.to_ascii_lowercase(), Template(text));
            continue;
        }
        for message in messages {
            report.file_error(&source.file, format!("webhooks.headers.{}: {message}", escaped(&name)));
        }
    }
    let webhooks = ServerWebhooks {
        env_prefix: webhooks.env_prefix,
        headers,
        allowed_fields: webhooks.allowed_fields.filter(|fields| !fields.is_empty()),
        url: webhooks.url.map(with_server_defaults),
    };
    ServerSettings { disable_webhooks, webhooks }
}

fn with_server_defaults(written: RawUrlPolicy) -> RawUrlPolicy {
    RawUrlPolicy {
        require_https: written.require_https.or(Some(true)),
        allowed_domains: written.allowed_domains.filter(|domains| !domains.is_empty()),
        allowed_ports: written.allowed_ports.filter(|ports| !ports.is_empty()),
        max_url_length: written.max_url_length.or(Some(MAX_URL_LENGTH_WITH_BLOCK)),
        disable_loopback: written.disable_loopback.or(Some(true)),
        disable_private_ips: written.disable_private_ips.or(Some(false)),
    }
}
