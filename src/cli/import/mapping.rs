//! Maps a cron of the agent server to the same cron of ours, with a note on everything that differs.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::webhook::{Variables, without_secrets};
use crate::cli::toml_value::is_expressible;
use crate::config::{CronFields, is_cron_name, validate_cron};
use crate::domain::template::is_template;
use crate::domain::url_policy::UrlPolicy;

/// What is defined already where the crons are imported to.
#[derive(Default)]
pub(super) struct ImportContext {
    /// Names in use, in lower case.
    pub(super) names: BTreeSet<String>,
    /// The policy by which `check` would refuse webhooks, if it is known.
    pub(super) policy: Option<UrlPolicy>,
    pub(super) variables: Variables,
}

/// One cron of the server, mapped.
#[derive(Clone, Debug)]
pub(super) struct ImportedCron {
    pub(super) name: String,
    /// Its id on the server.
    pub(super) cron_id: String,
    /// `None` if it cannot be imported.
    pub(super) fields: Option<CronFields>,
    /// What differs from the server's cron, and why it could not be imported.
    pub(super) notes: Vec<String>,
}

/// Whether the runs of a cron share a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CronKind {
    Thread,
    Stateless,
}

/// Metadata keys that agentcron sets itself.
const RESERVED: [&str; 3] = ["cron_id", "cron_name", "scheduled_for"];
/// Parts of the payload that are also elsewhere in the cron.
const NOT_FIELDS: [&str; 4] = ["assistant_id", "metadata", "thread_id", "webhook"];

impl ImportedCron {
    /// Returns the same cron with `enabled = false`.
    pub(super) fn disabled(mut self) -> Self {
        if let Some(fields) = &mut self.fields {
            fields.enabled = Some(false);
        }
        self
    }
}

/// Maps one cron.
pub(super) fn map(cron: &Value, context: &mut ImportContext) -> ImportedCron {
    let cron_id = cron["cron_id"].as_str().unwrap_or("without an id").to_owned();
    let name = free_name(cron, &cron_id, &mut context.names);
    let mut notes = Vec::new();
    let known = known(cron, context, &mut notes);
    let fields =
        serde_json::from_value::<CronFields>(Value::Object(known)).map_err(|error| error.to_string());
    let fields = fields.and_then(|fields| {
        validate_cron(&name, &fields)
            .map(|_| fields)
            .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    });
    let fields = fields.map_err(|problem| notes.push(format!("not imported: {problem}"))).ok();
    ImportedCron { name, cron_id, fields, notes }
}

/// Returns the user's name for the cron, or one made from the end of its id, whose beginning is only a time.
fn free_name(cron: &Value, cron_id: &str, names: &mut BTreeSet<String>) -> String {
    let chosen = cron["metadata"]["name"].as_str().filter(|name| is_cron_name(name) && name.len() <= 90);
    let end: String = cron_id.chars().rev().take(12).collect::<Vec<_>>().into_iter().rev().collect();
    let plain: String = end.chars().filter(char::is_ascii_alphanumeric).collect();
    let stem = chosen.map_or_else(|| format!("imported-{plain}"), str::to_owned);
    let candidates = (1..).map(|number: usize| match number {
        1 => stem.clone(),
        _ => format!("{stem}-{number}"),
    });
    let name = candidates.into_iter().find(|name| !names.contains(&name.to_lowercase())).unwrap_or_default();
    names.insert(name.to_lowercase());
    name
}

/// Returns the fields that we know, under the names of our files.
fn known(cron: &Value, context: &mut ImportContext, notes: &mut Vec<String>) -> Map<String, Value> {
    let kind = if cron["thread_id"].is_string() { CronKind::Thread } else { CronKind::Stateless };
    let mut known = Map::new();
    for key in ["schedule", "timezone", "assistant_id", "thread_id", "end_time", "on_run_completed"] {
        if !cron[key].is_null() {
            known.insert(key.to_owned(), cron[key].clone());
        }
    }
    // The server's defaults are written out, since `[defaults]` of ours may differ.
    known.entry("timezone").or_insert_with(|| json!("UTC"));
    known.insert("overlap".to_owned(), json!("allow"));
    if cron["enabled"] == false {
        known.insert("enabled".to_owned(), json!(false));
    }
    if let Some(metadata) = cron["metadata"].as_object().filter(|metadata| !metadata.is_empty()) {
        known.insert("metadata".to_owned(), Value::Object(metadata.clone()));
    }
    for (key, value) in cron["payload"].as_object().into_iter().flatten() {
        if known.contains_key(key) || NOT_FIELDS.contains(&key.as_str()) || value.is_null() {
            continue;
        }
        if CronFields::NAMES.contains(&key.as_str()) {
            known.insert(key.clone(), value.clone());
        } else {
            notes.push(format!("`{key}` is not known here and was left out"));
        }
    }
    tidy(&mut known, kind, notes);
    webhook(&cron["payload"]["webhook"], &mut known, context, notes);
    known
}

