//! A cron as the server tells it -> the same cron as ours, with a note for everything that is not the same.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::text;
use super::webhook::{Variables, without_secrets};
use crate::config::{CronFields, is_cron_name, validate_cron};
use crate::domain::template::is_template;
use crate::domain::url_policy::UrlPolicy;

/// What crons are mapped into.
#[derive(Default)]
pub(super) struct Surroundings {
    /// Names in use, in lower case.
    pub(super) names: BTreeSet<String>,
    /// Which webhooks `check` would refuse, if that is known.
    pub(super) policy: Option<UrlPolicy>,
    /// The variables that are asked for.
    pub(super) variables: Variables,
}

/// What the server's cron comes to.
#[derive(Clone, Debug)]
pub(super) struct Imported {
    /// Its name here.
    pub(super) name: String,
    /// Its id there.
    pub(super) cron_id: String,
    /// Its fields; `None` if it cannot be taken over.
    pub(super) fields: Option<CronFields>,
    /// What is not the same.
    pub(super) notes: Vec<String>,
}

/// Metadata that agentcron sets itself.
const RESERVED: [&str; 3] = ["cron_id", "cron_name", "scheduled_for"];
/// Told elsewhere in a cron, or of no use to anybody.
const NOT_FIELDS: [&str; 4] = ["assistant_id", "metadata", "thread_id", "webhook"];

impl Imported {
    /// The same, but it does not fire.
    pub(super) fn disabled(mut self) -> Self {
        if let Some(fields) = &mut self.fields {
            fields.enabled = Some(false);
        }
        self
    }
}

/// Maps one.
pub(super) fn map(cron: &Value, surroundings: &mut Surroundings) -> Imported {
    let cron_id = cron["cron_id"].as_str().unwrap_or("without an id").to_owned();
    let name = free_name(cron, &cron_id, &mut surroundings.names);
    let mut notes = Vec::new();
    let known = known(cron, surroundings, &mut notes);
    let fields =
        serde_json::from_value::<CronFields>(Value::Object(known)).map_err(|error| error.to_string());
    let fields = fields.and_then(|fields| {
        validate_cron(&name, &fields)
            .map(|_| fields)
            .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    });
    let fields = fields.map_err(|problem| notes.push(format!("not taken over: {problem}"))).ok();
    Imported { name, cron_id, fields, notes }
}

/// By what the user calls it, or by the end of its id, whose beginning is only a time.
fn free_name(cron: &Value, cron_id: &str, names: &mut BTreeSet<String>) -> String {
    let wished = cron["metadata"]["name"].as_str().filter(|name| is_cron_name(name) && name.len() <= 90);
    let end: String = cron_id.chars().rev().take(12).collect::<Vec<_>>().into_iter().rev().collect();
    let plain: String = end.chars().filter(char::is_ascii_alphanumeric).collect();
    let stem = wished.map_or_else(|| format!("imported-{plain}"), str::to_owned);
    let candidates = (1..).map(|number: usize| match number {
        1 => stem.clone(),
        _ => format!("{stem}-{number}"),
    });
    let name = candidates.into_iter().find(|name| !names.contains(&name.to_lowercase())).unwrap_or_default();
    names.insert(name.to_lowercase());
    name
}

/// The fields that we know, in the words of our files.
fn known(cron: &Value, surroundings: &mut Surroundings, notes: &mut Vec<String>) -> Map<String, Value> {
    let on_thread = cron["thread_id"].is_string();
    let mut known = Map::new();
    for key in ["schedule", "timezone", "assistant_id", "thread_id", "end_time", "on_run_completed"] {
        if !cron[key].is_null() {
            known.insert(key.to_owned(), cron[key].clone());
        }
    }
    // What the server does where nothing is said; `[defaults]` of ours might say something else.
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
            notes.push(format!("`{key}` is not known here: left out"));
        }
    }
    tidy(&mut known, on_thread, notes);
    webhook(&cron["payload"]["webhook"], &mut known, surroundings, notes);
    known
}

fn webhook(
    written: &Value,
    known: &mut Map<String, Value>,
    surroundings: &mut Surroundings,
    notes: &mut Vec<String>,
) {
    let Some(written) = written.as_str() else { return };
    let refusal = surroundings.policy.as_ref().and_then(|policy| policy.judge_url(written).err());
    let mapped = match refusal {
        _ if is_template(written) => Err("it holds `${{`, which means something else here".to_owned()),
        Some(refusal) => Err(format!("refused by the policy: {refusal}, see [webhooks.url]")),
        None => without_secrets(written, &mut surroundings.variables).map_err(str::to_owned),
    };
    match mapped {
        Ok(url) => {
            if is_template(&url) {
                notes
                    .push("its webhook's URL had something secret in it: see the variables above".to_owned());
            }
            known.insert("webhook".to_owned(), json!(url));
        }
        Err(why) => notes.push(format!("its webhook is left out: {why}")),
    }
}

/// What the server allows, ignores or adds, and we do not.
fn tidy(known: &mut Map<String, Value>, on_thread: bool, notes: &mut Vec<String>) {
    if let Some(Value::Object(configurable)) =
        known.get_mut("config").and_then(|config| config.get_mut("configurable"))
    {
        configurable.remove("cron_id");
    }
    for key in ["config", "configurable"] {
        let place = if key == "config" {
            Some(&mut *known)
        } else {
            known.get_mut("config").and_then(Value::as_object_mut)
        };
        if let Some(place) = place
            && place.get(key).and_then(Value::as_object).is_some_and(Map::is_empty)
        {
            place.remove(key);
        }
    }
    if known.get("config").and_then(Value::as_object).is_some_and(Map::is_empty) {
        known.remove("config");
    }
    if on_thread {
        known.remove("on_run_completed");
    } else if let Some(strategy) = known.remove("multitask_strategy").filter(|strategy| *strategy != "reject")
    {
        notes.push(format!(
            "multitask_strategy was {strategy}: each run has a thread of its own, so it says nothing"
        ));
    }
    if let Some(Value::Object(metadata)) = known.get_mut("metadata") {
        metadata.retain(|key, _| {
            let reserved = RESERVED.contains(&key.as_str()) || key.starts_with("agentcron_");
            if reserved {
                notes.push(format!("metadata `{key}` is set by agentcron itself: left out"));
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
        notes.push("end_time had no offset: taken as UTC".to_owned());
        known.insert("end_time".to_owned(), json!(in_utc));
    }
    for key in ["input", "config", "context", "metadata"] {
        let Some(value) = known.get_mut(key) else { continue };
        if any_text(value, &is_template) {
            // It would be filled here with what the server sends as it is, from the daemon's own environment even.
            notes.push(format!(
                "`{key}` holds `${{{{`, which means something else here: left out, so disabled"
            ));
        } else if !text::sayable(value) {
            notes.push(format!(
                "`{key}` holds what TOML cannot say (null, or a number of its own): left out, so disabled"
            ));
        } else {
            continue;
        }
        known.remove(key);
        known.insert("enabled".to_owned(), json!(false));
    }
}

fn any_text(value: &Value, is: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => is(text),
        Value::Array(items) => items.iter().any(|item| any_text(item, is)),
        Value::Object(entries) => entries.iter().any(|(key, item)| is(key) || any_text(item, is)),
    }
}
