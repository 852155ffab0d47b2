//! The types that the values of configuration keys have: for the check when a file is read, and for its documentation.

use std::fmt;

/// The type of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    Text,
    /// Text: `http://…` or `https://…`.
    Url,
    /// Text: a path. A relative one is resolved against the main file's directory.
    Path,
    /// Text: `90s`, `5m`, `1h30m`, `7d`.
    Duration,
    /// Text: a duration that may be years long, or `forever`.
    Period,
    /// Text, or a TOML date-time: an instant with its offset from UTC (RFC 3339).
    Time,
    /// Text: one of these words.
    Word(&'static [&'static str]),
    Boolean,
    /// A whole number, both bounds included.
    Integer {
        min: u64,
        max: u64,
    },
    /// A number, both bounds included.
    Number {
        min: u32,
        max: u32,
    },
    TextList,
    /// One text, or a list of texts.
    TextOrList,
    /// One of these words, or a list of them.
    WordOrList(&'static [&'static str]),
    /// A list of whole numbers, both bounds included.
    IntegerList {
        min: u64,
        max: u64,
    },
    /// A list of days, or of ranges of days, as text or as TOML dates.
    DayList,
    /// A table with any keys and values.
    Table,
    Any,
}

/// Shows the type as documentation names it.
impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Url => f.write_str("URL"),
            Self::Path => f.write_str("path"),
            Self::Duration => f.write_str("duration"),
            Self::Period => f.write_str("duration or \"forever\""),
            Self::Time => f.write_str("time with offset"),
            Self::Word(words) => f.write_str(&quoted_words(words)),
            Self::Boolean => f.write_str("true or false"),
            Self::Integer { min, max } => write!(f, "integer from {min} to {max}"),
            Self::Number { min, max } => write!(f, "number from {min} to {max}"),
            Self::TextList => f.write_str("list of texts"),
            Self::TextOrList => f.write_str("text or list of texts"),
            Self::WordOrList(words) => write!(f, "one or a list of {}", quoted_words(words)),
            Self::IntegerList { min, max } => write!(f, "list of integers from {min} to {max}"),
            Self::DayList => f.write_str("list of days or ranges of days"),
            Self::Table => f.write_str("table"),
            Self::Any => f.write_str("any value"),
        }
    }
}

fn quoted_words(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}
