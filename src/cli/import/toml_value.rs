//! JSON values in TOML.

use serde_json::Value;

/// Whether TOML can express a value: it has no null, and no number beyond 64 bits.
pub(super) fn is_expressible(value: &Value) -> bool {
    toml_value(value).is_some()
}

/// Returns the value in TOML, or `None` if TOML cannot express it.
pub(super) fn toml_value(value: &Value) -> Option<toml::Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(flag) => toml::Value::Boolean(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => toml::Value::Integer(integer),
            None if number.is_f64() => toml::Value::Float(number.as_f64()?),
            None => return None,
        },
        Value::String(text) => toml::Value::String(text.clone()),
        Value::Array(items) => toml::Value::Array(items.iter().map(toml_value).collect::<Option<_>>()?),
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, item)| Some((key.clone(), toml_value(item)?)));
            toml::Value::Table(entries.collect::<Option<_>>()?)
        }
    })
}
