//! What is wrong with a schedule or a time zone, said so that its author can mend it without the manual.

use std::ops::Range;

/// Why an expression and a time zone make no calendar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// The text is no cron expression.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// No such zone in the system's database, nor in the bundled one.
    #[error("unknown timezone {name}{}", did_you_mean(.nearest))]
    UnknownTimezone {
        /// The name as it was given.
        name: String,
        /// The known name that looks most like it.
        nearest: Option<String>,
    },
    /// The expression reads well, but no instant from 1970 to 2099 satisfies it.
    #[error("schedule never matches: no date from 1970 to 2099 satisfies it")]
    NeverMatches,
}

fn did_you_mean(nearest: &Option<String>) -> String {
    match nearest {
        Some(name) => format!("; did you mean {name}?"),
        None => "; expected an IANA name such as Europe/Berlin".to_owned(),
    }
}

/// A fault in the text of an expression, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionError {
    expression: String,
    fault: Fault,
}

impl ExpressionError {
    pub(super) fn new(expression: &str, fault: Fault) -> ExpressionError {
        ExpressionError { expression: expression.to_owned(), fault }
    }

    /// The bytes of the expression that are at fault; empty at the end if something is missing.
    pub fn span(&self) -> Range<usize> {
        self.fault.span.clone()
    }

    /// What was got and what is allowed, without the hint.
    pub fn message(&self) -> &str {
        &self.fault.message
    }

    /// A likely way out, if there is one.
    pub fn hint(&self) -> Option<&str> {
        self.fault.hint.as_deref()
    }

    /// Two lines: the expression, and carets under the part at fault.
    pub fn caret(&self) -> String {
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let shown: String = self.expression.chars().map(printable).collect();
        let (mut before, mut under) = (0, 0);
        for (at, _) in self.expression.char_indices() {
            if at < self.fault.span.start {
                before += 1;
            } else if at < self.fault.span.end {
                under += 1;
            }
        }
        format!("{shown}\n{}{}", " ".repeat(before), "^".repeat(under.max(1)))
    }
}

impl std::fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.fault.message)?;
        match &self.fault.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ExpressionError {}

/// A fault found deep in the parser, which does not know the whole expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Fault {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Fault {
        Fault { span, message: message.into(), hint: None }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Fault {
        Fault { hint: Some(hint.into()), ..self }
    }

    /// Hints for the whole expression must not hide a hint for the very spot.
    pub(super) fn or_hint(self, hint: impl Into<String>) -> Fault {
        Fault { hint: self.hint.or_else(|| Some(hint.into())), ..self }
    }
}
