//! The JSON Schema takes every configuration that there is here, and refuses what has another shape than it says. What only
//! `agentcron check` can see is listed, with the reason.

use std::path::{Path, PathBuf};

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

use super::keys::{MISTAKES, configuration};
use super::markdown::Document;
use super::{of_users, root};

/// What is wrong with these is not their shape.
const ONLY_CHECK_SEES: &[(&str, &[&str])] = &[
    (
        "it depends on the type of the target",
        &[
            "notify.NAME.url",
            "notify.NAME.crons",
            "notify.NAME.routing_key",
            "notify.NAME.topic",
            "notify.NAME.token",
            "notify.NAME.user",
            "notify.NAME.password",
            "notify.NAME.from",
            "notify.NAME.to",
        ],
    ),
    (
        "it depends on other files, or on this machine",
        &["langgraph_json", "include", "store.url", "store.listen_url", "webhooks.url.allowed_domains"],
    ),
    (
        "it depends on values that are filled in",
        &["cron.NAME.input", "backend.api_key", "store.password", "http.api_keys", "http.keys.NAME.key"],
    ),
    (
        "it is a language of its own: cron expressions, zones, names, pointers, addresses, keys",
        &[
            "store.backup.schedule",
            "cron.NAME.schedule",
            "cron.NAME.timezone",
            "cron.NAME.assistant_id",
            "cron.NAME.thread_id",
            "cron.NAME.thread",
            "cron.NAME.was",
            "store.redact",
            "cron.NAME.redact",
            "http.listen",
            "http.socket_group",
            "http.allow_origins",
            "webhooks.signing_secrets",
            "webhooks.allowed_fields",
        ],
    ),
    (
        "the number of a duration is counted, or its unit is looked up",
        &[
            "backend.request_timeout",
            "store.keep",
            "store.keep_values",
            "cron.NAME.catchup_window",
            "cron.NAME.jitter",
            "cron.NAME.keep",
            "cron.NAME.keep_values",
            "notify.NAME.every",
        ],
    ),
    (
        "it is reserved, or depends on another key",
        &[
            "backend.headers.forwarded",
            "webhooks.headers.webhook-id",
            "cron.NAME.metadata",
            "cron.NAME.interrupt_before",
            "cron.NAME.interrupt_after",
            "cron.NAME.multitask_strategy",
        ],
    ),
];

struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Schema {
    fn new() -> Self {
        let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
        compiler.add_resource("memory:///schema", agentcron::config::json_schema()).unwrap();
        let index = compiler.compile("memory:///schema", &mut schemas).unwrap();
        Self { schemas, index }
    }

    /// Validates a file in TOML.
    fn check(&self, text: &str) -> Result<(), String> {
        let table: toml::Table = toml::from_str(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
        let value = json(&toml::Value::Table(table));
        self.schemas.validate(&value, self.index).map_err(|error| error.to_string())
    }
}

/// Returns a value as validators of TOML see it: times are texts.
fn json(value: &toml::Value) -> Value {
    match value {
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(items) => items.iter().map(json).collect(),
        toml::Value::Table(table) => table.iter().map(|(key, item)| (key.clone(), json(item))).collect(),
        other => serde_json::to_value(other).unwrap(),
    }
}

#[test]
fn the_schema_takes_every_file_and_every_example_in_the_documents() {
    let schema = Schema::new();
    let mut files = Vec::new();
    add_files(&root().join("examples"), &mut files);
    add_files(&root().join("contrib/package/etc"), &mut files);
    files.push(root().join("src/cli/demo/agentcron.toml"));
    let texts = files.iter().map(|file| (file.clone(), std::fs::read_to_string(file).unwrap()));
    let blocks = of_users().into_iter().flat_map(|page| {
        let blocks = Document::read(&page).blocks().into_iter().filter(|block| block.language == "toml");
        blocks.map(move |block| (page.clone(), block.text)).collect::<Vec<_>>()
    });
    let mut checked = 0;
    for (place, text) in texts.chain(blocks) {
        checked += 1;
        schema.check(&text).unwrap_or_else(|error| panic!("{}: {error}\n{text}", place.display()));
    }
    assert!(files.len() >= 7 && checked > files.len() + 8, "{checked} of {files:?}");
}

fn add_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension() {
            _ if path.is_dir() => add_files(&path, found),
            Some(extension) if extension == "toml" => found.push(path),
            _ => {}
        }
    }
}

#[test]
fn the_schema_refuses_every_documented_mistake_but_those_that_only_check_sees() {
    let schema = Schema::new();
    let listed: Vec<&str> = ONLY_CHECK_SEES.iter().flat_map(|(_, keys)| keys.iter().copied()).collect();
    let mut faults = Vec::new();
    for (section, key, value) in MISTAKES {
        let text = configuration(section, key, &format!("{key} = {value}"));
        let name = if section.is_empty() { (*key).to_owned() } else { format!("{section}.{key}") };
        match (schema.check(&text).is_err(), listed.contains(&name.as_str())) {
            (true, false) | (false, true) => {}
            (true, true) => faults.push(format!("{name} is listed, and the schema refuses it")),
            (false, false) => faults.push(format!("the schema takes {name} = {value}")),
        }
    }
    let is_made = |name: &&&str| {
        MISTAKES.iter().any(|(section, key, _)| format!("{section}.{key}").trim_matches('.') == **name)
    };
    faults.extend(listed.iter().filter(|name| !is_made(name)).map(|name| format!("{name} is no mistake")));
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
