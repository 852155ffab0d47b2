//! JSON values in TOML.

use serde_json::Value;

use crate::domain::printable::is_unprintable;

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

/// Returns the value as TOML, with everything unprintable in its texts escaped.
pub(super) fn written(value: &toml::Value) -> String {
    let shown = value.to_string();
    if !shown.contains(|char| is_unprintable(char) && char != '\n') {
        return shown;
    }
    match value {
        toml::Value::String(text) => quoted(text),
        toml::Value::Array(items) => {
            format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", "))
        }
        toml::Value::Table(entries) => {
            let entries = entries.iter().map(|(key, item)| format!("{} = {}", quoted(key), written(item)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        // Numbers, booleans and times have nothing to escape.
        _ => shown,
    }
}

fn quoted(text: &str) -> String {
    let char = |char: char| match char {
        '"' | '\\' => format!("\\{char}"),
        char if is_unprintable(char) => format!("\\U{:08x}", u32::from(char)),
        char => char.to_string(),
    };
    format!("\"{}\"", text.chars().map(char).collect::<String>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_mean_the_same_and_have_nothing_unprintable() {
        let hostile = "a\"b\\c\n'''\u{9b}\u{202e}\u{e0041}\u{7f}\t\r";
        for value in [
            json!("plain"),
            json!("a\nb"),
            json!(hostile),
            json!([1, hostile, { "k": true, hostile: [hostile] }]),
        ] {
            let value = toml_value(&value).unwrap();
            let text = format!("x = {}\n", written(&value));
            assert!(!text.contains(|char| is_unprintable(char) && char != '\n'), "{text:?}");
            assert_eq!(text.parse::<toml::Table>().unwrap()["x"], value, "{text}");
        }
    }
}
