//! Mistakes in the configuration: all of them are collected, not only the first, each with its place in the file.
//!
//! No message quotes a value that could be a secret. Keys, words, schedules and durations are quoted; URLs, headers and
//! filled-in placeholders are not.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::environment::Environment;
use super::limits::ERRORS_MAX;
use super::loss::Loss;
use crate::domain::printable::{blanked, on_one_line};
use crate::domain::signing::SECRET_PREFIXES;

/// A place in a file. Line and column both count from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// One mistake, or one warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The path as it was given.
    pub file: Arc<Path>,
    /// `None` if the error is about the file as a whole.
    pub position: Option<Position>,
    /// What was got, and what was expected.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The text at fault and a caret under it, in two lines; secrets are masked.
    pub excerpt: Option<String>,
    /// What it makes unknown.
    pub losses: Vec<Loss>,
    /// Whether nothing is wrong with the file: a value is missing in this process, which only the runs of a cron need.
    pub wants_value: bool,
}

/// Every mistake of every file, sorted by place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", on_one_line(&self.file.display().to_string()))?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", on_one_line(&self.message))?;
        if let Some(hint) = &self.hint {
            write!(f, " ({})", on_one_line(hint))?;
        }
        let excerpt = self.excerpt.iter().flat_map(|excerpt| excerpt.lines());
        excerpt.into_iter().try_for_each(|line| write!(f, "\n  | {}", blanked(line)))
    }
}

impl ConfigError {
    /// Returns a mistake about a file as a whole.
    pub(super) fn of_file(file: impl Into<Arc<Path>>, message: impl Into<String>) -> Self {
        let (message, losses) = (message.into(), Vec::new());
        Self {
            file: file.into(),
            position: None,
            message,
            hint: None,
            excerpt: None,
            losses,
            wants_value: false,
        }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&listed(&self.0, ConfigError::to_string))
    }
}

/// Returns the first mistakes, each as `text` has it, and how many more there are.
pub(super) fn listed(mistakes: &[ConfigError], text: impl Fn(&ConfigError) -> String) -> String {
    let mut lines: Vec<String> = mistakes.iter().take(ERRORS_MAX).map(text).collect();
    let more = mistakes.len().checked_sub(ERRORS_MAX).filter(|more| *more > 0);
    lines.extend(more.map(|more| format!("… and {more} more mistakes")));
    lines.join("\n")
}

impl std::error::Error for ConfigErrors {}

/// What is wrong with a value, reported by code that does not know where the value is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Complaint {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(super) fn with_hint(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()) }
    }
}

/// The errors and warnings collected while a configuration is read.
#[derive(Debug, Default)]
pub(super) struct Report {
    errors: Vec<ConfigError>,
    warnings: Vec<ConfigError>,
    /// Warnings that take something away, such as a value that only the daemon may have.
    lost: Vec<ConfigError>,
    /// What the part that is being read is about.
    about: Vec<Loss>,
}

/// By which mistakes crons are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    InAnyWay,
    /// Not those that only say that a value is missing.
    ForMoreThanAValue,
}

/// The crons that mistakes take away.
#[derive(Default)]
pub(super) struct LostCrons<'r> {
    all: bool,
    names: BTreeSet<&'r str>,
}

impl LostCrons<'_> {
    pub(super) fn has(&self, cron: &str) -> bool {
        self.all || self.names.contains(cron)
    }
}

impl Report {
    /// Adds a mistake. If it does not say what it takes away, that is what is being read.
    pub(super) fn error(&mut self, mut error: ConfigError) {
        if error.losses.is_empty() {
            error.losses.clone_from(&self.about);
        }
        if self.is_full() {
            (error.hint, error.excerpt) = (None, None);
        }
        self.errors.push(error);
    }

    /// Adds a text that could not be filled: a mistake, unless only the daemon may have its value.
    pub(super) fn unfilled(&mut self, error: ConfigError, is_of_daemon: bool) {
        if is_of_daemon { self.lost(error) } else { self.error(error) }
    }

    /// Adds a warning that takes away what is being read.
    pub(super) fn lost(&mut self, mut warning: ConfigError) {
        warning.losses.clone_from(&self.about);
        self.lost.push(warning);
    }

    /// Adds a mistake that takes away something more than what is being read.
    pub(super) fn error_about(&mut self, more: Option<Loss>, mut error: ConfigError) {
        error.losses = self.about.iter().cloned().chain(more).collect();
        self.error(error);
    }

    /// Says what the mistakes that follow take away.
    pub(super) fn about(&mut self, losses: impl Into<Vec<Loss>>) {
        self.about = losses.into();
    }

