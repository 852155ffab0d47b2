//! Parses TOML text into tables that know the position of everything in them; a syntax error shows its line and a
//! caret.

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::errors::{ConfigError, Report, holds_secret, quoted};
use super::limits::{DEPTH_MAX, SYNTAX_ERRORS_MAX};
use super::loss::Loss;
use super::reference::is_name;
use super::source_file::SourceFile;

/// Longer lines are cut: what is wrong is rarely that far to the right.
const LINE_CHARS_SHOWN: usize = 200;

/// A file's tables, which borrow from its text.
pub(super) struct TomlDocument<'s> {
    pub(super) source: &'s SourceFile,
    /// The top-level table.
    pub(super) root: DeTable<'s>,
}

impl<'s> TomlDocument<'s> {
    /// Parses a file. After a syntax error the rest cannot be trusted, so no document is returned; a key that is given
    /// twice is reported, but the document is returned.
    pub(super) fn parse(source: &'s SourceFile, report: &mut Report) -> Option<Self> {
        let (root, mut errors) = DeTable::parse_recoverable(&source.text);
        let root = root.into_inner();
        errors.sort_by_key(|error| error.span().map(|span| span.start));
        for (index, error) in errors.iter().take(SYNTAX_ERRORS_MAX).enumerate() {
            let mistake = match is_duplicate_key(error) {
                true => duplicate(source, &root, error),
                false => syntax(source, error),
            };
            let hint = if index == 0 { wrong_file(source) } else { None };
            // What is not read may have the switch of all webhooks in it.
            let is_switch = !is_duplicate_key(error) && source.text.contains("disable_webhook");
            let mistake = ConfigError { hint: mistake.hint.or(hint), ..mistake };
            match is_switch {
                true => report.error_about(Some(Loss::Webhooks), mistake),
                false => report.error(mistake),
            }
        }
        errors.iter().all(is_duplicate_key).then_some(Self { source, root })
    }
}

/// Returns whether the error is about a key that is given twice, and not about the syntax.
///
/// This reads the message of the `toml` crate: its `Error` has a message and a span, but no kind, and the
/// `ParseError` of `toml_parser` beneath it has a description and a span, but no kind either. If the message changes,
/// a key that is given twice is reported as a syntax error, which a test notices.
fn is_duplicate_key(error: &toml::de::Error) -> bool {
    error.message() == "duplicate key"
}

fn syntax(source: &SourceFile, error: &toml::de::Error) -> ConfigError {
    let offset = error.span().map_or(source.text.len(), |span| span.start);
    let mut error = source.error(offset, format!("not TOML: {}", error.message()), None);
    if let Some(position) = error.position {
        let line = masked(source, position.line);
        // A tab stays a tab, so that the caret is under its column.
        let indent = line.chars().take(position.column - 1).map(|char| if char == '\t' { '\t' } else { ' ' });
        error.excerpt = Some(format!("{line}\n{}^", indent.collect::<String>()));
    }
    error
}

fn duplicate(source: &SourceFile, root: &DeTable<'_>, error: &toml::de::Error) -> ConfigError {
    let span = error.span().unwrap_or_default();
    let written = source.text.get(span.clone()).unwrap_or_default();
    let key = written.trim_matches(|char| char == '"' || char == '\'');
    let first = last_key_before(root, &|name| name == key, span.start, DEPTH_MAX)
        .map(|offset| source.position(offset).line);
    let first = first.or_else(|| same_header_before(source, source.position(span.start).line));
    let first = first.map_or(String::new(), |line| format!(": the first is on line {line}"));
    let error = source.error(span.start, format!("key {} is given twice{first}", quoted(key)), None);
    ConfigError { losses: owner(root, span.start).into_iter().collect(), ..error }
}

