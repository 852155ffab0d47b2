//! One table of a document, read into a struct of `Option`s: every unknown key and every wrong type is reported at its
//! own place, and the good keys are kept.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::document::TomlDocument;
use super::errors::{Complaint, ConfigError, Report, escaped, quoted_key};
use super::json::to_json;
use super::limits::DEPTH_MAX;
use super::loss::Loss;
use super::nearest::{did_you_mean, nearest};
use super::reference::{KeyReference, SectionReference};
use super::type_check::{kind_of, type_complaint};

/// A table, which may be absent: then all its keys are absent.
#[derive(Clone, Copy)]
pub(super) struct Section<'d> {
    pub(super) document: &'d TomlDocument<'d>,
    /// The name for messages, as in the header; empty for the top level.
    pub(super) name: &'d str,
    /// The byte at which the header is.
    pub(super) offset: usize,
    table: Option<&'d DeTable<'d>>,
}

/// Returns the hint for an unknown key, or `None` for the usual hint: the nearest known key.
pub(super) type Advice = fn(&str) -> Option<&'static str>;

/// The advice of a section that has none.
pub(super) const NO_ADVICE: Advice = |_| None;

impl<'d> Section<'d> {
    /// Returns the top level of a file.
    pub(super) fn root(document: &'d TomlDocument<'d>) -> Self {
        Self { document, name: "", offset: 0, table: Some(&document.root) }
    }

    /// Returns a table within this one. It is a mistake if the key has any other value.
    pub(super) fn child(&self, key: &str, name: &'d str, report: &mut Report) -> Self {
        let found = self.table.and_then(|table| table.get_key_value(key));
        let table = found.and_then(|(_, value)| value.get_ref().as_table());
        if let (Some((_, value)), None) = (found, table) {
            let message = format!("{}: got {}, expected a table", escaped(key), kind_of(value.get_ref()));
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

    pub(super) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    pub(super) fn entries(
        &self,
    ) -> impl Iterator<Item = (&'d Spanned<DeString<'d>>, &'d Spanned<DeValue<'d>>)> {
        self.table.into_iter().flat_map(DeTable::iter)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Returns the byte at which a key's value is, or a part of it by JSON pointer (RFC 6901); the header's if the
    /// key is absent.
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

    /// Returns a mistake at a key's value, or at the part of it that the pointer names. Its message begins with the
    /// key.
    pub(super) fn error(&self, key: &str, pointer: &str, complaint: Complaint) -> ConfigError {
        let Complaint { message, hint } = complaint;
        self.document.source.error(self.locate(key, pointer), format!("{}: {message}", escaped(key)), hint)
    }

    /// Returns the mistake that a key is missing, at the header.
    pub(super) fn missing(&self, key: &str) -> ConfigError {
        let message = format!("[{}] has no {key}", escaped(self.name));
        self.document.source.error(self.offset, message, None)
    }

    /// Returns the table as JSON, which is empty if the table is absent or has what JSON cannot represent.
    pub(super) fn json(&self) -> Map<String, Value> {
        let entry = |(key, value): (&Spanned<DeString<'_>>, _)| {
            (key.get_ref().to_string(), to_json(value, &mut Vec::new()))
        };
        self.entries().map(entry).collect()
    }

    /// Reads the keys of the section into a struct that has the same keys. Tables within it are read by others.
    pub(super) fn read<T: DeserializeOwned + Default>(
        &self,
        reference: &SectionReference,
        advice: Advice,
        report: &mut Report,
    ) -> T {
        self.read_each(reference, advice, report, |_, _, _| {})
    }

    /// Does the same, and calls `before` for each key that is not the name of a known table.
    pub(super) fn read_each<T: DeserializeOwned + Default>(
        &self,
        reference: &SectionReference,
        advice: Advice,
        report: &mut Report,
        before: impl Fn(&str, &DeValue<'_>, &mut Report),
    ) -> T {
        let mut entries = Map::new();
        for (key, value) in self.entries() {
            let name: &str = key.get_ref();
            if reference.tables.contains(&name) {
                continue;
            }
            before(name, value.get_ref(), report);
            let Some(known) = reference.key(name) else {
                let hint =
                    (!report.is_full()).then(|| match (advice(name), self.name.strip_prefix("cron.")) {
                        (Some(advice), _) => advice.to_owned(),
                        (None, Some(cron))
                            if value.get_ref().as_table().is_some()
                                && nearest(name, reference.names()).is_none() =>
                        {
                            format!("a name with a dot needs quotes: [cron.\"{cron}.{name}\"]")
                        }
                        (None, _) => did_you_mean(name, reference.names()),
                    });
                // It may be the switch of all webhooks, misspelt or in the wrong table.
                let is_switch = is_switch(name) || has_switch(value.get_ref(), DEPTH_MAX);
                report.error_about(is_switch.then_some(Loss::Webhooks), self.unknown_key(key, hint));
                continue;
            };
            if let Some(json) = self.checked_json(known, value, report) {
                entries.insert(name.to_owned(), json);
            }
        }
        // Cannot fail: a test proves that the struct takes every value that has the type of the reference. If it did,
        // the section must not pass for an empty one.
        T::deserialize(Value::Object(entries)).unwrap_or_else(|_| {
            let message = format!("[{}] cannot be read", escaped(self.name));
            report.error(self.document.source.error(self.offset, message, None));
            T::default()
        })
    }

    fn unknown_key(&self, key: &Spanned<DeString<'_>>, hint: Option<String>) -> ConfigError {
        let place = match self.name {
            "" => "at the top level".to_owned(),
            name => format!("in [{}]", escaped(name)),
        };
        let message = format!("unknown key {} {place}", quoted_key(key.get_ref()));
        self.document.source.error(key.span().start, message, hint)
    }

    /// Returns a key's value as JSON, or reports what is wrong with it.
    fn checked_json(
        &self,
        key: &KeyReference,
        value: &Spanned<DeValue<'_>>,
        report: &mut Report,
    ) -> Option<Value> {
        let mut mistakes = Vec::new();
        let json = to_json(value, &mut mistakes);
        let is_json = mistakes.is_empty();
        for mistake in mistakes {
            let message = format!("{}: {}", key.name, mistake.message);
            report.error(self.document.source.error(mistake.offset, message, None));
        }
        if !is_json {
            return None;
        }
        match type_complaint(key, value.get_ref()) {
            None => Some(json),
            Some(complaint) => {
                report.error(self.error(key.name, "", complaint));
                None
            }
        }
    }
}

/// The switch of all webhooks, under `[http]` of the main file.
const SWITCH: &str = "disable_webhooks";

/// Returns whether a key is the switch of all webhooks, or nearly.
pub(super) fn is_switch(name: &str) -> bool {
    nearest(name, [SWITCH]).is_some()
}

/// Returns whether the switch of all webhooks, or nearly that, is somewhere in a value that is not understood.
fn has_switch(value: &DeValue<'_>, depth_left: usize) -> bool {
    let Some(depth_left) = depth_left.checked_sub(1) else { return true };
    match value {
        DeValue::Table(table) => table
            .iter()
            .any(|(name, value)| is_switch(name.get_ref()) || has_switch(value.get_ref(), depth_left)),
        DeValue::Array(items) => items.iter().any(|item| has_switch(item.get_ref(), depth_left)),
        _ => false,
    }
}