    /// Returns the crons that the mistakes take away.
    pub(super) fn lost_crons(&self, how: Lost) -> LostCrons<'_> {
        let mistakes = self.errors.iter().chain(&self.lost);
        let counted = mistakes.filter(|mistake| how == Lost::InAnyWay || !mistake.wants_value);
        let mut lost = LostCrons::default();
        for loss in counted.flat_map(|mistake| &mistake.losses) {
            lost.all |= *loss == Loss::Crons;
            if let Loss::Cron(name) = loss {
                lost.names.insert(name);
            }
        }
        lost
    }

    /// Returns whether nothing was found so far, not even a warning.
    pub(super) fn is_empty(&self) -> bool {
        self.errors.is_empty() && self.lost.is_empty() && self.warnings.is_empty()
    }

    pub(super) fn has_mistakes(&self) -> bool {
        !(self.errors.is_empty() && self.lost.is_empty())
    }

    /// Adds what was found elsewhere, after all that is here.
    pub(super) fn append(&mut self, other: Self) {
        let Self { errors, mut warnings, mut lost, about: _ } = other;
        errors.into_iter().for_each(|error| self.error(error));
        self.warnings.append(&mut warnings);
        self.lost.append(&mut lost);
    }

    /// Returns whether one of the mistakes takes this away.
    pub(super) fn has_lost(&self, loss: &Loss) -> bool {
        self.errors.iter().chain(&self.lost).any(|error| error.losses.contains(loss))
    }

    /// Returns whether there are more errors than will be shown, so that a further one is worth no work.
    pub(super) fn is_full(&self) -> bool {
        self.errors.len() >= ERRORS_MAX
    }

    /// Adds what is said about a secret without a value: a warning if somebody else may have it.
    pub(super) fn without_value(&mut self, error: ConfigError, environment: &Environment) {
        if environment.must_have_secrets() { self.error(error) } else { self.warning(error) }
    }

    /// Adds an error about a file as a whole.
    pub(super) fn file_error(&mut self, file: &Arc<Path>, message: impl Into<String>) {
        self.error(ConfigError::of_file(Arc::clone(file), message));
    }

    /// Adds a warning: something that is valid, but seldom meant.
    pub(super) fn warning(&mut self, warning: ConfigError) {
        self.warnings.push(warning);
    }

    /// Adds a warning about a file as a whole.
    pub(super) fn file_warning(&mut self, file: &Arc<Path>, message: impl Into<String>) {
        self.warnings.push(ConfigError::of_file(Arc::clone(file), message));
    }

    /// Returns every mistake in the order of the files, and the warnings. A mistake in `[defaults]` is found again in
    /// every cron, but is reported once, as one that takes away all of them.
    pub(super) fn finish(mut self) -> (Vec<ConfigError>, Vec<ConfigError>) {
        let location = |error: &ConfigError| (error.file.clone(), error.position, error.message.clone());
        self.errors.sort_by_cached_key(location);
        self.errors.dedup_by(|again, first| {
            let is_same = location(again) == location(first);
            if is_same {
                first.losses.append(&mut again.losses);
            }
            is_same
        });
        for error in &mut self.errors {
            error.losses.sort();
            error.losses.dedup();
            if error.losses.contains(&Loss::Crons) {
                error.losses.retain(|loss| !matches!(loss, Loss::Cron(_)));
            }
        }
        self.warnings.append(&mut self.lost);
        self.warnings.dedup();
        (self.errors, self.warnings)
    }
}

/// Returns the name of an unknown key, in backticks. What is longer than any name of a key may be a secret, so
/// only its beginning is shown.
pub(super) fn quoted_key(name: &str) -> String {
    const KEY_CHARS_MAX: usize = 24;
    const BEGINNING_CHARS: usize = 4;
    match name.chars().count() {
        ..=KEY_CHARS_MAX => quoted(name),
        _ => quoted(&format!("{}…", name.chars().take(BEGINNING_CHARS).collect::<String>())),
    }
}

/// Returns the text in backticks, short enough for a message and with everything unprintable escaped. A signing key in
/// it is masked.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", escaped(text))
}

/// Returns whether there is a signing key in the text, however its beginning is spelt.
pub(super) fn holds_secret(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    SECRET_PREFIXES.iter().any(|prefix| text.contains(prefix))
}

/// Returns the text like [`quoted`], but without the backticks.
pub(super) fn escaped(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 64;
    if holds_secret(text) {
        return "***".to_owned();
    }
    let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    let more = if text.chars().nth(SHOWN_CHARS_MAX).is_some() { "…" } else { "" };
    on_one_line(&shown) + more
}
