//! Collects the mistakes in the fields of a cron, and reads the kinds of text that several fields share.

use std::fmt;
use std::str::FromStr;

use crate::config::errors::{Complaint, quoted};
use crate::config::limits::ERRORS_MAX;
use crate::config::nearest::nearest;
use crate::domain::template;
use crate::domain::words::UnknownWord;

/// One mistake in the fields of a cron. Like [`crate::config::ConfigError`], it never quotes what could be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The name of the field, or `name` for the cron's own name.
    pub field: &'static str,
    /// The part of the field's value that is wrong: a JSON pointer (RFC 6901), empty for all of it.
    pub pointer: String,
    pub kind: FieldErrorKind,
    /// What was got and what was expected.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The value with a caret under the part at fault, in two lines.
    pub excerpt: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// Every cron needs the field, and it is absent.
    Missing,
    /// The field has a value that is not accepted.
    Invalid,
    /// A placeholder in it has no value in this process.
    NoValue,
}

impl FieldError {
    pub(in crate::config) fn invalid(field: &'static str, pointer: &str, complaint: Complaint) -> Self {
        let Complaint { message, hint } = complaint;
        let kind = FieldErrorKind::Invalid;
        Self { field, pointer: pointer.to_owned(), kind, message, hint, excerpt: None }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

/// The mistakes found so far while a cron is validated.
#[derive(Default)]
pub(super) struct Mistakes(Vec<FieldError>);

impl Mistakes {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether there are more than will be shown, so that a further one is worth no work.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= ERRORS_MAX
    }

    pub(super) fn into_errors(self) -> Vec<FieldError> {
        self.0
    }

    /// Adds that a field is absent that every cron needs.
    pub(super) fn add_missing(&mut self, field: &'static str, hint: &str) {
        let kind = FieldErrorKind::Missing;
        self.0.push(FieldError {
            kind,
            ..FieldError::invalid(field, "", Complaint::with_hint("missing", hint))
        });
    }

    pub(super) fn add(&mut self, field: &'static str, message: impl Into<String>) {
        self.add_complaint(field, "", Complaint::new(message));
    }

    pub(super) fn add_with_hint(
        &mut self,
        field: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add_complaint(field, "", Complaint::with_hint(message, hint));
    }

    /// Adds a mistake in the part of a field's value that a JSON pointer names.
    pub(super) fn add_complaint(&mut self, field: &'static str, pointer: &str, complaint: Complaint) {
        self.0.push(FieldError::invalid(field, pointer, complaint));
    }

    /// Adds a mistake that shows the text at fault with a caret under it.
    pub(super) fn add_excerpt(&mut self, field: &'static str, message: String, excerpt: String) {
        let excerpt = Some(excerpt);
        self.0.push(FieldError { excerpt, ..FieldError::invalid(field, "", Complaint::new(message)) });
    }
}

/// Returns a field's text, or `None` if it is absent or has a placeholder. Placeholders in this field were filled
/// before the cron is validated, so one that is still there would never be filled.
pub(super) fn plain_text<'f>(
    mistakes: &mut Mistakes,
    field: &'static str,
    text: &'f Option<String>,
) -> Option<&'f str> {
    let text = text.as_deref()?;
    if template::is_template(text) {
        let hint = "placeholders are filled in webhook, input, config, context and metadata";
        mistakes.add_with_hint(field, "got a placeholder, expected a plain text", hint);
        return None;
    }
    Some(text)
}

/// Returns the variant that a field names, or the default if the field is absent or its word is unknown.
pub(super) fn parse_word<T: FromStr<Err = UnknownWord> + Copy>(
    mistakes: &mut Mistakes,
    field: &'static str,
    text: &Option<String>,
    default: T,
) -> T {
    let Some(text) = plain_text(mistakes, field, text) else {
        return default;
    };
    text.parse().unwrap_or_else(|error: UnknownWord| {
        mistakes.add_complaint(field, "", unknown_word(text, error.allowed));
        default
    })
}

/// Returns what to say about a word that is not one of those allowed.
pub(super) fn unknown_word(text: &str, allowed: &[&'static str]) -> Complaint {
    let message = format!("got {}, expected one of {}", quoted(text), allowed.join(", "));
    let hint = nearest(text, allowed.iter().copied()).map(|word| format!("did you mean `{word}`?"));
    Complaint { message, hint }
}
