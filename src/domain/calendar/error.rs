//! What is wrong with a schedule or a time zone, in messages that let its author correct it without a manual.

use std::ops::Range;

use crate::domain::printable::blanked;

/// Why an expression and a time zone do not make a calendar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// Neither the system's database nor the bundled one has the zone.
    #[error("unknown time zone {name}; {}", .hint.as_deref().unwrap_or("expected an IANA name such as Europe/Berlin"))]
    UnknownTimezone {
        name: String,
        /// What was probably meant, if that is known.
        hint: Option<String>,
    },
    /// The expression is valid, but no instant from 1970 to 2099 satisfies it.
    #[error("schedule never matches: no date from 1970 to 2099 satisfies it")]
    NeverMatches,
}

/// A mistake in the text of an expression, and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionError {
    expression: String,
    error: ParseError,
}

impl ExpressionError {
    pub(super) fn new(expression: &str, error: ParseError) -> ExpressionError {
        ExpressionError { expression: expression.to_owned(), error }
    }

    /// Returns the bytes of the expression that are at fault: an empty range at the end if something is missing.
    pub fn span(&self) -> Range<usize> {
        self.error.span.clone()
    }

    /// Returns what was got and what was expected, without the hint.
    pub fn message(&self) -> &str {
        &self.error.message
    }

    /// Returns what was probably meant, if that is known.
    pub fn hint(&self) -> Option<&str> {
        self.error.hint.as_deref()
    }

    /// Returns two lines: the expression, and carets under the part at fault.
    pub fn caret(&self) -> String {
        let shown = blanked(&self.expression);
        let (mut before, mut under) = (0, 0);
        for (at, _) in self.expression.char_indices() {
            if at < self.error.span.start {
                before += 1;
            } else if at < self.error.span.end {
                under += 1;
            }
        }
        format!("{shown}\n{}{}", " ".repeat(before), "^".repeat(under.max(1)))
    }
}

impl std::fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.error.message)?;
        match &self.error.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ExpressionError {}

/// A mistake found deep in the parser, which does not know the whole expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ParseError {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl ParseError {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> ParseError {
        ParseError { span, message: message.into(), hint: None }
    }

    pub(super) fn with_hint(self, hint: impl Into<String>) -> ParseError {
        ParseError { hint: Some(hint.into()), ..self }
    }

    /// Adds a hint about the whole expression, which must not replace a hint about the place itself.
    pub(super) fn or_hint(self, hint: impl Into<String>) -> ParseError {
        ParseError { hint: self.hint.or_else(|| Some(hint.into())), ..self }
    }
}