fn webhook(
    written: &Value,
    known: &mut Map<String, Value>,
    context: &mut ImportContext,
    notes: &mut Vec<String>,
) {
    let Some(written) = written.as_str() else { return };
    let refusal = context.policy.as_ref().and_then(|policy| policy.judge_url(written).err());
    let mapped = match refusal {
        _ if is_template(written) => Err("it contains `${{`, which means something else here".to_owned()),
        Some(refusal) => Err(format!("the policy [webhooks.url] refuses it: {refusal}")),
        None => without_secrets(written, &mut context.variables).map_err(str::to_owned),
    };
    match mapped {
        Ok(url) => {
            if is_template(&url) {
                notes.push("its webhook's URL contained a secret: see the variables above".to_owned());
            }
            known.insert("webhook".to_owned(), json!(url));
        }
        Err(why) => notes.push(format!("its webhook was left out: {why}")),
    }
}

/// Removes or changes what the server allows, ignores or adds, and we do not.
fn tidy(known: &mut Map<String, Value>, kind: CronKind, notes: &mut Vec<String>) {
    tidy_config(known);
    match kind {
        CronKind::Thread => {
            known.remove("on_run_completed");
        }
        CronKind::Stateless => {
            let strategy = known.remove("multitask_strategy").filter(|strategy| *strategy != "reject");
            notes.extend(strategy.map(|strategy| {
                format!(
                    "multitask_strategy {strategy} was left out: each run has a thread of its own, so it has no effect"
                )
            }));
        }
    }
    if let Some(Value::Object(metadata)) = known.get_mut("metadata") {
        metadata.retain(|key, _| {
            let reserved = RESERVED.contains(&key.as_str()) || key.starts_with("agentcron_");
            if reserved {
                notes.push(format!("metadata `{key}` was left out: agentcron sets it itself"));
            }
            !reserved
        });
    }
    if let Some(end_time) = known.get("end_time").and_then(Value::as_str)
        && end_time.parse::<jiff::Timestamp>().is_err()
        && end_time.parse::<jiff::civil::DateTime>().is_ok()
    {
        let in_utc = if end_time.contains(['T', ' ']) {
            format!("{end_time}Z")
        } else {
            format!("{end_time}T00:00:00Z")
        };
        notes.push("end_time had no offset: read as UTC".to_owned());
        known.insert("end_time".to_owned(), json!(in_utc));
    }
    leave_out_inexpressible(known, notes);
}

/// Removes what the server adds to `config`, and what is empty then.
fn tidy_config(known: &mut Map<String, Value>) {
    let Some(Value::Object(config)) = known.get_mut("config") else { return };
    if let Some(Value::Object(configurable)) = config.get_mut("configurable") {
        configurable.remove("cron_id");
        if configurable.is_empty() {
            config.remove("configurable");
        }
    }
    if config.is_empty() {
        known.remove("config");
    }
}

/// Leaves out fields that a file of ours cannot hold, and disables the cron, which would run without them.
fn leave_out_inexpressible(known: &mut Map<String, Value>, notes: &mut Vec<String>) {
    for key in ["input", "config", "context", "metadata"] {
        let Some(value) = known.get_mut(key) else { continue };
        if any_text(value, &is_template) {
            // The server sends it as it is; here it would be filled, even from the daemon's own environment.
            notes.push(format!(
                "`{key}` was left out and the cron disabled: it contains `${{{{`, which means something else here"
            ));
        } else if !is_expressible(value) {
            notes.push(format!(
                "`{key}` was left out and the cron disabled: TOML cannot express its null or very large number"
            ));
        } else {
            continue;
        }
        known.remove(key);
        known.insert("enabled".to_owned(), json!(false));
    }
}

/// Whether any string in a value, including the names of its fields, `matches`.
fn any_text(value: &Value, matches: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => matches(text),
        Value::Array(items) => items.iter().any(|item| any_text(item, matches)),
        Value::Object(entries) => entries.iter().any(|(key, item)| matches(key) || any_text(item, matches)),
    }
}
