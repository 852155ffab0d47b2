//! Reads single values of a section: fills their placeholders, and parses secrets, paths and durations.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::duration::{KeepNothing, parse_duration, parse_keep};
use super::environment::Environment;
use super::errors::{Complaint, Report};
use super::placeholders::{check_filled_text, is_of_daemon, missing, no_value};
use super::reference::{DefaultValue, SectionReference};
use super::secret::Secret;
use super::section::{NO_ADVICE, Section};
use crate::domain::retention::Keep;
use crate::domain::words::UnknownWord;

/// A section, and what reading its values needs.
pub(super) struct SectionReader<'r, 'd> {
    pub(super) section: Section<'d>,
    /// Its values that have the type of the reference, and the defaults of those that are absent.
    pub(super) values: Map<String, Value>,
    /// The main file's directory, against which relative paths are resolved.
    pub(super) base: &'r Path,
    pub(super) environment: &'r Environment,
    pub(super) report: &'r mut Report,
}

/// The error of a value that is not usable: what is wrong with it has been added to the report already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reported;

impl<'d> SectionReader<'_, 'd> {
    /// Returns a reader of a table within the section.
    pub(super) fn child<'n>(&mut self, key: &str, name: &'n str) -> SectionReader<'_, 'n>
    where
        'd: 'n,
    {
        let section = self.section.child(key, name, self.report);
        let (values, environment) = (Map::new(), self.environment);
        SectionReader { section, values, base: self.base, environment, report: self.report }
    }

    /// Returns a reader of a table within the section that has the keys of this reference.
    pub(super) fn table<'n>(
        &mut self,
        key: &str,
        name: &'n str,
        reference: &SectionReference,
    ) -> SectionReader<'_, 'n>
    where
        'd: 'n,
    {
        let mut table = self.child(key, name);
        let values = table.section.read(reference, NO_ADVICE, table.report);
        table.values = with_defaults(values, reference);
        table
    }

    /// Returns a value as it is written, the default of the reference, or that of the type.
    pub(super) fn value<T: DeserializeOwned + Default>(&mut self, key: &str) -> T {
        let Some(value) = self.values.get(key) else { return T::default() };
        // Cannot fail, because the type was checked. If it did, the value must not pass for an absent one.
        serde_json::from_value(value.clone()).unwrap_or_else(|_| {
            self.report(key, Complaint::new("cannot be read"));
            T::default()
        })
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.section.has(key)
    }

    /// Reports what is valid, but seldom meant.
    pub(super) fn warn(&mut self, key: &str, complaint: Complaint) {
        self.report.warning(self.section.error(key, "", complaint));
    }

    /// Reports a mistake at a key.
    pub(super) fn report(&mut self, key: &str, complaint: Complaint) -> Reported {
        self.report_at(key, "", complaint)
    }

    /// Reports a mistake in the part of a key's value that a JSON pointer names.
    pub(super) fn report_at(&mut self, key: &str, pointer: &str, complaint: Complaint) -> Reported {
        self.report.error(self.section.error(key, pointer, complaint));
        Reported
    }

    /// Parses a word. The type check has found it in the set already.
    pub(super) fn word<Word: FromStr<Err = UnknownWord>>(&mut self, key: &str) -> Result<Word, Reported> {
        let text = self.value::<Option<String>>(key).ok_or(Reported)?;
        text.parse().map_err(|error: UnknownWord| self.report(key, Complaint::new(error.to_string())))
    }

    /// Returns a text with its placeholders filled.
    pub(super) fn fill(&mut self, key: &str, pointer: &str, text: &str) -> Result<String, Reported> {
        let complaints = check_filled_text(text, self.environment);
        let is_good = complaints.is_empty();
        let is_of_daemon = is_of_daemon(text, self.environment);
        for complaint in complaints {
            self.report.unfilled(self.section.error(key, pointer, complaint), is_of_daemon);
        }
        let filled = self.environment.fill(text).ok().filter(|_| is_good).ok_or(Reported)?;
        Ok(filled.expose().to_owned())
    }

    /// Returns a text that may be a secret with its placeholders filled. If only the daemon has a value, something else
    /// is used instead.
    pub(super) fn fill_secret(&mut self, key: &str, pointer: &str, text: &str) -> Result<String, Reported> {
        if !is_of_daemon(text, self.environment) {
            return self.fill(key, pointer, text);
        }
        for error in missing(text, self.environment) {
            let warning = self.section.error(key, pointer, no_value(&error, self.environment));
            self.report.warning(warning);
        }
        Ok(Environment::substitute(text))
    }

    /// Whether something else was used for this text, because only the daemon has its value.
    pub(super) fn is_substituted(&self, key: &str) -> bool {
        let written = self.values.get(key).and_then(Value::as_str);
        written.is_some_and(|text| is_of_daemon(text, self.environment))
    }

    /// Returns a text with its placeholders filled, which must not be empty.
    pub(super) fn text(&mut self, key: &str) -> Result<String, Reported> {
        let written: String = self.value(key);
        let filled = self.fill(key, "", &written)?;
        if filled.trim().is_empty() {
            return Err(self.report(key, Complaint::new("got an empty text")));
        }
        Ok(filled)
    }

    /// Returns a text that is never shown, which must not be empty.
    pub(super) fn secret(&mut self, key: &str, pointer: &str, text: &str) -> Result<Secret, Reported> {
        let filled = self.fill_secret(key, pointer, text)?;
        if filled.trim().is_empty() || filled.contains(char::is_control) {
            let message = "expected one line of text that is not empty";
            let complaint = Complaint::with_hint(message, "leave the key out to send none");
            return Err(self.report_at(key, pointer, complaint));
        }
        if filled.trim() != filled {
            let complaint = Complaint::new("begins or ends with a blank, which no secret does");
            return Err(self.report_at(key, pointer, complaint));
        }
        Ok(Secret::new(&filled))
    }

    /// Returns a path that may be absent; a relative one is resolved against the main file's directory.
    pub(super) fn path(&mut self, key: &str) -> Result<Option<PathBuf>, Reported> {
        if !self.values.contains_key(key) {
            return Ok(None);
        }
        let filled = self.text(key)?;
        if filled.contains(char::is_control) {
            let complaint = Complaint::new("expected a path without control characters");
            return Err(self.report(key, complaint));
        }
        Ok(Some(self.base.join(filled)))
    }

    pub(super) fn duration(&mut self, key: &str) -> Result<Duration, Reported> {
        self.parsed(key, parse_duration, "not a duration such as 90s or 5m")
    }

    /// Returns how long something is kept.
    pub(super) fn keep(&mut self, key: &str, nothing: KeepNothing) -> Result<Keep, Reported> {
        self.parsed(key, |text| parse_keep(text, nothing), "not a duration such as 90d, and not \"forever\"")
    }

    /// Parses a text. What is wrong with it quotes the text, and what comes from the environment must not be quoted:
    /// `problem` is reported then.
    fn parsed<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
        problem: &str,
    ) -> Result<T, Reported> {
        let written: String = self.value(key);
        let filled = self.text(key)?;
        parse(&filled).map_err(|message| {
            let message = if filled == written { message } else { problem.to_owned() };
            self.report(key, Complaint::new(message))
        })
    }
}

/// Returns the values together with the defaults of those that are absent.
pub(super) fn with_defaults(
    mut values: Map<String, Value>,
    reference: &SectionReference,
) -> Map<String, Value> {
    for key in reference.keys {
        if let DefaultValue::Toml(text) = key.default {
            let default = toml::from_str::<Map<String, Value>>(&format!("{} = {text}", key.name));
            values = default.unwrap_or_default().into_iter().chain(values).collect();
        }
    }
    values
}
