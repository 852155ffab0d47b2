//! Walks through JSON without keeping it: a text of 16 MiB may hold millions of values, and only a few of them matter to us.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Result;
use serde_json::value::RawValue;

/// The entries of an object, each with its value as written.
pub(super) fn each_entry<'j>(json: &'j [u8], visit: impl FnMut(&str, &'j RawValue)) -> Result<()> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    deserializer.deserialize_map(Entries(visit))?;
    deserializer.end()
}

/// The items of an array, each as written.
pub(super) fn each_item<'j>(json: &'j [u8], visit: impl FnMut(&'j RawValue)) -> Result<()> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    deserializer.deserialize_seq(Items(visit))?;
    deserializer.end()
}

/// Returns how many values there are in a JSON text, those within others included. An empty list or
/// object counts as if it had one.
pub(super) fn count_values(json: &[u8]) -> usize {
    let (mut count, mut in_text, mut is_escaped) = (1, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_text,
            b'"' => in_text = !in_text,
            b',' | b'[' | b'{' if !in_text => count += 1,
            _ => {}
        }
    }
    count
}

/// What a value is, by its first character; only texts are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Text(String),
    /// Text in which an escape stands for no character; parsers differ about it.
    UnreadableText,
    NumberOrBoolean,
    Collection,
}

impl Kind {
    pub(super) fn of(value: &RawValue) -> Self {
        match value.get().as_bytes().first() {
            Some(b'"') => serde_json::from_str(value.get()).map_or(Self::UnreadableText, Self::Text),
            Some(b'{' | b'[') => Self::Collection,
            Some(b'n') => Self::Null,
            Some(_) | None => Self::NumberOrBoolean,
        }
    }
}

struct Entries<F>(F);

impl<'de, F: FnMut(&str, &'de RawValue)> Visitor<'de> for Entries<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some((Key(key), value)) = map.next_entry()? {
            (self.0)(&key, value);
        }
        Ok(())
    }
}

struct Items<F>(F);

impl<'de, F: FnMut(&'de RawValue)> Visitor<'de> for Items<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> std::result::Result<(), A::Error> {
        while let Some(item) = items.next_element()? {
            (self.0)(item);
        }
        Ok(())
    }
}

/// A key, copied only if it has escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Key<'j>(#[serde(borrow)] Cow<'j, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_and_what_is_in_a_text_is_not() {
        for (json, expected) in
            [("5", 1), (r#"{"a":[1,2],"b":{}}"#, 6), (r#"["a,[{\",,\\",2]"#, 3), (r#""\\\",""#, 1)]
        {
            assert_eq!(count_values(json.as_bytes()), expected, "{json}");
        }
    }
}
