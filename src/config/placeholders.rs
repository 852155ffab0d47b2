//! The rules for placeholders: which names may stand where, and whether they have a value.

use serde_json::Value;

use super::environment::{Environment, LookupError};
use super::errors::quoted;
use super::fields::CronFields;
use super::nearest::nearest;
use super::validate_cron::{FieldError, check_webhook_url};
use crate::domain::template::{self, FiringName, PlaceholderSource};

/// A message and a hint.
pub(super) type Complaint = (String, Option<String>);

/// What is wrong with the placeholders of a text, whatever their values are. `at_firing` says whether the names that
/// are known only when an occurrence is fired may stand here.
pub(super) fn check_text(text: &str, at_firing: bool) -> Vec<Complaint> {
    let found = match template::placeholders(text) {
        Ok(found) => found,
        Err(error) => return vec![(error.to_string(), Some("write `${{ env.NAME }}`".to_owned()))],
    };
    let mut complaints = Vec::new();
    for placeholder in found {
        match placeholder.source() {
            Ok(PlaceholderSource::Environment(_) | PlaceholderSource::Credential(_)) => {}
            Ok(PlaceholderSource::Firing(_)) if at_firing => {}
            Ok(PlaceholderSource::Firing(name)) => {
                let hint = "it can stand in input, config, context and metadata".to_owned();
                complaints.push((format!("`{name}` has no value here"), Some(hint)));
            }
            Err(unknown) => {
                complaints
                    .push((format!("unknown placeholder {}", quoted(&unknown.name)), hint(&unknown.name)));
            }
        }
    }
    complaints
}

fn hint(name: &str) -> Option<String> {
    let firing = || FiringName::ALL.iter().map(|name| name.as_str());
    if let Some(name) = nearest(name, firing()) {
        return Some(format!("did you mean `{name}`?"));
    }
    let known = firing().collect::<Vec<_>>().join(", ");
    Some(format!("known: env.NAME, credential.NAME, {known}"))
}

/// Calls back for every text in a value, with its JSON pointer.
pub(super) fn each_text<'v>(value: &'v Value, visit: &mut impl FnMut(&str, &'v str)) {
    each_nested(value, &mut String::new(), template::DEPTH_MAX, visit);
}

fn each_nested<'v>(
    value: &'v Value,
    pointer: &mut String,
    depth_left: usize,
    visit: &mut impl FnMut(&str, &'v str),
) {
    let Some(depth_left) = depth_left.checked_sub(1) else { return };
    let parent_bytes = pointer.len();
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => visit(pointer, text),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointer.push_str(&format!("/{index}"));
                each_nested(item, pointer, depth_left, visit);
                pointer.truncate(parent_bytes);
            }
        }
        Value::Object(entries) => {
            for (key, item) in entries {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
                each_nested(item, pointer, depth_left, visit);
                pointer.truncate(parent_bytes);
            }
        }
    }
}

/// Calls back for every text of a map, with its JSON pointer.
pub(super) fn each_text_of_map<'v>(
    map: &'v serde_json::Map<String, Value>,
    visit: &mut impl FnMut(&str, &'v str),
) {
    for (key, value) in map {
        let key = key.replace('~', "~0").replace('/', "~1");
        each_text(value, &mut |pointer, text| visit(&format!("/{key}{pointer}"), text));
    }
}

/// Whether every `env.…` and `credential.…` of a cron has a value, and the webhook is a URL with them.
pub fn check_values(fields: &CronFields, environment: &Environment) -> Vec<FieldError> {
    let mut mistakes = Vec::new();
    let mut check = |field: &'static str, pointer: &str, text: &str| {
        for error in missing(text, environment) {
            let (pointer, message) = (pointer.to_owned(), error.to_string());
            mistakes.push(FieldError { field, pointer, message, hint: None, excerpt: None });
        }
    };
    if let Some(input) = &fields.input {
        each_text(input, &mut |pointer, text| check("input", pointer, text));
    }
    for (field, map) in
        [("config", &fields.config), ("context", &fields.context), ("metadata", &fields.metadata)]
    {
        if let Some(map) = map {
            each_text_of_map(map, &mut |pointer, text| check(field, pointer, text));
        }
    }
    if let Some(webhook) = &fields.webhook {
        check("webhook", "", webhook);
        if template::is_template(webhook)
            && let Ok(filled) = environment.fill(webhook)
            && let Err(complaint) = check_webhook_url(filled.expose())
        {
            let message = format!("once its placeholders are filled: {}", complaint.message);
            let hint = complaint.hint.map(str::to_owned);
            let pointer = String::new();
            mistakes.push(FieldError { field: "webhook", pointer, message, hint, excerpt: None });
        }
    }
    mistakes
}

/// The names of a text that should have a value and have none.
pub(super) fn missing(text: &str, environment: &Environment) -> Vec<LookupError> {
    let found = template::placeholders(text).unwrap_or_default();
    let of_environment = found.iter().filter(|placeholder| {
        matches!(
            placeholder.source(),
            Ok(PlaceholderSource::Environment(_) | PlaceholderSource::Credential(_))
        )
    });
    of_environment.filter_map(|placeholder| environment.lookup(placeholder.name).err()).collect()
}
