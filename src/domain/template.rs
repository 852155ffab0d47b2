//! `${{ … }}`: finds the placeholders of a text or a JSON value and fills them. Pure: what a name stands for is
//! the caller's knowledge, so the same code serves the check at load, the payload at firing time and the webhook.
//!
//! A filled-in value is never read again, so a value that holds `${{` cannot pull in another one.

use std::ops::Range;

use serde_json::Value;

use super::words::words;

/// More placeholders than this in one text are an error.
pub const PLACEHOLDERS_MAX: usize = 1000;
/// No filled text is longer: many placeholders of long values cannot eat the memory.
pub const FILLED_BYTES_MAX: usize = 4 << 20;
/// Deepest nesting of a value that is filled; what comes from JSON text is at most this deep already.
pub const DEPTH_MAX: usize = 128;

/// One `${{ name }}` of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placeholder<'t> {
    /// Where it stands, from the dollar sign to the last brace, in bytes.
    pub range: Range<usize>,
    /// What is between the braces, trimmed; only letters, digits, `_`, `-` and `.`.
    pub name: &'t str,
}

/// What a name in a placeholder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning<'t> {
    /// `env.NAME`: an environment variable of the daemon.
    Environment(&'t str),
    /// `credential.NAME`: a systemd credential.
    Credential(&'t str),
    /// Known only when an occurrence is fired.
    Firing(FiringName),
}

words!(
    /// The names that get their value when an occurrence is fired.
    FiringName {
        /// The cron's name.
        CronName = "cron.name",
        /// When the occurrence is due by the calendar.
        RunScheduledFor = "run.scheduled_for",
        /// Our id of the run.
        RunId = "run.id",
        /// How the cron's previous run ended.
        PreviousStatus = "previous.status",
        /// When it ended.
        PreviousEndedAt = "previous.ended_at",
    }
);

/// Why a text is not a template. Positions are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `${{` without `}}`.
    #[error("`${{{{` without `}}}}`")]
    Unclosed {
        /// Where it opens.
        at: usize,
    },
    /// Not a name between the braces.
    #[error("`${{{{ … }}}}` holds no name: letters, digits, `_`, `-` and `.` are allowed")]
    NoName {
        /// Where it opens.
        at: usize,
    },
    /// More than [`PLACEHOLDERS_MAX`].
    #[error("more than {PLACEHOLDERS_MAX} placeholders in one text")]
    TooMany,
}

/// The name is none of those that mean something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown placeholder `{name}`")]
pub struct UnknownName {
    /// As written.
    pub name: String,
}

/// Why a template could not be filled; `E` is the caller's reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FillError<E> {
    /// It is not a template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A name has no value.
    #[error("{0}")]
    Lookup(E),
    /// The result would be longer than [`FILLED_BYTES_MAX`].
    #[error("longer than {FILLED_BYTES_MAX} bytes once its placeholders are filled")]
    TooLong,
    /// The value is nested deeper than [`DEPTH_MAX`].
    #[error("nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
}

impl<'t> Placeholder<'t> {
    /// What the name stands for.
    pub fn meaning(&self) -> Result<Meaning<'t>, UnknownName> {
        let unknown = || UnknownName { name: self.name.chars().take(64).collect() };
        match self.name.split_once('.') {
            Some(("env", name)) if !name.is_empty() => Ok(Meaning::Environment(name)),
            Some(("credential", name)) if !name.is_empty() => Ok(Meaning::Credential(name)),
            _ => self.name.parse().map(Meaning::Firing).map_err(|_| unknown()),
        }
    }
}

/// Every placeholder of a text, in order.
pub fn placeholders(text: &str) -> Result<Vec<Placeholder<'_>>, TemplateError> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(open) = text[from..].find("${{").map(|at| from + at) {
        let inner = open + 3;
        let Some(close) = text[inner..].find("}}").map(|at| inner + at) else {
            return Err(TemplateError::Unclosed { at: open });
        };
        let name = text[inner..close].trim();
        if name.is_empty() || !name.chars().all(|char| char.is_ascii_alphanumeric() || "_-.".contains(char)) {
            return Err(TemplateError::NoName { at: open });
        }
        if found.len() == PLACEHOLDERS_MAX {
            return Err(TemplateError::TooMany);
        }
        from = close + 2;
        found.push(Placeholder { range: open..from, name });
    }
    Ok(found)
}

/// Whether a text holds a placeholder, or tries to.
pub fn is_template(text: &str) -> bool {
    text.contains("${{")
}

/// A URL that is what it is, whatever is in it: no placeholder is found in it, and a URL parser reads it as before.
pub fn disarmed(url: &str) -> String {
    url.replace("${{", "$%7B%7B")
}

/// The text with every placeholder replaced by what `lookup` says of its name.
pub fn fill<E>(text: &str, lookup: &impl Fn(&str) -> Result<String, E>) -> Result<String, FillError<E>> {
    let mut filled = String::with_capacity(text.len());
    let mut from = 0;
    for placeholder in placeholders(text)? {
        filled.push_str(&text[from..placeholder.range.start]);
        filled.push_str(&lookup(placeholder.name).map_err(FillError::Lookup)?);
        if filled.len() > FILLED_BYTES_MAX {
            return Err(FillError::TooLong);
        }
        from = placeholder.range.end;
    }
    filled.push_str(&text[from..]);
    if filled.len() > FILLED_BYTES_MAX { Err(FillError::TooLong) } else { Ok(filled) }
}

/// The value with every text in it filled; keys of objects stay as they are.
pub fn fill_value<E>(
    value: &Value,
    lookup: &impl Fn(&str) -> Result<String, E>,
) -> Result<Value, FillError<E>> {
    fill_nested(value, lookup, DEPTH_MAX)
}

fn fill_nested<E>(
    value: &Value,
    lookup: &impl Fn(&str) -> Result<String, E>,
    depth_left: usize,
) -> Result<Value, FillError<E>> {
    let deeper = depth_left.checked_sub(1).ok_or(FillError::TooDeep);
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.clone()),
        Value::String(text) => fill(text, lookup).map(Value::String),
        Value::Array(items) => {
            let deeper = deeper?;
            items
                .iter()
                .map(|item| fill_nested(item, lookup, deeper))
                .collect::<Result<_, _>>()
                .map(Value::Array)
        }
        Value::Object(entries) => {
            let deeper = deeper?;
            let fill_entry = |(key, item): (&String, &Value)| {
                fill_nested(item, lookup, deeper).map(|filled| (key.clone(), filled))
            };
            entries.iter().map(fill_entry).collect::<Result<_, _>>().map(Value::Object)
        }
    }
}

#[cfg(test)]
mod tests;
