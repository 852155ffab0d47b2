//! The server's own `langgraph.json`: `http.disable_webhooks` and `webhooks`, by the server's rules for what is
//! absent. Everything else in it is none of our business.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::environment::Environment;
use super::errors::{ConfigError, Position, Report};
use super::placeholders::{check_text, missing};
use super::section::Section;
use super::sections::SectionReader;
use super::source::Source;
use super::validated::Sources;
use super::webhooks::{ENV_PREFIX_DEFAULT, RawUrl, header_complaint, value_complaint};
use crate::domain::cron::Template;

/// With a `url` block, the server wants https unless it is told otherwise, and shorter URLs.
const MAX_URL_LENGTH_WITH_BLOCK: u64 = 2048;

/// What it says.
#[derive(Default)]
pub(super) struct ServerSettings {
    pub(super) disable_webhooks: bool,
    pub(super) webhooks: ServerWebhooks,
}

/// Its `webhooks`.
#[derive(Default)]
pub(super) struct ServerWebhooks {
    pub(super) env_prefix: Option<String>,
    pub(super) headers: BTreeMap<String, Template>,
    pub(super) allowed_fields: Option<Vec<String>>,
    /// Only with a `url` block, and then with the server's defaults in it.
    pub(super) url: Option<RawUrl>,
}

// Unknown keys are the server's business, so there is no deny_unknown_fields here, but for `url`: a policy that is
// not understood must not be taken for no policy.
#[derive(Deserialize)]
struct RawFile {
    http: Option<RawHttp>,
    webhooks: Option<RawWebhooks>,
}

#[derive(Deserialize)]
struct RawHttp {
    disable_webhooks: Option<bool>,
}

#[derive(Deserialize)]
struct RawWebhooks {
    env_prefix: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    allowed_fields: Option<Vec<String>>,
    url: Option<RawUrl>,
}

/// Reads it if our file names it.
pub(super) fn read(
    root: &Section<'_>,
    path: Option<String>,
    sources: &mut Sources,
    reader: &mut SectionReader<'_>,
) -> ServerSettings {
    let Some(path) = path.and_then(|text| reader.path(root, "langgraph_json", &text)) else {
        return ServerSettings::default();
    };
    sources.files.push(path.clone());
    let source = match Source::read(&path) {
        Ok(source) => source,
        Err(message) => {
            let message = format!("{}: {message}", path.display());
            reader.error(root, "langgraph_json", &message, None);
            return ServerSettings::default();
        }
    };
    match serde_json::from_str(&source.text) {
        Ok(raw) => validate(&source, raw, reader.environment, reader.report),
        Err(error) => {
            reader.report.error(json_error(&path, &error));
            ServerSettings::default()
        }
    }
}

fn json_error(path: &Path, error: &serde_json::Error) -> ConfigError {
    // serde quotes the value that it did not expect; what follows ", expected" is ours.
    let text = error.to_string();
    let message = match error.classify() {
        serde_json::error::Category::Data => match text.rsplit_once(", expected ") {
            Some((_, expected)) if !text.starts_with("unknown field") => {
                format!("wrong type: expected {expected}")
            }
            Some(_) | None => text,
        },
        _ => format!("not JSON: {text}"),
    };
    let message = message.split(" at line ").next().unwrap_or_default().to_owned();
    let position = Some(Position { line: error.line().max(1), column: error.column().max(1) });
    ConfigError { file: path.into(), position, message, hint: None, excerpt: None }
}

fn validate(source: &Source, raw: RawFile, environment: &Environment, report: &mut Report) -> ServerSettings {
    let disable_webhooks = raw.http.and_then(|http| http.disable_webhooks).unwrap_or(false);
    let Some(webhooks) = raw.webhooks else {
        return ServerSettings { disable_webhooks, ..ServerSettings::default() };
    };
    let prefix = webhooks.env_prefix.as_deref().unwrap_or(ENV_PREFIX_DEFAULT);
    let mut headers = BTreeMap::new();
    for (name, text) in webhooks.headers.unwrap_or_default() {
        let complaints = check_text(&text, false).into_iter().map(|(message, _)| message);
        let missing = missing(&text, environment).into_iter().map(|error| error.to_string());
        let filled = environment.fill(&text).ok();
        let value = filled.and_then(|filled| value_complaint(filled.expose())).map(str::to_owned);
        let mut fine = true;
        for message in complaints.chain(missing).chain(value).chain(header_complaint(&name, &text, prefix)) {
            fine = false;
            report.file_error(&source.file, format!("webhooks.headers.{name}: {message}"));
        }
        if fine {
            headers.insert(name.to_ascii_lowercase(), Template(text));
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

fn with_server_defaults(written: RawUrl) -> RawUrl {
    RawUrl {
        require_https: written.require_https.or(Some(true)),
        allowed_domains: written.allowed_domains.filter(|domains| !domains.is_empty()),
        allowed_ports: written.allowed_ports.filter(|ports| !ports.is_empty()),
        max_url_length: written.max_url_length.or(Some(MAX_URL_LENGTH_WITH_BLOCK)),
        disable_loopback: written.disable_loopback.or(Some(true)),
        disable_private_ips: written.disable_private_ips.or(Some(false)),
    }
}
