//! The file itself: TOML with comments. Nothing that the server said gets out of its line.

use serde_json::Value;

use super::mapping::Imported;
use super::webhook::Variables;

/// The whole file.
pub(super) fn file(from: &str, imported: &[Imported], variables: &Variables) -> String {
    let mut text = format!(
        "# Crons of {from}, written by `agentcron import`.\n\
         # The server still fires them: delete them there, or each of them fires twice.\n"
    );
    let names = variables.names();
    if !names.is_empty() {
        text.push_str(
            "#\n# What may be secret in webhook URLs was not written here. Set these variables for the daemon:\n",
        );
        names.iter().for_each(|name| text.push_str(&format!("#   {name}\n")));
    }
    imported.iter().for_each(|cron| text.push_str(&one(cron)));
    text
}

fn one(cron: &Imported) -> String {
    let mut text = format!("\n# {}\n", comment(&format!("there: {}", cron.cron_id)));
    cron.notes.iter().for_each(|note| text.push_str(&format!("# {}\n", comment(note))));
    let Some(fields) = &cron.fields else {
        text.push_str(&comment(&format!("# [cron.{}]", cron.name)));
        text.push('\n');
        return text;
    };
    text.push_str(&format!("[cron.{}]\n", key(&cron.name)));
    let fields = serde_json::to_value(fields).unwrap_or_default();
    for (name, value) in fields.as_object().into_iter().flatten() {
        if let Some(value) = toml_value(value) {
            text.push_str(&format!("{name} = {value}\n"));
        }
    }
    text
}

/// On one line, without control characters.
fn comment(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

/// A name as a key; a bare one cannot have dots in it.
fn key(name: &str) -> String {
    if name.contains('.') { format!("\"{name}\"") } else { name.to_owned() }
}

/// Whether TOML can say it: it knows no null, and no number beyond 64 bits.
pub(super) fn sayable(value: &Value) -> bool {
    toml_value(value).is_some()
}

fn toml_value(value: &Value) -> Option<toml::Value> {
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
