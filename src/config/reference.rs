//! Every section and key of a configuration file: the one list of them. The check for unknown keys and wrong types
//! reads it, and so do the JSON Schema, the documentation and its tests.

/// Lists keys as a table: of each its name, type, default, secrecy and example, and then its meaning.
macro_rules! keys {
    ($($name:ident: $value_type:expr, $default:expr, $secrecy:expr, $example:literal; $meaning:literal)+) => {
        &[$(KeyReference {
            name: stringify!($name),
            value_type: $value_type,
            default: $default,
            example: $example,
            meaning: $meaning,
            secrecy: $secrecy,
        }),+]
    };
}

mod crons;
mod sections;

use std::fmt;

use super::value_type::ValueType;

pub(super) use crons::CRON;
use crons::DEFAULTS;
pub use crons::RETRY;
pub(super) use crons::{DURABILITIES, STREAM_MODES};
pub(super) use sections::{
    BACKEND, HTTP, HTTP_KEY, INCLUDED_FILE, LOG, NOTIFY, STORE, STORE_BACKUP, TOP_LEVEL, WEBHOOKS,
    WEBHOOKS_URL,
};
use sections::{BACKEND_HEADERS, WEBHOOKS_HEADERS};

/// One table of a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionReference {
    /// As in the table's header, without the brackets; empty for the top level of the file. `cron.NAME` is the table of
    /// the cron `NAME`, and `http.keys.NAME` that of the key `NAME`.
    pub name: &'static str,
    /// What the section is about, in one line.
    pub meaning: &'static str,
    pub key_names: KeyNames,
    pub keys: &'static [KeyReference],
    /// The names of the tables within this one. They have sections of their own.
    pub tables: &'static [&'static str],
}

/// Who chooses the names of a section's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyNames {
    /// The keys are those of the list, and no others.
    Fixed,
    /// The author of the file. The list has one entry, which describes every key.
    Chosen,
}

/// One key of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyReference {
    pub name: &'static str,
    pub value_type: ValueType,
    pub default: DefaultValue,
    /// A value in TOML, for example `"30s"` with its quotes.
    pub example: &'static str,
    /// What the key does, in one line.
    pub meaning: &'static str,
    pub secrecy: Secrecy,
}

/// What holds if a key is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultValue {
    Required,
    /// The same as with this value, in TOML.
    Toml(&'static str),
    /// No value has the same effect; this says what happens.
    Absent(&'static str),
}

/// Shows the default as documentation has it: `required`, the value in TOML, or what happens without one.
impl fmt::Display for DefaultValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Required => "required",
            Self::Toml(text) | Self::Absent(text) => text,
        })
    }
}

/// Whether a value may be shown in messages and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    Public,
    MayHoldSecret,
}

impl SectionReference {
    pub fn key(&self, name: &str) -> Option<&'static KeyReference> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Returns the names of all keys and tables of this section.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.keys.iter().map(|key| key.name).chain(self.tables.iter().copied())
    }
}

/// Returns every section in the order in which a file has them, each with all its keys in order.
pub fn reference() -> &'static [&'static SectionReference] {
    &[
        &TOP_LEVEL,
        &BACKEND,
        &BACKEND_HEADERS,
        &STORE,
        &STORE_BACKUP,
        &LOG,
        &HTTP,
        &HTTP_KEY,
        &WEBHOOKS,
        &WEBHOOKS_URL,
        &WEBHOOKS_HEADERS,
        &NOTIFY,
        &DEFAULTS,
        &CRON,
    ]
}

/// Returns whether a key or a table has that name.
pub fn is_name(word: &str) -> bool {
    reference().iter().any(|section| section.names().any(|name| name == word))
}

/// Returns whether values of keys with that name can be shown. An unknown key may hold anything, so its value cannot.
pub fn is_public(key_name: &str) -> bool {
    let mut keys = reference().iter().filter_map(|section| section.key(key_name)).peekable();
    keys.peek().is_some() && keys.all(|key| key.secrecy == Secrecy::Public)
}

#[cfg(test)]
pub(super) mod tests;
