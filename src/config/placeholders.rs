//! The rules for placeholders: which names are allowed in a text, and whether they have a value.

use serde_json::{Map, Value};

use super::environment::{Environment, LookupError};
use super::errors::{Complaint, quoted};
use super::nearest::nearest;
use crate::domain::template::{self, FiringName, PlaceholderSource};

/// Which names a text may have in its placeholders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AllowedNames {
    /// `env.…` and `credential.…` only.
    Environment,
    /// Those, and the names that have a value only when an occurrence is fired.
    EnvironmentAndFiring,
}

/// Returns what is wrong with the placeholders of a text, whatever their values are.
pub(super) fn check_text(text: &str, allowed: AllowedNames) -> Vec<Complaint> {
    let found = match template::placeholders(text) {
        Ok(found) => found,
        Err(error) => return vec![Complaint::with_hint(error.to_string(), "write `${{ env.NAME }}`")],
    };
    let mut complaints = Vec::new();
    for placeholder in found {
        match (placeholder.source(), allowed) {
            (Ok(PlaceholderSource::Environment(_) | PlaceholderSource::Credential(_)), _)
            | (Ok(PlaceholderSource::Firing(_)), AllowedNames::EnvironmentAndFiring) => {}
            (Ok(PlaceholderSource::Firing(name)), AllowedNames::Environment) => {
                let hint = "it can be used in input, config, context and metadata";
                complaints.push(Complaint::with_hint(format!("`{name}` has no value here"), hint));
            }
            (Err(unknown), _) => {
                let message = format!("unknown placeholder {}", quoted(&unknown.name));
                complaints.push(Complaint::with_hint(message, hint(&unknown.name)));
            }
        }
    }
    complaints
}

/// Returns what is wrong with a text whose placeholders are filled from the environment now: names that are not
/// allowed, and names without a value.
pub(super) fn check_filled_text(text: &str, environment: &Environment) -> Vec<Complaint> {
    let mut complaints = check_text(text, AllowedNames::Environment);
    let missing = missing(text, environment);
    complaints.extend(missing.iter().map(|error| no_value(error, environment)));
    complaints
}

/// Returns whether nothing is wrong with a text but that it has no value here, and the daemon may have one.
pub(super) fn is_of_daemon(text: &str, environment: &Environment) -> bool {
    !environment.must_have_secrets()
        && check_text(text, AllowedNames::Environment).is_empty()
        && !missing(text, environment).is_empty()
}

/// Returns an error for each `env.…` and `credential.…` of a text that has no value.
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

/// Returns the complaint about a name without a value.
pub(super) fn no_value(error: &LookupError, environment: &Environment) -> Complaint {
    match environment.must_have_secrets() {
        true => Complaint::new(error.to_string()),
        false => Complaint::with_hint(error.to_string(), "not checked here; the daemon may have it"),
    }
}

fn hint(name: &str) -> String {
    if let Some(name) = nearest(name, FiringName::WORDS.iter().copied()) {
        return format!("did you mean `{name}`?");
    }
    format!("known: env.NAME, credential.NAME, {}", FiringName::WORDS.join(", "))
}

/// Calls `visit` for every text in a value, with its JSON pointer (RFC 6901).
pub(super) fn each_text<'v>(value: &'v Value, visit: &mut impl FnMut(&str, &'v str)) {
    each_nested(value, &mut String::new(), template::DEPTH_MAX, visit);
}

/// Calls `visit` for every text in a map, with its JSON pointer (RFC 6901).
pub(super) fn each_text_of_map<'v>(map: &'v Map<String, Value>, visit: &mut impl FnMut(&str, &'v str)) {
    for (key, value) in map {
        let key = pointer_token(key);
        each_text(value, &mut |pointer, text| visit(&format!("/{key}{pointer}"), text));
    }
}

/// Returns a key as it is written in a JSON pointer (RFC 6901 §3).
pub(super) fn pointer_token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
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
                pointer.push_str(&pointer_token(key));
                each_nested(item, pointer, depth_left, visit);
                pointer.truncate(parent_bytes);
            }
        }
    }
}
