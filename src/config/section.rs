//! One table of a document, read into a struct of `Option`s: every unknown key and every wrong type is reported,
//! each at its own place, and what is good is kept.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::document::Document;
use super::errors::{ConfigError, Report, escaped, quoted};
use super::json::to_json;
use super::nearest::did_you_mean;
use super::shape::{field_names, got, type_hint, wrong_type};

/// A table, or the absence of one: then every key of it is absent.
#[derive(Clone, Copy)]
pub(super) struct Section<'d> {
    pub(super) document: &'d Document<'d>,
    /// As in the header, for messages; empty for the top level.
    pub(super) name: &'d str,
    /// Where its header stands.
    pub(super) offset: usize,
    table: Option<&'d DeTable<'d>>,
}

/// What a key that is not known gets as a hint instead of the nearest known one.
pub(super) type Advice = fn(&str) -> Option<&'static str>;

impl<'d> Section<'d> {
    /// The top level.
    pub(super) fn root(document: &'d Document<'d>) -> Self {
        Self { document, name: "", offset: 0, table: Some(&document.root) }
    }

    /// A table within this one; anything else by that key is a mistake.
    pub(super) fn child(&self, key: &str, name: &'d str, report: &mut Report) -> Self {
        let found = self.table.and_then(|table| table.get_key_value(key));
        let table = found.and_then(|(_, value)| value.get_ref().as_table());
        if let (Some((_, value)), None) = (found, table) {
            let message = format!("{}: got {}, expected a table", escaped(key), got(value.get_ref()));
            let example =
                if key == "cron" { "[cron.NAME]".to_owned() } else { format!("[{}]", escaped(name)) };
            report.error(self.document.source.error(
                value.span().start,
                message,
                Some(format!("write {example}")),
            ));
        }
        let offset = found.map_or(self.offset, |(key, _)| key.span().start);
        Self { document: self.document, name, offset, table }
    }

    /// Whether it stands in the file.
    pub(super) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// Its keys and values.
    pub(super) fn entries(
        &self,
    ) -> impl Iterator<Item = (&'d Spanned<DeString<'d>>, &'d Spanned<DeValue<'d>>)> {
        self.table.into_iter().flat_map(DeTable::iter)
    }

    /// Whether the key stands in it.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Where a key's value stands, or what it holds by JSON pointer (RFC 6901); the header if the key is absent.
    pub(super) fn locate(&self, key: &str, pointer: &str) -> usize {
        let Some(mut value) = self.table.and_then(|table| table.get(key)) else {
            return self.offset;
        };
        for token in pointer.split('/').skip(1) {
            let token = token.replace("~1", "/").replace("~0", "~");
            let next = match value.get_ref() {
                DeValue::Table(table) => table.get(token.as_str()),
                DeValue::Array(items) => token.parse().ok().and_then(|index: usize| items.get(index)),
                _ => None,
            };
            match next {
                Some(next) => value = next,
                None => break,
            }
        }
        value.span().start
    }

    /// A mistake at a key's value (or what it holds), told with the key's name.
    pub(super) fn error(&self, key: &str, pointer: &str, message: &str, hint: Option<String>) -> ConfigError {
        self.document.source.error(self.locate(key, pointer), format!("{}: {message}", escaped(key)), hint)
    }

    /// Reads the keys that the struct knows. `tables` are known too, but read by somebody else.
    pub(super) fn read<T: DeserializeOwned + Default>(
        &self,
        tables: &[&str],
        advice: Advice,
        report: &mut Report,
    ) -> T {
        let known = field_names::<T>();
        let mut entries = Map::new();
        for (key, value) in self.entries() {
            let name: &str = key.get_ref();
            if tables.contains(&name) {
                continue;
            }
            if !known.contains(&name) {
                let hint = advice(name).map(str::to_owned);
                let hint = hint.unwrap_or_else(|| did_you_mean(name, known.iter().chain(tables).copied()));
                report.error(self.unknown_key(key, hint));
            } else if let Some(json) = self.json_of(name, value, report) {
                entries.insert(name.to_owned(), json);
            }
        }
        let entries = Value::Object(entries);
        // serde stops at the first mistake, so if there is one, each key is tried alone.
        T::deserialize(&entries).unwrap_or_else(|_| {
            let Value::Object(entries) = entries else { return T::default() };
            let good = entries.into_iter().filter(|(name, value)| self.fits::<T>(name, value, report));
            T::deserialize(Value::Object(good.collect())).unwrap_or_default()
        })
    }

    fn unknown_key(&self, key: &Spanned<DeString<'_>>, hint: String) -> ConfigError {
        let place = match self.name {
            "" => "at the top level".to_owned(),
            name => format!("in [{}]", escaped(name)),
        };
        let message = format!("unknown key {} {place}", quoted(key.get_ref()));
        self.document.source.error(key.span().start, message, Some(hint))
    }

    fn json_of(&self, name: &str, value: &Spanned<DeValue<'_>>, report: &mut Report) -> Option<Value> {
        let mut mistakes = Vec::new();
        let json = to_json(value, &mut mistakes);
        let fine = mistakes.is_empty();
        for mistake in mistakes {
            let message = format!("{name}: {}", mistake.message);
            report.error(self.document.source.error(mistake.offset, message, None));
        }
        fine.then_some(json)
    }

    /// Whether the struct takes the value for this key.
    fn fits<T: DeserializeOwned>(&self, name: &str, value: &Value, report: &mut Report) -> bool {
        let alone = Value::Object(Map::from_iter([(name.to_owned(), value.clone())]));
        let Err(error) = T::deserialize(alone) else { return true };
        if let Some(written) = self.table.and_then(|table| table.get(name)) {
            let message = wrong_type(&error.to_string(), written.get_ref());
            report.error(self.error(name, "", &message, type_hint(name)));
        }
        false
    }
}
