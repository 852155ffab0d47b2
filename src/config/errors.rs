//! Mistakes in the configuration: collected, never the first one only, each with the place to look at.
//!
//! No message quotes a value that could be a secret: keys, words, schedules and durations are quoted, URLs, headers
//! and filled-in placeholders are not.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::limits::ERRORS_MAX;

/// Line and column, both from 1, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

/// One mistake, or one thing worth a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file as it was named.
    pub file: Arc<Path>,
    /// `None` if it is about the file as a whole.
    pub position: Option<Position>,
    /// What was got, and what was expected.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// What is at fault with a caret under it, in two lines; secrets masked.
    pub excerpt: Option<String>,
}

/// Every mistake of every file, sorted by place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        let excerpt = self.excerpt.iter().flat_map(|excerpt| excerpt.lines());
        excerpt.into_iter().try_for_each(|line| write!(f, "\n  | {line}"))
    }
}

impl ConfigErrors {
    /// One mistake, about a file as a whole.
    pub(super) fn of_file(file: &Path, message: String) -> Self {
        Self(vec![about_file(&file.into(), message)])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().take(ERRORS_MAX).enumerate() {
            write!(f, "{}{error}", if index == 0 { "" } else { "\n" })?;
        }
        match self.0.len().checked_sub(ERRORS_MAX) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, "\n… and {more} more mistakes"),
        }
    }
}

impl std::error::Error for ConfigErrors {}

/// What one reading of the configuration has to say so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    errors: Vec<ConfigError>,
    warnings: Vec<ConfigError>,
}

impl Report {
    /// A mistake.
    pub(super) fn error(&mut self, error: ConfigError) {
        self.errors.push(error);
    }

    /// A mistake of a file as a whole.
    pub(super) fn file_error(&mut self, file: &Arc<Path>, message: impl Into<String>) {
        self.errors.push(about_file(file, message));
    }

    /// Something odd, but valid, at its place.
    pub(super) fn warning(&mut self, warning: ConfigError) {
        self.warnings.push(warning);
    }

    /// Something odd, but valid, about a file as a whole.
    pub(super) fn file_warning(&mut self, file: &Arc<Path>, message: impl Into<String>) {
        self.warnings.push(about_file(file, message));
    }

    /// The warnings, or every mistake in order; a mistake in `[defaults]` meets every cron, but is told once.
    pub(super) fn finish(mut self) -> Result<Vec<ConfigError>, ConfigErrors> {
        if self.errors.is_empty() {
            return Ok(self.warnings);
        }
        let location = |error: &ConfigError| (error.file.clone(), error.position, error.message.clone());
        self.errors.sort_by_cached_key(location);
        self.errors.dedup();
        Err(ConfigErrors(self.errors))
    }
}

fn about_file(file: &Arc<Path>, message: impl Into<String>) -> ConfigError {
    ConfigError { file: file.clone(), position: None, message: message.into(), hint: None, excerpt: None }
}

/// A text as it was written, short enough for a message and without control characters.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", escaped(text))
}

/// The same without quotes.
pub(super) fn escaped(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 64;
    let mut shown = String::new();
    for char in text.chars().take(SHOWN_CHARS_MAX) {
        if char.is_control() {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}
