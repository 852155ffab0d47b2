//! `${{ … }}`: finds the placeholders of a text or a JSON value and fills them. It is pure: the caller knows
//! the value of a name, so the same code serves the check at load, the payload at firing time and the
//! webhook.
//!
//! A filled-in value is not scanned again, so a value that contains `${{` cannot pull in another one.

use std::ops::Range;

use serde_json::Value;

use super::words::words;

/// The most placeholders in one text.
pub const PLACEHOLDERS_MAX: usize = 1000;
/// The longest filled text, so that many placeholders with long values cannot use up the memory.
pub const FILLED_BYTES_MAX: usize = 4 << 20;
/// The deepest nesting of a value that is filled. Values parsed from JSON text are at most this deep already.
pub const DEPTH_MAX: usize = 128;

/// One `${{ name }}` of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placeholder<'t> {
    /// Its bytes in the text, from the dollar sign to the last brace.
    pub range: Range<usize>,
    /// The trimmed text between the braces: only letters, digits, `_`, `-` and `.`.
    pub name: &'t str,
}

/// Where the value of a placeholder comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceholderSource<'t> {
    /// `env.NAME`: an environment variable of the daemon.
    Environment(&'t str),
    /// `credential.NAME`: a systemd credential.
    Credential(&'t str),
    /// A value that is known only when an occurrence fires.
    Firing(FiringName),
}

words!(
    /// The names whose value is known only when an occurrence fires.
    FiringName {
        CronName = "cron.name",
        /// When the occurrence is due by the calendar.
        RunScheduledFor = "run.scheduled_for",
        /// Our id of the run, not the backend's.
        RunId = "run.id",
        /// How the cron's previous run ended.
        PreviousStatus = "previous.status",
        PreviousEndedAt = "previous.ended_at",
    }
);

/// Why a text is not a template. `at` is the byte at which the placeholder opens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("`${{{{` without `}}}}`")]
    Unclosed { at: usize },
    #[error("`${{{{ … }}}}` holds no name: letters, digits, `_`, `-` and `.` are allowed")]
    NoName { at: usize },
    #[error("more than {PLACEHOLDERS_MAX} placeholders in one text")]
    TooMany,
}

/// The name of a placeholder that has no meaning, shortened to 64 characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown placeholder `{name}`")]
pub struct UnknownName {
    pub name: String,
}

/// Why a template could not be filled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FillError<E> {
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The caller's `lookup` has no value for a name.
    #[error("{0}")]
    Lookup(E),
    #[error("longer than {FILLED_BYTES_MAX} bytes once its placeholders are filled")]
    TooLong,
    #[error("nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
}

impl<'t> Placeholder<'t> {
    /// Returns where the value of this placeholder comes from.
    pub fn source(&self) -> Result<PlaceholderSource<'t>, UnknownName> {
        let unknown = || UnknownName { name: self.name.chars().take(64).collect() };
        match self.name.split_once('.') {
            Some(("env", name)) if !name.is_empty() => Ok(PlaceholderSource::Environment(name)),
            Some(("credential", name)) if !name.is_empty() => Ok(PlaceholderSource::Credential(name)),
            _ => self.name.parse().map(PlaceholderSource::Firing).map_err(|_| unknown()),
        }
    }
}

/// Returns every placeholder of a text, in order.
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

/// Returns whether a text contains a placeholder or the beginning of one.
pub fn is_template(text: &str) -> bool {
    text.contains("${{")
}

/// Escapes a URL so that it contains no placeholder, while a URL parser reads it as before.
pub fn escaped(url: &str) -> String {
    url.replace("${{", "$%7B%7B")
}

/// Returns the text with every placeholder replaced by the value that `lookup` returns for its name.
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

/// Returns the value with every text in it filled. Keys of objects stay as they are.
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
