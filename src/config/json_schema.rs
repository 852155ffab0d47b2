//! The JSON Schema of the configuration, by which editors complete and check it while it is written.
//!
//! It is draft-07, the newest that taplo and Even Better TOML are sure to read, and uses only words that mean the same since
//! draft 4. It must refuse nothing that the daemon takes: what is right in one place only, such as a key that belongs in the
//! main file, is left to `agentcron check`. One schema fits the main file and the files that it includes.

use serde_json::{Map, Value, json};
use toml::de::DeTable;

use super::json::to_json;
use super::limits::CRON_NAME_CHARS_MAX;
use super::reference::{
    CRON, DefaultValue, KeyNames, KeyReference, RETRY, SectionReference, TOP_LEVEL, reference,
};
use super::value_type::ValueType;

/// A text with a placeholder may become anything.
const PLACEHOLDER: &str = r"\$\{\{";
/// Numbers with units. Which units there are is left to the parser.
const DURATION: &str = r"^\s*(0|([0-9][0-9.\s]*[A-Za-zµ]+\s*)+)$";
const URL: &str = "^[^A-Za-z]*[Hh][Tt][Tt][Pp][Ss]?:";
/// A date, a time and an offset (RFC 3339), and what may follow them (RFC 9557).
const TIME: &str = r"^[-+0-9]+[Tt ][0-9:.,]+\s*([Zz]|[-+][0-9:.]+)(\[[^\]]*\])*$";
const DAY: &str = "[-+]?[0-9]{4,6}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])";

/// Returns the schema of the main file, and of every file that it includes.
pub fn json_schema() -> Value {
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "agentcron",
        "description": "The configuration of agentcron: the main file, or a file that it includes.",
    });
    let members = schema.as_object_mut().into_iter();
    members.for_each(|members| members.extend(table(&TOP_LEVEL)));
    schema["definitions"] = json!({ "cron": table(&CRON) });
    schema
}

/// Returns what a table may have.
fn table(section: &SectionReference) -> Map<String, Value> {
    let mut schema = Map::from_iter([("type".to_owned(), json!("object"))]);
    if let (KeyNames::Chosen, [key]) = (section.key_names, section.keys) {
        schema.insert("additionalProperties".to_owned(), of_key(section, key));
        return schema;
    }
    let keys = section.keys.iter().map(|key| (key.name.to_owned(), of_key(section, key)));
    let tables = section.tables.iter().map(|name| ((*name).to_owned(), of_table(section, name)));
    schema.insert("properties".to_owned(), keys.chain(tables).collect());
    schema.insert("additionalProperties".to_owned(), json!(false));
    let required = section.keys.iter().filter(|key| key.default == DefaultValue::Required);
    let required: Vec<&str> = required.map(|key| key.name).collect();
    // `[defaults]` may have what a cron does not have itself.
    if !required.is_empty() && !is_of_cron(section) {
        schema.insert("required".to_owned(), json!(required));
    }
    schema
}

/// Returns the schema of a table within another, or of a table of tables whose names the author chooses.
fn of_table(outer: &SectionReference, name: &str) -> Value {
    let full_name = if outer.name.is_empty() { name.to_owned() } else { format!("{}.{name}", outer.name) };
    let named = format!("{full_name}.NAME");
    let found = reference().iter().find(|section| section.name == full_name || section.name == named);
    let Some(section) = found else { return json!(true) };
    let within = match is_of_cron(section) {
        true => json!({ "allOf": [{ "$ref": "#/definitions/cron" }] }),
        false => Value::Object(table(section)),
    };
    let described = |mut schema: Value| {
        schema["description"] = json!(without_links(section.meaning));
        schema
    };
    if section.name == full_name {
        return described(within);
    }
    let names = format!("^[A-Za-z0-9_.-]{{1,{CRON_NAME_CHARS_MAX}}}$");
    let tables = json!({ "type": "object", "patternProperties": { names: within } });
    let mut tables = described(tables);
    tables["additionalProperties"] = json!(false);
    tables
}

fn is_of_cron(section: &SectionReference) -> bool {
    ["cron.NAME", "defaults"].contains(&section.name)
}

/// Returns what the value of a key may be, and what an editor shows of it.
fn of_key(section: &SectionReference, key: &KeyReference) -> Value {
    let mut schema = match (key.name, key.value_type) {
        ("retry", ValueType::Table) => Value::Object(table(&RETRY)),
        // The words of a cron are filled, those of other sections are not.
        (_, ValueType::Word(words)) if is_of_cron(section) => {
            json!({ "anyOf": [{ "enum": words }, matching(PLACEHOLDER)] })
        }
        (_, value_type) => of_type(value_type),
    };
    let mut description = without_links(key.meaning);
    match key.default {
        DefaultValue::Required => {}
        DefaultValue::Toml(default) => schema["default"] = toml_value(default),
        DefaultValue::Absent(effect) => description.push_str(&format!("\n\nIf absent: {effect}.")),
    }
    schema["description"] = json!(description);
    schema["examples"] = json!([toml_value(key.example)]);
    schema
}

fn of_type(value_type: ValueType) -> Value {
    let text = || json!({ "type": "string" });
    let list = |items: Value| json!({ "type": "array", "items": items });
    match value_type {
        ValueType::Text => text(),
        ValueType::Path => json!({ "type": "string", "minLength": 1 }),
        ValueType::Url => filled_or(URL),
        ValueType::Duration => filled_or(DURATION),
        ValueType::Period => filled_or(&format!("^forever$|{DURATION}")),
        ValueType::Time => filled_or(TIME),
        ValueType::Word(words) => json!({ "enum": words }),
        ValueType::Boolean => json!({ "type": "boolean" }),
        ValueType::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        ValueType::Number { min, max } => json!({ "type": "number", "minimum": min, "maximum": max }),
        ValueType::TextList => list(text()),
        ValueType::TextOrList => json!({ "anyOf": [text(), list(text())] }),
        ValueType::WordOrList(words) => {
            let word = json!({ "enum": words });
            json!({ "anyOf": [word, list(word.clone())] })
        }
        ValueType::IntegerList { min, max } => list(of_type(ValueType::Integer { min, max })),
        ValueType::DayList => list(matching(&format!(r"^\s*{DAY}\s*(\.\.\s*{DAY}\s*)?$"))),
        ValueType::Table => json!({ "type": "object" }),
        ValueType::Any => json!({}),
    }
}

fn matching(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

/// Returns the schema of a text that is filled before it has to match.
fn filled_or(pattern: &str) -> Value {
    matching(&format!("{PLACEHOLDER}|{pattern}"))
}

/// Returns a value that is written in TOML.
fn toml_value(text: &str) -> Value {
    let line = format!("value = {text}");
    let (table, _) = DeTable::parse_recoverable(&line);
    table.get_ref().get("value").map_or(Value::Null, |value| to_json(value, &mut Vec::new()))
}

/// Returns the text without the targets of its links: they are places of a document.
fn without_links(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        let (target, behind) = after.split_once(')').unwrap_or((after, ""));
        match (before.rsplit_once('['), target.contains(' ')) {
            (Some((before, label)), false) => shown.push_str(&format!("{before}{label}")),
            (_, _) => shown.push_str(&format!("{before}]({target})")),
        }
        rest = behind;
    }
    shown + rest
}

#[cfg(test)]
mod tests;