/// Returns what is lost with the cron or section in which a key is: that one has the nearest key before it.
fn owner(root: &DeTable<'_>, offset: usize) -> Option<Loss> {
    let last = |(_, key, value): &(_, &Spanned<_>, &Spanned<DeValue<'_>>)| {
        let own = Some(key.span().start).filter(|start| *start <= offset);
        own.max(last_key_within(value.get_ref(), &|_| true, offset + 1, DEPTH_MAX))
    };
    let crons = root.get("cron").and_then(|crons| crons.get_ref().as_table());
    let crons = crons.into_iter().flat_map(DeTable::iter);
    let crons = crons.map(|(key, value)| (Some(Loss::Cron(key.get_ref().to_string())), key, value));
    let others = root.iter().filter(|(key, _)| key.get_ref() != "cron");
    let others = others.map(|(key, value)| (Loss::of_key(key.get_ref()), key, value));
    crons.chain(others).max_by_key(last)?.0
}

/// Returns the line of the first of two equal table headers. The parsed table knows the place of the second only.
fn same_header_before(source: &SourceFile, line: usize) -> Option<usize> {
    let header = source.line(line).trim();
    (1..line).find(|earlier| header.starts_with('[') && source.line(*earlier).trim() == header)
}

/// Returns the byte of the last key before an offset for which `is_meant` is true: the first of two in the same table.
fn last_key_before(
    table: &DeTable<'_>,
    is_meant: &dyn Fn(&str) -> bool,
    offset: usize,
    depth_left: usize,
) -> Option<usize> {
    let depth_left = depth_left.checked_sub(1)?;
    let last = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
        let own = Some(key.span().start).filter(|start| *start < offset && is_meant(key.get_ref()));
        own.max(last_key_within(value.get_ref(), is_meant, offset, depth_left))
    };
    table.iter().filter_map(last).max()
}

fn last_key_within(
    value: &DeValue<'_>,
    is_meant: &dyn Fn(&str) -> bool,
    offset: usize,
    depth_left: usize,
) -> Option<usize> {
    let last = |table| last_key_before(table, is_meant, offset, depth_left);
    match value {
        DeValue::Table(table) => last(table),
        DeValue::Array(items) => {
            items.iter().filter_map(|item| item.get_ref().as_table()).filter_map(last).max()
        }
        _ => None,
    }
}

/// Returns a line as it can be shown: the letters and digits of what could be a secret are masked. That is every word
/// that is no name of ours, since the whole file may be another than was meant, and what is behind the key of a line that is not
/// TOML need not be its value.
fn masked(source: &SourceFile, number: usize) -> String {
    let line = source.line(number);
    let (shown, rest) = line.split_at(header_bytes(line));
    let words = rest.split_inclusive(|char: char| !is_of_word(char)).map(|part| {
        let word = part.trim_end_matches(|char| !is_of_word(char));
        if is_name(word) { part.to_owned() } else { part.replace(char::is_alphanumeric, "*") }
    });
    std::iter::once(shown.to_owned())
        .chain(words)
        .collect::<String>()
        .chars()
        .take(LINE_CHARS_SHOWN)
        .collect()
}

fn is_of_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_' || char == '-'
}

/// Returns how much of a line is the header of a table that may be there, up to a name in quotes.
fn header_bytes(line: &str) -> usize {
    let header = line.trim_start();
    let rest = header.trim_start_matches('[').trim_start_matches(|char| is_of_word(char) || char == '.');
    match is_header(line) && !holds_secret(line) {
        true => line.len() - rest.len(),
        false => 0,
    }
}

/// Returns whether the line begins as the header of a table that may be there.
fn is_header(line: &str) -> bool {
    let name = line.trim_start().strip_prefix('[').map(|rest| rest.trim_start_matches('['));
    name.is_some_and(|name| is_name(name.split(|char| !is_of_word(char)).next().unwrap_or_default()))
}

/// Returns the hint for a file in which nothing is as in a configuration.
fn wrong_file(source: &SourceFile) -> Option<String> {
    let is_ours =
        |line: &str| is_header(line) || line.split_once('=').is_some_and(|(key, _)| is_name(key.trim()));
    let hint = "is this the right file? no line in it is a table or a key of agentcron";
    (!source.text.lines().any(is_ours)).then(|| hint.to_owned())
}
