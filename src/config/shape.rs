//! What a struct expects, learnt from serde itself, so that no list of keys is written twice; and serde's complaints
//! in our words, without the value (it may be a secret).

use serde::de::value::Error;
use serde::de::{self, DeserializeOwned, Visitor};
use toml::de::DeValue;

/// The keys of a struct.
pub(super) fn field_names<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // It always answers with an error: it has the names, but no values.
    let _ = T::deserialize(Introspection(&mut names));
    names
}

struct Introspection<'n>(&'n mut &'static [&'static str]);

impl<'de> de::Deserializer<'de> for Introspection<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("names only"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        Err(de::Error::custom("names only"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// serde's `invalid type: integer `5`, expected a string` in our words.
pub(super) fn wrong_type(serde_message: &str, value: &DeValue<'_>) -> String {
    let Some((complaint, expected)) = serde_message.rsplit_once(", expected ") else {
        return format!("got {}, which does not fit", got(value));
    };
    // Its own word for what it met: for a list that is the item, not the list.
    let met = complaint.split_once(": ").map_or(complaint, |(_, met)| met);
    let met = match met.split(' ').next().unwrap_or_default() {
        "string" => "text",
        "integer" => "an integer",
        "floating" => "a decimal number",
        "boolean" => "a boolean",
        "map" => "a table",
        "sequence" => "a list",
        _ => got(value),
    };
    // A date is text in JSON only.
    let met = if matches!(value, DeValue::Datetime(_)) { got(value) } else { met };
    let inside = if met == got(value) { "" } else { " inside" };
    let expected = match expected {
        "a string" => "text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" => "a whole number from 0 on",
        other => other,
    };
    let negative = if complaint.contains("integer `-") { "a negative number" } else { met };
    format!("got {negative}{inside}, expected {expected}")
}

/// How a value of that key is written, where a wrong type is a likely mistake.
pub(super) fn type_hint(key: &str) -> Option<String> {
    let hint = match key {
        "timeout" | "start_deadline" | "catchup_window" | "jitter" | "request_timeout" | "shutdown_grace" => {
            "a duration is written \"90s\", \"5m\", \"1h30m\" or \"7d\""
        }
        "exclude" => "days are written [\"2026-12-25\", \"2026-12-24..2027-01-02\"]",
        "signing_secrets" | "allowed_domains" | "allowed_ports" | "allowed_fields" | "feedback_keys" => {
            "write a list: […]"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

/// What kind of value it is.
pub(super) fn got(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
